"""`Idempotency-Key`: a request that makes something may be sent again, and makes it once (IETF httpapi draft 07).

A route that makes something takes `IdempotentSession` in place of `WriteSession`. The first answer is kept in the
transaction of the work, so that either both exist or neither does, and is given again byte by byte. The key is bound to
who asks, to the address and to the body. An answer that shows a secret (`Cache-Control: no-store`) is not kept: asked
again, it is said to have been given.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Annotated

from fastapi import Depends, FastAPI, Header, Request, Response
from sqlalchemy import LargeBinary, bindparam, delete, insert, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from ratchet.db import Base, WriteSession, db_now, now
from ratchet.errors import Conflict, Invalid

KEPT_FOR = timedelta(hours=48)


class IdempotencyKey(Base):
    __tablename__ = "idempotency_keys"

    scope: Mapped[str] = mapped_column(primary_key=True)
    """Who asked, and at which address."""
    key: Mapped[str] = mapped_column(primary_key=True)
    body_hash: Mapped[str]
    resource: Mapped[str] = mapped_column(default="")
    """Where what was made is: the `Location` of the answer."""
    status: Mapped[int | None]
    body: Mapped[bytes | None] = mapped_column(LargeBinary)
    """The answer's; null when it showed a secret."""
    created_at: Mapped[datetime] = mapped_column(server_default=db_now(), index=True)


_ROWS = IdempotencyKey.metadata.tables[IdempotencyKey.__tablename__]
# Past the unit of work, and built once: nearly every change of anything asks the one and writes the other.
_KNOWN = select(_ROWS.c.body_hash, _ROWS.c.resource, _ROWS.c.status, _ROWS.c.body).where(
    _ROWS.c.scope == bindparam("scope"), _ROWS.c.key == bindparam("key")
)
_KEPT = insert(_ROWS)


class AnsweredError(Exception):
    """The request was answered before."""

    def __init__(self, resource: str, status: int, body: bytes) -> None:
        self.resource, self.status, self.body = resource, status, body


def install(app: FastAPI) -> None:
    app.add_exception_handler(AnsweredError, _answer_again)


@dataclass(frozen=True)
class Asked:
    """A request that came with a key."""

    scope: str
    key: str
    body_hash: str


async def _session(
    request: Request,
    session: WriteSession,
    idempotency_key: Annotated[
        str | None,
        Header(
            min_length=1,
            max_length=255,
            description="Sent again with the same key and body, the request is done once and answered alike.",
        ),
    ] = None,
) -> Session:
    if idempotency_key is not None:
        who_and_where = f"{request.state.principal.id}\0{request.method} {request.url.path}"
        body = request.url.query.encode() + b"\0" + await request.body()
        session.info[Asked] = Asked(_hash(who_and_where.encode()), idempotency_key, _hash(body))
    return session


IdempotentSession = Annotated[Session, Depends(_session)]


def begin(session: Session) -> None:
    """Before the work: raises `AnsweredError` when the request was answered before."""
    asked: Asked | None = session.info.get(Asked)
    if asked is None:
        return
    row = session.connection().execute(_KNOWN, {"scope": asked.scope, "key": asked.key}).one_or_none()
    if row is None:
        return
    if row.body_hash != asked.body_hash:
        raise Invalid(
            "This Idempotency-Key was used with another body.",
            code="idempotency_key_reused",
            hint="Use a new key for a new request.",
        )
    if row.body is None:
        raise Conflict(
            "A request with this Idempotency-Key was answered, and the secret in the answer is shown once.",
            code="shown_once",
            hint=f"What it made is {row.resource or 'in the list'}: delete it, and make another with a new key.",
        )
    raise AnsweredError(row.resource, row.status or 200, row.body)


def keep(session: Session, response: Response) -> None:
    """Put the answer into the transaction of its work, which is committed next."""
    asked: Asked | None = session.info.get(Asked)
    if asked is None:
        return
    secret = "no-store" in response.headers.get("cache-control", "")
    answer = {
        "status": response.status_code,
        "resource": response.headers.get("location", ""),
        "body": None if secret else bytes(response.body),
    }
    session.flush()
    session.connection().execute(_KEPT, {**asdict(asked), **answer})


def purge(session: Session) -> int:
    """Forget the keys that are older than `KEPT_FOR`; how many there were."""
    old = delete(IdempotencyKey).where(IdempotencyKey.created_at < now(session) - KEPT_FOR)
    return int(session.execute(old).rowcount)  # type: ignore[attr-defined]


async def _answer_again(request: Request, error: Exception) -> Response:
    assert isinstance(error, AnsweredError)
    headers = {"Idempotent-Replayed": "true", **({"Location": error.resource} if error.resource else {})}
    return Response(error.body, error.status, headers, media_type="application/json" if error.body else None)


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
