"""Tokens: made and shown once, kept as hashes, narrowed by scope and project, ended by time or by hand."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Select, and_, or_, select, update
from sqlalchemy.orm import Session

from ratchet import events
from ratchet.db import new_id, now
from ratchet.identity.principals import alive, changed, token_hash
from ratchet.identity.roles import Scope
from ratchet.identity.tables import Account, AccountKind, Membership, Token, TokenKind

PREFIX = "rt_"
SESSION_PREFIX = "rs_"
ADMIN = "admin"
"""The account of the first administrator."""
SESSION_FOR = timedelta(hours=12)


def create(
    session: Session,
    owner: Account,
    *,
    name: str,
    scope: Scope,
    actor: str,
    project: str | None = None,
    expires_at: datetime | None = None,
) -> tuple[Token, str]:
    """A new token of `owner`: its row, and the secret, which is to be had this once."""
    secret = PREFIX + secrets.token_urlsafe(32)
    row = _add(session, owner, secret, name=name, scope=scope, project=project, expires_at=expires_at)
    events.emit(
        session,
        project=project or "",
        actor=actor,
        action="token.created",
        target=("token", row.id),
        after={"name": name, "scope": scope.value, "owner": owner.name},
    )
    return row, secret


def revoke(session: Session, row: Token, *, actor: str) -> None:
    """End a token and the sessions that were begun with it. Ended already, nothing happens."""
    if row.revoked_at is not None:
        return
    row.revoked_at = now(session)
    session.flush()
    session.execute(
        update(Token).where(Token.parent_id == row.id, Token.revoked_at.is_(None)).values(revoked_at=row.revoked_at)
    )
    changed(session)
    if row.kind == TokenKind.API:
        events.emit(
            session,
            project=row.project or "",
            actor=actor,
            action="token.revoked",
            target=("token", row.id),
            before={"revoked_at": None},
            after={"revoked_at": row.revoked_at.isoformat()},
        )


def begin_session(session: Session, owner: Account, parent: Token | None = None) -> str:
    """The secret of a browser's session of half a day at most. It may do what `parent` may, and ends with it."""
    ends = now(session) + SESSION_FOR
    if parent is not None and parent.expires_at is not None:
        ends = min(ends, parent.expires_at)
    secret = SESSION_PREFIX + secrets.token_urlsafe(32)
    scope, project = (Scope(parent.scope), parent.project) if parent is not None else (Scope.ADMIN, None)
    row = _add(session, owner, secret, name="session", scope=scope, project=project, expires_at=ends)
    row.kind, row.parent_id = TokenKind.SESSION.value, parent.id if parent is not None else None
    owner.last_login_at = now(session)
    session.flush()
    events.emit(session, project="", actor=owner.name, action="session.created", target=(owner.kind, owner.id))
    return secret


def end_session(session: Session, secret: str) -> None:
    row = session.scalar(select(Token).where(Token.hash == token_hash(secret), Token.kind == TokenKind.SESSION.value))
    if row is not None:
        revoke(session, row, actor="")


def bootstrap(session: Session, secret: str) -> None:
    """Register the first administrator's token, made by whoever starts the platform; nothing when it is known."""
    if len(secret) < 40 or not secret.startswith(PREFIX):
        raise ValueError(f"the bootstrap token must begin with {PREFIX!r} and have at least 40 characters")
    if session.scalar(select(Token.id).where(Token.hash == token_hash(secret))) is not None:
        return
    owner = session.scalar(select(Account).where(Account.name == ADMIN))
    if owner is None:
        owner = Account(id=new_id("usr"), kind=AccountKind.USER.value, name=ADMIN, platform_admin=True)
        session.add(owner)
        session.flush()
    _add(session, owner, secret, name=ADMIN, scope=Scope.ADMIN, project=None, expires_at=None)


def predict_token_hashes(session: Session, project: str) -> list[str]:
    """SHA-256 of every token that may ask the project's endpoints for predictions, sorted."""
    scopes = [scope.value for scope in Scope if scope.includes(Scope.PREDICT)]
    member = and_(Membership.account_id == Account.id, Membership.project == project)
    query = (
        select(Token.hash)
        .join(Account, Account.id == Token.owner_id)
        .outerjoin(Membership, member)
        .where(
            alive(),
            Token.kind == TokenKind.API.value,
            Token.scope.in_(scopes),
            or_(Token.project == project, Token.project.is_(None)),
            or_(Membership.role.is_not(None), Account.platform_admin),
        )
        .order_by(Token.hash)
    )
    return list(session.scalars(query))


def of_project(session: Session, project: str, owner_id: str | None) -> Sequence[tuple[Token, str]]:
    """The tokens limited to a project and their owners' names, newest first; of one owner when given."""
    query = _listed().where(Token.project == project)
    if owner_id is not None:
        query = query.where(Token.owner_id == owner_id)
    return [(row, owner) for row, owner in session.execute(query)]


def of_owner(session: Session, owner_id: str) -> Sequence[tuple[Token, str]]:
    return [(row, owner) for row, owner in session.execute(_listed().where(Token.owner_id == owner_id))]


def _listed() -> Select[Token, str]:
    return (
        select(Token, Account.name)
        .join(Account, Account.id == Token.owner_id)
        .where(Token.kind == TokenKind.API.value)
        .order_by(Token.id.desc())
    )


def _add(
    session: Session,
    owner: Account,
    secret: str,
    *,
    name: str,
    scope: Scope,
    project: str | None,
    expires_at: datetime | None,
) -> Token:
    row = Token(
        id=new_id("tok"),
        owner_id=owner.id,
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
