"""Claims: a lease on a row, with a fencing token, by the database's clock.

A lease is short (`LEASE`) and is renewed by `heartbeat` while the step acts: what a killed or stopped reconciler held
is free for the others within seconds, however long a step may take. A step that goes on after its lease was lost can't
record anything (`release`), and asks (`still_mine`) before each call that changes something outside.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, case, or_, select, update
from sqlalchemy.orm import Session, sessionmaker

from ratchet.db import now, read_only

LEASE = timedelta(seconds=10)


class StaleClaimError(Exception):
    """The lease was lost while acting: somebody else has the row now, and this result is dropped."""


@dataclass(frozen=True)
class Claim:
    table: Any
    """A mapped class with `Identified` and `Leased`."""
    row_id: str
    token: int

    def lost(self) -> StaleClaimError:
        return StaleClaimError(f"{self.table.__tablename__} {self.row_id}: the claim {self.token} was lost")


def due(table: Any, moment: Any) -> ColumnElement[bool]:
    """What may be claimed at a moment: due, and held by nobody."""
    return and_(table.due_at <= moment, or_(table.lease_until.is_(None), table.lease_until < moment))


def take(session: Session, table: Any, limit: int, lease: timedelta = LEASE) -> list[tuple[str, int]]:
    """Claim rows that are due and free, the longest due first; (id, fencing token) of each. Commits."""
    moment = now(session)
    free = select(table.id).where(due(table, moment)).order_by(table.due_at).limit(limit)
    # A CTE: as a plain subquery Postgres may run it again for every row, and take more than `limit`.
    chosen = free.with_for_update(skip_locked=True).cte("chosen")
    taken = session.execute(
        update(table)
        .where(table.id.in_(select(chosen.c.id)))
        .values(lease=table.lease + 1, lease_until=moment + lease, updated_at=table.updated_at)
        .returning(table.id, table.lease)
        .execution_options(synchronize_session=False)
    )
    claims = [(row_id, token) for row_id, token in taken]
    session.commit()
    return claims


def release(session: Session, claim: Claim, due_before: datetime | None) -> None:
    """Give the row back, due no more; unless somebody made it due anew while we acted: that stays.

    Raises `StaleClaimError`. The row stays locked until the commit, so nobody can take it in between.
    """
    table = claim.table
    given_back = (
        update(table)
        .where(table.id == claim.row_id, table.lease == claim.token)
        .values(
            lease_until=None,
            due_at=case((table.due_at == due_before, None), else_=table.due_at),
            updated_at=table.updated_at,
        )
        .execution_options(synchronize_session=False)
    )
    if session.execute(given_back).rowcount != 1:  # type: ignore[attr-defined]
        session.rollback()
        raise claim.lost()


def end_all(session: Session, tables: Sequence[Any]) -> None:
    """End every lease that is out: for the only reconciler of a database, those are of one that was killed.

    The tokens rise, so that should another live after all, what it records is dropped.
    """
    for table in tables:
        leased = update(table).where(table.lease_until.is_not(None))
        session.execute(leased.values(lease=table.lease + 1, lease_until=None, updated_at=table.updated_at))


_acting: ContextVar[tuple[sessionmaker[Session], Claim] | None] = ContextVar("acting", default=None)


@contextmanager
def acting(sessions: sessionmaker[Session], claim: Claim) -> Iterator[None]:
    """While a step acts: `still_mine` in the same thread speaks of this claim."""
    token = _acting.set((sessions, claim))
    try:
        yield
    finally:
        _acting.reset(token)


def still_mine() -> None:
    """Raises `StaleClaimError` when the step in this thread has lost its row; nothing outside of a step.

    Asked just before each call that changes something outside. A process can still be stopped between this and the
    call. What it then does late is found by the sweep of orphans (`jobs.reconcile.ClusterReconciler`).
    """
    found = _acting.get()
    if found is None:
        return
    sessions, claim = found
    with read_only(sessions) as session:
        held = select(claim.table.id).where(
            claim.table.id == claim.row_id, claim.table.lease == claim.token, claim.table.lease_until > now(session)
        )
        if session.scalar(held) is None:
            raise claim.lost()
