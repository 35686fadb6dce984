"""Claim rows that are due, act on the world, record what was found: the loop under every reconciler.

A claim is a lease with a fencing token (`claims`). A step has three phases, and no outside call is made with a session
open:

    load     what should be (short session)
    act      look at the world and do the one next thing (no session; may take seconds, may crash)
    record   write what was found (short session, fenced)

A step must be able to crash anywhere and be run again: it looks at what is, never at what it remembers.
"""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any, Generic, TypeVar

from sqlalchemy import CompoundSelect, bindparam, exists, literal, select, union_all, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker

from ratchet.db import UtcDateTime, now, read_only
from ratchet.logs import logger, request_id
from ratchet.reconciler import claims, observe
from ratchet.reconciler.claims import LEASE, Claim, StaleClaimError
from ratchet.reconciler.heartbeat import Heartbeat

log = logger("reconciler")

Row = TypeVar("Row", bound=Any)
Seen = TypeVar("Seen")
Found = TypeVar("Found")

POLL_S = 0.1
"""How often the database is asked, in one query for all reconcilers, what is due; sooner when a step has ended."""
LEAST_S = 0.02
"""But never sooner than this."""
PAUSE_S = 1.0
"""After the database failed."""
UNHEALTHY_S = 60.0
"""A loop that has not even tried to ask the database for so long is stuck: to be ended and started anew."""


class Reconciler(ABC, Generic[Row, Seen, Found]):
    """The part of a reconciler that differs between domains."""

    table: type[Row]
    """A mapped class with `Identified` and `Leased`."""
    workers = 4
    """Steps at once in this process."""
    lease_for = LEASE
    """Renewed while the step acts: no step needs a longer one."""
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
    return claims.take(session, reconciler.table, limit, reconciler.lease_for)


def step(sessions: sessionmaker[Session], reconciler: Reconciler[Any, Any, Any], row_id: str, lease: int) -> None:
    """One look at one claimed row. Raises `StaleClaimError` when the claim was lost meanwhile."""
    mine = Claim(reconciler.table, row_id, lease)
    with read_only(sessions) as session:
        row = session.get(reconciler.table, row_id)
        request_id.set(getattr(row, "request_id", None) or "")
        seen = reconciler.load(session, row) if row is not None else None
        due_before = row.due_at if row is not None else None
    found = None
    if seen is not None:
        with claims.acting(sessions, mine):
            found = reconciler.act(seen)
    with sessions() as session:
        claims.release(session, mine, due_before)
        if seen is not None:
            row = session.get_one(reconciler.table, row_id)
            again = reconciler.record(session, row, seen, found)
            if again is not None and row.due_at is None:
                row.due_at = now(session) + again
        session.commit()


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
        self.stirred = threading.Event()
        """A step has ended: it may have made other rows due, which are looked for at once."""
        self.tables = list({reconciler.table for reconciler in reconcilers})
        self.heartbeat = Heartbeat(sessions, self.tables)
        self._asked_at = time.monotonic()
        self._whose_turn = _whose_turn(reconcilers)
        self.runners = [Runner(self, each) for each in reconcilers]

    def take_over(self) -> None:
        """What the only reconciler of a database (SQLite) does at its start, so as not to wait for dead leases."""
        with self.sessions() as session:
            claims.end_all(session, self.tables)
            session.commit()

    def run(self) -> None:
        self.heartbeat.start()
        for runner in self.runners:
            runner.start()
        try:
            while not self.stopping.is_set():
                due = self.due()
                for runner in self.runners:
                    if due is None or runner.reconciler.name in due:
                        runner.wake.set()
                if due is None:
                    self.stopping.wait(PAUSE_S)
                else:
                    self.stirred.wait(POLL_S)
                    self.stirred.clear()
                    self.stopping.wait(max(self._asked_at + LEAST_S - time.monotonic(), 0))
        finally:
            self.stop()
            for runner in self.runners:
                runner.wake.set()
            for runner in self.runners:
                runner.join()
            self.heartbeat.stop()

    def stop(self) -> None:
        self.stopping.set()
        self.stirred.set()

    def healthy(self) -> bool:
        """Whether every thread goes on, and the database was asked what is due not long ago."""
        fresh = time.monotonic() - self._asked_at < UNHEALTHY_S
        return fresh and not self.stopping.is_set() and all(runner.is_alive() for runner in self.runners)

    def due(self) -> set[str] | None:
        """Names of the reconcilers that have something to do; None when the database did not say."""
        self._asked_at = time.monotonic()
        try:
            with read_only(self.sessions) as session:  # most looks find nothing, and need no write lock
                found = session.connection().execute(self._whose_turn, {"moment": now(session)})
                return set(found.scalars())
        except SQLAlchemyError as error:
            observe.database_failures.inc()
            log.warning("poll_failed", error=str(getattr(error, "orig", error)))
            return None


def _whose_turn(reconcilers: Iterable[Reconciler[Any, Any, Any]]) -> CompoundSelect[Any]:
    moment = bindparam("moment", type_=UtcDateTime())
    return union_all(
        *(select(literal(each.name)).where(exists().where(claims.due(each.table, moment))) for each in reconcilers)
    )


class Runner(threading.Thread):
    """One reconciler of a loop: claims as many rows as it has workers free, and goes on while there are any."""

    def __init__(self, loop: Loop, reconciler: Reconciler[Any, Any, Any]) -> None:
        super().__init__(name=reconciler.name)
        self.loop = loop
        self.reconciler = reconciler
        self.wake = threading.Event()
        """Something is due, or a worker came free where all were busy."""
        self._busy = 0
        self._lock = threading.Lock()

    def run(self) -> None:
        try:
            with ThreadPoolExecutor(self.reconciler.workers, thread_name_prefix=self.name) as pool:
                while not self.loop.stopping.is_set():
                    self.wake.wait()
                    self.wake.clear()
                    free = self.free()
                    while taken := self.claim(free):
                        for row_id, lease in taken:
                            pool.submit(self.step, row_id, lease)
                        if len(taken) < free:
                            break  # there were no more
                        free = self.free()
        finally:  # a loop with one reconciler less would look alive: rather none, and a new start
            self.loop.stop()

    def free(self) -> int:
        with self._lock:
            return self.reconciler.workers - self._busy

    def claim(self, free: int) -> list[tuple[str, int]]:
        """As many rows as there are workers free; none when the database did not answer."""
        if not free or self.loop.stopping.is_set():
            return []
        try:
            with self.loop.sessions() as session:
                taken = claim(session, self.reconciler, free)
        except SQLAlchemyError as error:
            observe.database_failures.inc()
            log.warning("claim_failed", reconciler=self.name, error=str(getattr(error, "orig", error)))
            self.loop.stopping.wait(PAUSE_S)
            return []
        with self._lock:
            self._busy += len(taken)
        return taken

    def step(self, row_id: str, lease: int) -> None:
        """One step of a claimed row. Whatever it raises is logged, and the row is given back."""
        began, outcome = time.perf_counter(), "ok"
        try:
            with self.loop.heartbeat.holding(Claim(self.reconciler.table, row_id, lease)):
                step(self.loop.sessions, self.reconciler, row_id, lease)
        except StaleClaimError as error:
            outcome = "stale"
            log.info("stale_claim", reconciler=self.name, row=row_id, error=str(error))
        except Exception:
            outcome = "failed"
            log.exception("step_failed", reconciler=self.name, row=row_id, seconds=time.perf_counter() - began)
            self._postpone(row_id, lease)
        finally:
            observe.steps_total.labels(self.name, outcome).inc()
            observe.step_seconds.labels(self.name).observe(time.perf_counter() - began)
            with self._lock:
                full = self._busy == self.reconciler.workers
                self._busy -= 1
            if full:  # there may be rows that none was free for
                self.wake.set()
            self.loop.stirred.set()

    def _postpone(self, row_id: str, lease: int) -> None:
        """Give the row back for later. When even this fails the lease runs out by itself."""
        table = self.reconciler.table
        mine = update(table).where(table.id == row_id, table.lease == lease)
        try:
            with self.loop.sessions() as session:
                due_at = now(session) + self.reconciler.retry_after
                session.execute(mine.values(lease_until=None, due_at=due_at, updated_at=table.updated_at))
                session.commit()
        except SQLAlchemyError as error:
            log.warning("postpone_failed", reconciler=self.name, row=row_id, error=str(getattr(error, "orig", error)))
