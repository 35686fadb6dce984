"""Claim rows that are due, act on the world, record what was found: the loop under every reconciler.

A claim is a lease with a fencing token. A step has three phases, and no outside call is made with a session open:

    load     what should be (short session)
    act      look at the world and do the one next thing (no session; may take seconds, may crash)
    record   write what was found (short session, fenced)

A step must be able to crash anywhere and be run again: it looks at what is, never at what it remembers.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar

from sqlalchemy import or_, select, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session, sessionmaker

from ratchet.db import now, read_only
from ratchet.logs import logger

log = logger("reconciler")

Row = TypeVar("Row", bound=Any)
Seen = TypeVar("Seen")
Found = TypeVar("Found")


class StaleClaimError(Exception):
    """The lease was lost while acting: somebody else has the row now, and this result is dropped."""


class Reconciler(ABC, Generic[Row, Seen, Found]):
    """The part of a reconciler that differs between domains."""

    table: type[Row]
    """A mapped class with `Identified` and `Leased`."""
    lease_for = timedelta(seconds=60)
    """Longer than `act` can take with all its time-outs; after it another reconciler takes over."""
    workers = 4
    """Steps at once in this process."""
    poll = timedelta(seconds=0.25)
    retry_after = timedelta(seconds=5)
    """How long a row rests after a step that raised: a step that always fails must not spin."""

    @property
    def name(self) -> str:
        return str(self.table.__tablename__)

    @abstractmethod
    def load(self, session: Session, row: Row) -> Seen | None:
        """What the step needs to know; None when there is nothing to do."""

    @abstractmethod
    def act(self, seen: Seen) -> Found:
        """Outside calls, each with a time-out. A failure that is part of life is a value, not an exception."""

    @abstractmethod
    def record(self, session: Session, row: Row, seen: Seen, found: Found) -> timedelta | None:
        """Write what was found, and say when to look again (None: never, until somebody makes the row due)."""


def claim(session: Session, reconciler: Reconciler[Any, Any, Any], limit: int) -> list[tuple[str, int]]:
    """Take rows that are due and free, oldest first; returns (id, fencing token) of each."""
    table, moment = reconciler.table, now(session)
    free = or_(table.lease_until.is_(None), table.lease_until < moment)
    query = select(table.id, table.lease).where(table.due_at <= moment, free).order_by(table.due_at).limit(limit)
    taken = []
    for row_id, lease in session.execute(query.with_for_update(skip_locked=True)).all():
        won = session.execute(
            update(table)
            .where(table.id == row_id, table.lease == lease)
            .values(lease=lease + 1, lease_until=moment + reconciler.lease_for, updated_at=table.updated_at)
            .execution_options(synchronize_session=False)
        )
        if won.rowcount == 1:  # type: ignore[attr-defined]
            taken.append((row_id, lease + 1))
    session.commit()
    return taken


def step(sessions: sessionmaker[Session], reconciler: Reconciler[Any, Any, Any], row_id: str, lease: int) -> None:
    """One look at one claimed row. Raises `StaleClaimError` when the claim was lost meanwhile."""
    with read_only(sessions) as session:
        row = session.get(reconciler.table, row_id)
        seen = reconciler.load(session, row) if row is not None else None
        due_before = row.due_at if row is not None else None
    found = reconciler.act(seen) if seen is not None else None
    with sessions() as session:
        # Fenced first: the row is locked by this update until the commit, so nobody can take it in between.
        _release(session, reconciler.table, row_id, lease, due_before)
        if seen is not None:
            row = session.get_one(reconciler.table, row_id)
            again = reconciler.record(session, row, seen, found)
            if again is not None and row.due_at is None:
                row.due_at = now(session) + again
        session.commit()


def _release(session: Session, table: Any, row_id: str, lease: int, due_before: datetime | None) -> None:
    """Give the row back, due no more; unless somebody made it due anew while we acted: that stays."""
    fenced = update(table).where(table.id == row_id, table.lease == lease).execution_options(synchronize_session=False)
    if session.execute(fenced.values(lease_until=None, updated_at=table.updated_at)).rowcount != 1:  # type: ignore[attr-defined]
        session.rollback()
        raise StaleClaimError(f"{table.__tablename__} {row_id}: lease {lease} was lost")
    session.execute(fenced.where(table.due_at == due_before).values(due_at=None, updated_at=table.updated_at))


def make_due(session: Session, row: Any) -> None:
    """Ask for a look now: what a service calls when it changed what should be."""
    session.flush()
    row.due_at = now(session)


class Loop:
    """Runs reconcilers, each in a thread of its own, until stopped."""

    def __init__(self, sessions: sessionmaker[Session], reconcilers: Sequence[Reconciler[Any, Any, Any]]) -> None:
        self.sessions = sessions
        self.reconcilers = reconcilers
        self.stopping = threading.Event()
        self.beats: dict[str, datetime] = {}

    def take_over(self) -> None:
        """End every lease that is out: for the only reconciler of a database, those are of one that was killed.

        The tokens rise, so that should another live after all, what it records is dropped.
        """
        with self.sessions() as session:
            for table in {reconciler.table for reconciler in self.reconcilers}:
                leased = update(table).where(table.lease_until.is_not(None))
                session.execute(leased.values(lease=table.lease + 1, lease_until=None, updated_at=table.updated_at))
            session.commit()

    def run(self) -> None:
        threads = [threading.Thread(target=self._run, args=[each], name=each.name) for each in self.reconcilers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def stop(self) -> None:
        self.stopping.set()

    def _run(self, reconciler: Reconciler[Any, Any, Any]) -> None:
        with ThreadPoolExecutor(reconciler.workers, thread_name_prefix=reconciler.name) as pool:
            while not self.stopping.is_set():
                taken = self._claim(reconciler)
                list(pool.map(lambda claimed: self._step(reconciler, *claimed), taken))
                if not taken:
                    self.stopping.wait(reconciler.poll.total_seconds())

    def _claim(self, reconciler: Reconciler[Any, Any, Any]) -> list[tuple[str, int]]:
        try:
            with read_only(self.sessions) as session:  # most looks find nothing, and need no write lock
                table, moment = reconciler.table, now(session)
                if session.scalar(select(table.id).where(table.due_at <= moment).limit(1)) is None:
                    return []
            with self.sessions() as session:
                return claim(session, reconciler, reconciler.workers)
        except DBAPIError as error:
            log.warning("claim_failed", reconciler=reconciler.name, error=str(error.orig))
            self.stopping.wait(1)
            return []

    def _step(self, reconciler: Reconciler[Any, Any, Any], row_id: str, lease: int) -> None:
        try:
            step(self.sessions, reconciler, row_id, lease)
        except StaleClaimError as error:
            log.info("stale_claim", reconciler=reconciler.name, row=row_id, error=str(error))
        except Exception:
            log.exception("step_failed", reconciler=reconciler.name, row=row_id)
            self._postpone(reconciler, row_id, lease)

    def _postpone(self, reconciler: Reconciler[Any, Any, Any], row_id: str, lease: int) -> None:
        """Give the row back for later. When even this fails the lease runs out by itself."""
        table = reconciler.table
        mine = update(table).where(table.id == row_id, table.lease == lease)
        try:
            with self.sessions() as session:
                due_at = now(session) + reconciler.retry_after
                session.execute(mine.values(lease_until=None, due_at=due_at, updated_at=table.updated_at))
                session.commit()
        except DBAPIError as error:
            log.warning("postpone_failed", reconciler=reconciler.name, row=row_id, error=str(error.orig))
