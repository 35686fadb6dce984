"""Forgets what has had its time: keys of requests that were answered, deliveries that ended."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from sqlalchemy.orm import Mapped, Session, mapped_column

from ratchet import idempotency
from ratchet.db import Base, Identified, Leased
from ratchet.logs import logger
from ratchet.reconciler.loop import Reconciler
from ratchet.webhooks import service as webhooks

HOUSEKEEPING = "housekeeping"
"""The id of the only row."""
EVERY = timedelta(minutes=10)
PURGES: dict[str, Callable[[Session], int]] = {
    "idempotency_keys": idempotency.purge,
    "webhook_deliveries": webhooks.purge,
}

log = logger("housekeeping")


class Housekeeping(Identified, Leased, Base):
    __tablename__ = "housekeeping"

    forgotten: Mapped[int] = mapped_column(default=0)
    """Rows at the last round."""


class HousekeepingReconciler(Reconciler[Housekeeping, bool, None]):
    table = Housekeeping
    workers = 1

    def load(self, session: Session, row: Housekeeping) -> bool:
        return True

    def act(self, seen: bool) -> None:
        """Nothing: it is all in the database."""

    def record(self, session: Session, row: Housekeeping, seen: bool, found: None) -> timedelta:
        counts = {name: purge(session) for name, purge in PURGES.items()}
        row.forgotten = sum(counts.values())
        if row.forgotten:
            log.info("forgotten", **counts)
        return EVERY


def ensure(session: Session) -> None:
    if session.get(Housekeeping, HOUSEKEEPING) is None:
        session.add(Housekeeping(id=HOUSEKEEPING))
        session.flush()
