"""Accounts, their roles in projects, and the secrets by which they are known."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import ForeignKey, UniqueConstraint, false
from sqlalchemy.orm import Mapped, mapped_column

from ratchet.db import Base, Identified, db_now


class AccountKind(StrEnum):
    USER = "user"
    SERVICE = "service_account"


class Account(Identified, Base):
    """A person or a program. It is never told apart by its secrets: those come and go."""

    __tablename__ = "accounts"
    __table_args__ = (UniqueConstraint("issuer", "subject"),)

    kind: Mapped[str]
    name: Mapped[str] = mapped_column(unique=True)
    """The actor in the audit log. A service account's begins with its project: `fraud/shop`."""
    project: Mapped[str | None] = mapped_column(ForeignKey("projects.name"), index=True)
    """The project that a service account belongs to; null for a user."""
    email: Mapped[str | None] = mapped_column(index=True)
    issuer: Mapped[str | None]
    """The OpenID provider that knows this person, and its name for them. Null before the first login there."""
    subject: Mapped[str | None]
    platform_admin: Mapped[bool] = mapped_column(server_default=false(), default=False)
    """May do everything, in every project."""
    disabled_at: Mapped[datetime | None]
    last_login_at: Mapped[datetime | None]


class Source(StrEnum):
    """Where a membership comes from: what an administrator set by hand, no login takes away."""

    MANUAL = "manual"
    OIDC = "oidc"


class Membership(Base):
    __tablename__ = "memberships"

    project: Mapped[str] = mapped_column(ForeignKey("projects.name"), primary_key=True)
    account_id: Mapped[str] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True, index=True)
    role: Mapped[str]
    source: Mapped[str] = mapped_column(default=Source.MANUAL.value)
    created_at: Mapped[datetime] = mapped_column(server_default=db_now())


class TokenKind(StrEnum):
    API = "api"
    SESSION = "session"
    """A browser's, kept in a cookie: ended by signing out."""


class Token(Identified, Base):
    """A secret of 256 random bits, kept as its SHA-256."""

    __tablename__ = "tokens"

    project: Mapped[str | None] = mapped_column(ForeignKey("projects.name"), index=True)
    """The only project it opens; every project of its owner when null."""
    name: Mapped[str]
    scope: Mapped[str]
    hash: Mapped[str] = mapped_column(unique=True)
    prefix: Mapped[str]
    """The first characters, by which a person recognises it in a list."""
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    owner_id: Mapped[str | None] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"), index=True)
    """A token without an owner opens nothing."""
    kind: Mapped[str] = mapped_column(server_default=TokenKind.API.value, default=TokenKind.API.value)
    parent_id: Mapped[str | None] = mapped_column(index=True)
    """The token with which a session was begun: it ends with it."""
    last_used_at: Mapped[datetime | None]
    """To within a minute."""
