"""The reconcilers that live: each writes here that it does, with every beat."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Mapped, mapped_column

from ratchet.db import Base, db_now


class Instance(Base):
    __tablename__ = "reconcilers"

    id: Mapped[str] = mapped_column(primary_key=True)
    host: Mapped[str]
    pid: Mapped[int]
    version: Mapped[str]
    started_at: Mapped[datetime] = mapped_column(server_default=db_now())
    beat_at: Mapped[datetime] = mapped_column(server_default=db_now(), index=True)
    """By the database's clock. One that has been silent for `heartbeat.SILENT` is dead, or stopped."""
