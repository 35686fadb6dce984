"""Keys that the platform makes for itself at its first start, and that all of its processes share."""

from __future__ import annotations

import base64
import secrets
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Mapped, Session, mapped_column

from ratchet.db import Base, db_now


class PlatformKey(Base):
    __tablename__ = "platform_keys"

    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str]
    """256 random bits in base64."""
    created_at: Mapped[datetime] = mapped_column(server_default=db_now())


PAGE_TOKENS = "page_tokens"


def ensure(session: Session, name: str) -> bytes:
    """The key of that name, made when there is none: by one of however many processes start at once."""
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    value = base64.b64encode(secrets.token_bytes(32)).decode()
    session.execute(insert(PlatformKey).values(name=name, value=value).on_conflict_do_nothing())
    return base64.b64decode(session.scalars(select(PlatformKey.value).where(PlatformKey.name == name)).one())
