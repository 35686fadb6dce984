"""Who asks, and what they may do.

A token is 256 random bits, shown once, kept as its SHA-256. Scopes are ordered: admin > write > read; `predict` lets a
token ask an endpoint for predictions and nothing else (admin and write tokens may do so too). People's browsers hold a
token in an HttpOnly cookie, and then every change must come from a page of our own origin.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Request
from fastapi.security import HTTPBearer
from sqlalchemy import ColumnElement, ForeignKey, or_, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from ratchet import events
from ratchet.db import Base, Identified, db_now, new_id, read_only
from ratchet.errors import Forbidden, NotFound, Unauthorized

COOKIE = "ratchet_session"
TOKEN_PREFIX = "rt_"  # noqa: S105
SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}


class Scope(StrEnum):
    ADMIN = "admin"
    """Everything, in every project."""
    WRITE = "write"
    READ = "read"
    PREDICT = "predict"

    def includes(self, other: Scope) -> bool:
        order = {Scope.ADMIN: 3, Scope.WRITE: 2, Scope.READ: 1, Scope.PREDICT: 0}
        if other is Scope.PREDICT:
            return self is not Scope.READ
        return self is not Scope.PREDICT and order[self] >= order[other]


class Token(Identified, Base):
    __tablename__ = "tokens"

    project: Mapped[str | None] = mapped_column(ForeignKey("projects.name"), index=True)
    """The only project it opens; every project when null (administrators)."""
    name: Mapped[str]
    scope: Mapped[str]
    hash: Mapped[str] = mapped_column(unique=True)
    prefix: Mapped[str]
    """The first characters, by which a person recognises it in a list."""
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


@dataclass(frozen=True)
class Principal:
    actor: str
    scope: Scope
    project: str | None
    token_id: str

    def may(self, scope: Scope, project: str | None) -> bool:
        return self.scope.includes(scope) and (self.project is None or self.project == project)


def token_hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def create_token(
    session: Session, *, project: str | None, name: str, scope: Scope, actor: str, expires_at: datetime | None = None
) -> tuple[Token, str]:
    """A new token: its row, and the secret, which is to be had this once."""
    secret = TOKEN_PREFIX + secrets.token_urlsafe(32)
    row = _register(session, secret, project=project, name=name, scope=scope, expires_at=expires_at)
    events.emit(
        session,
        project=project or "",
        actor=actor,
        action="token.created",
        target=("token", row.id),
        after={"name": name, "scope": scope.value},
    )
    return row, secret


def bootstrap(session: Session, secret: str) -> None:
    """Register the first administrator's token, made by whoever starts the platform; nothing when it is known."""
    if len(secret) < 40 or not secret.startswith(TOKEN_PREFIX):
        raise ValueError(f"the bootstrap token must begin with {TOKEN_PREFIX!r} and have at least 40 characters")
    if session.scalar(select(Token.id).where(Token.hash == token_hash(secret))) is None:
        _register(session, secret, project=None, name="admin", scope=Scope.ADMIN, expires_at=None)


def predict_token_hashes(session: Session, project: str) -> list[str]:
    """SHA-256 of every token that may ask the project's endpoints for predictions, sorted."""
    scopes = [scope.value for scope in Scope if scope.includes(Scope.PREDICT)]
    of_project = or_(Token.project == project, Token.project.is_(None))
    query = select(Token.hash).where(_alive(), of_project, Token.scope.in_(scopes)).order_by(Token.hash)
    return list(session.scalars(query))


def find_principal(session: Session, secret: str) -> Principal:
    # The lookup is by the hash of 256 random bits: its timing tells nothing of the secret.
    row = session.scalar(select(Token).where(Token.hash == token_hash(secret), _alive()))
    if row is None:
        raise Unauthorized(
            "The token is not known, has expired or was revoked.", hint="`ratchet config` shows where yours is kept."
        )
    return Principal(actor=row.name, scope=Scope(row.scope), project=row.project, token_id=row.id)


def authenticate(request: Request) -> Principal:
    """The principal of a request, by bearer token or session cookie."""
    scheme, _, secret = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        secret = request.cookies.get(COOKIE, "")
        if secret and request.method not in SAFE_METHODS:
            _require_same_origin(request)
    if not secret:
        raise Unauthorized(
            "This needs a token.",
            hint="Send `Authorization: Bearer <token>`; `ratchet config` shows yours.",
            headers={"WWW-Authenticate": "Bearer"},
        )
    with read_only(request.app.state.sessions) as session:
        return find_principal(session, secret.strip())


def _require(scope: Scope) -> Callable[[Request], Principal]:
    def allowed(request: Request) -> Principal:
        principal = authenticate(request)
        project = request.path_params.get("project")
        if principal.project is not None and project is not None and principal.project != project:
            # Not 403: whether another tenant's project exists is nobody's business.
            raise NotFound(f"There is no project {project!r}.")
        if not principal.scope.includes(scope):
            raise Forbidden(f"This needs the scope {scope.value!r}; this token has {principal.scope.value!r}.")
        if project is not None:
            _require_project(request, project)
        return principal

    return allowed


def _require_project(request: Request, project: str) -> None:
    from ratchet.projects.tables import Project  # projects needs Principal: the one cycle, broken here

    with read_only(request.app.state.sessions) as session:
        if session.scalar(select(Project.name).where(Project.name == project)) is None:
            raise NotFound(f"There is no project {project!r}.", hint="`ratchet projects` lists yours.")


def _require_same_origin(request: Request) -> None:
    """A cookie is sent by the browser whoever asks: only a page of this address may use it to change something."""
    origin = request.headers.get("origin")
    if origin is None or urlsplit(origin).netloc != request.headers.get("host"):
        raise Forbidden("The request did not come from a page of this address.", code="cross_origin")


def _register(
    session: Session, secret: str, *, project: str | None, name: str, scope: Scope, expires_at: datetime | None
) -> Token:
    row = Token(
        id=new_id("tok"),
        project=project,
        name=name,
        scope=scope.value,
        hash=token_hash(secret),
        prefix=secret[:8],
        expires_at=expires_at,
    )
    session.add(row)
    session.flush()
    return row


def _alive() -> ColumnElement[bool]:
    return Token.revoked_at.is_(None) & or_(Token.expires_at.is_(None), Token.expires_at > db_now())


_bearer = Depends(HTTPBearer(auto_error=False, description="A token of `ratchet tokens create`."))
Reader = Annotated[Principal, Depends(_require(Scope.READ))]
Writer = Annotated[Principal, Depends(_require(Scope.WRITE))]
Admin = Annotated[Principal, Depends(_require(Scope.ADMIN))]
bearer_security = [_bearer]
