from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Mapped, mapped_column

from ratchet.db import Base, db_now

DEFAULT_PROJECT = "default"


class Project(Base):
    __tablename__ = "projects"

    name: Mapped[str] = mapped_column(primary_key=True)
    description: Mapped[str] = mapped_column(default="")
    created_at: Mapped[datetime] = mapped_column(server_default=db_now())
