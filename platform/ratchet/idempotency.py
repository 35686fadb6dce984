"""`Idempotency-Key`: a request that starts work may be sent again and starts it once (IETF httpapi draft 07).

The key is bound to the caller, the address and the body. The first answer is kept with the work, in one transaction:
either both exist or neither does.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Annotated, Any

from fastapi import Depends, Header, Request, Response
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, Session, mapped_column

from ratchet.db import Base, db_now
from ratchet.errors import Conflict, Invalid


class IdempotencyKey(Base):
    __tablename__ = "idempotency_keys"

    scope: Mapped[str] = mapped_column(primary_key=True)
    """The caller's token and the address."""
    key: Mapped[str] = mapped_column(primary_key=True)
    body_hash: Mapped[str]
    resource: Mapped[str]
    """The id of what was made."""
    created_at: Mapped[datetime] = mapped_column(server_default=db_now())


class Idempotency:
    """Ask `earlier` before making, tell `made` after, in the same session."""

    def __init__(
        self,
        request: Request,
        response: Response,
        idempotency_key: str | None = None,
    ) -> None:
        self.response = response
        self.key = idempotency_key
        secret = request.headers.get("authorization") or request.headers.get("cookie", "")
        self.scope = hashlib.sha256(f"{secret}\0{request.url.path}".encode()).hexdigest()

    def earlier(self, session: Session, body: Any) -> str | None:
        """The id of what an earlier request of this key made; None for a new one. `body` is a pydantic model."""
        if self.key is None:
            return None
        row = session.get(IdempotencyKey, (self.scope, self.key))
        if row is None:
            return None
        if row.body_hash != _hash(body):
            raise Invalid(
                "This Idempotency-Key was used with another body.",
                code="idempotency_key_reused",
                hint="Use a new key for a new request.",
            )
        self.response.headers["Idempotent-Replayed"] = "true"
        return row.resource

    def made(self, session: Session, body: Any, resource: str) -> None:
        if self.key is None:
            return
        session.add(IdempotencyKey(scope=self.scope, key=self.key, body_hash=_hash(body), resource=resource))
        try:
            session.flush()
        except IntegrityError as error:
            raise Conflict(
                "A request with this Idempotency-Key is under way.", code="in_flight", hint="Send it again in a second."
            ) from error


async def _idempotency(
    request: Request,
    response: Response,
    idempotency_key: Annotated[str | None, Header(min_length=1, max_length=255)] = None,
) -> Idempotency:
    return Idempotency(request, response, idempotency_key)


IdempotencyHeader = Annotated[Idempotency, Depends(_idempotency)]


def _hash(body: Any) -> str:
    return hashlib.sha256(body.model_dump_json().encode()).hexdigest()
