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
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Integer, Select, Update, and_, bindparam, case, null, or_, select, update
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.sql.dml import ReturningUpdate

from ratchet.db import UtcDateTime, db_now, now, read_only

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
    values = {"claim_moment": moment, "claim_until": moment + lease, "claim_most": limit}
    claims = [(row.id, row.lease) for row in session.connection().execute(_taking(table), values)]
    session.commit()
    return claims


@cache
def _taking(table: Any) -> ReturningUpdate[tuple[str, int]]:
    """Built once for each table, as the other statements of every step are. No column may have a parameter's name."""
    rows: Any = table.__table__
    moment, until = bindparam("claim_moment", type_=UtcDateTime()), bindparam("claim_until", type_=UtcDateTime())
    free = (
        select(rows.c.id)
        .where(due(rows.c, moment))
        .order_by(rows.c.due_at)
        .limit(bindparam("claim_most", type_=Integer))
    )
    # A CTE: as a plain subquery Postgres may run it again for every row, and take more than `most`.
    chosen = free.with_for_update(skip_locked=True).cte("chosen")
    taken = update(rows).where(rows.c.id.in_(select(chosen.c.id)))
    taken = taken.values(lease=rows.c.lease + 1, lease_until=until, updated_at=rows.c.updated_at)
    return taken.returning(rows.c.id, rows.c.lease)


def release(session: Session, claim: Claim, due_before: datetime | None) -> None:
    """Give the row back, due no more; unless somebody made it due anew while we acted: that stays.

    Raises `StaleClaimError`. The row stays locked until the commit, so nobody can take it in between.
    """
    values = {"claim_row_id": claim.row_id, "claim_token": claim.token, "claim_due_before": due_before}
    if session.connection().execute(_giving_back(claim.table), values).rowcount != 1:
        session.rollback()
        raise claim.lost()


@cache
def _giving_back(table: Any) -> Update:
    rows: Any = table.__table__
    mine = update(rows).where(rows.c.id == bindparam("claim_row_id"), rows.c.lease == bindparam("claim_token"))
    unchanged = rows.c.due_at == bindparam("claim_due_before", type_=UtcDateTime())
    due_at = case((unchanged, null()), else_=rows.c.due_at)
    return mine.values(lease_until=null(), due_at=due_at, updated_at=rows.c.updated_at)


def end_all(session: Session, tables: Sequence[Any]) -> None:
    """End every lease that is out: for the only reconciler of a database, those are of one that was killed.

    The tokens rise, so that should another live after all, what it records is dropped.
    """
    for table in tables:
        leased = update(table).where(table.lease_until.is_not(None))
        session.execute(leased.values(lease=table.lease + 1, lease_until=None, updated_at=table.updated_at))


def start_over(session: Session, tables: Sequence[Any]) -> None:
    """The database's clock was set back: nothing may wait, or be held, until an hour comes that has been before."""
    end_all(session, tables)
    for table in tables:
        waiting = update(table).where(table.due_at > now(session))
        session.execute(waiting.values(due_at=db_now(), updated_at=table.updated_at))


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
        values = {"claim_row_id": claim.row_id, "claim_token": claim.token, "claim_moment": now(session)}
        if session.connection().execute(_holding(claim.table), values).one_or_none() is None:
            raise claim.lost()


@cache
def _holding(table: Any) -> Select[str]:
    rows: Any = table.__table__
    mine = select(rows.c.id).where(rows.c.id == bindparam("claim_row_id"), rows.c.lease == bindparam("claim_token"))
    return mine.where(rows.c.lease_until > bindparam("claim_moment", type_=UtcDateTime()))
