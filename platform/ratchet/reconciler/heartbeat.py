"""A reconciler's sign of life: renews the leases of the steps that act, and says in the database that it lives."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from sqlalchemy import delete, select, tuple_, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker

from ratchet import __version__
from ratchet.db import db_now, new_id, now
from ratchet.logs import logger
from ratchet.reconciler import claims, observe
from ratchet.reconciler.claims import LEASE, Claim
from ratchet.reconciler.tables import Instance

log = logger("reconciler")

BEAT_S = 2.5
"""Three may fail before a lease of `LEASE` runs out."""
SILENT = 2 * LEASE
"""A reconciler that has not been heard of for this long is counted as dead."""
FORGOTTEN = timedelta(hours=1)
AHEAD = timedelta(seconds=5)
"""A beat that is so far in the future was written before the database's clock was set back."""
LONGEST_STEP_S = 300.0
"""A step that acts for longer hangs: its lease is renewed no more, and another takes the row."""


class Heartbeat:
    """Runs in a thread of its own from `start` to `stop`; a process that is stopped (SIGSTOP) beats no more."""

    def __init__(self, sessions: sessionmaker[Session], tables: Sequence[Any] = ()) -> None:
        """`tables`: whose rows are looked at anew when the clock was set back."""
        self.id = new_id("rec")
        self._sessions = sessions
        self._tables = tables
        self._held: dict[Claim, float] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread and takes the instance off the list, when the database lets it."""
        self._stopping.set()
        self._thread.join()
        with self._logged("goodbye_failed"), self._sessions() as session:
            session.execute(delete(Instance).where(Instance.id == self.id))
            session.commit()

    @contextmanager
    def holding(self, claim: Claim) -> Iterator[None]:
        """Keep the lease while the step lasts, `LONGEST_STEP_S` at most."""
        with self._lock:
            self._held[claim] = time.monotonic()
        try:
            yield
        finally:
            with self._lock:
                del self._held[claim]

    def _run(self) -> None:
        while True:
            with self._logged("heartbeat_failed"):
                self.beat()
            if self._stopping.wait(BEAT_S):
                return

    def beat(self) -> None:
        """One transaction: the instance lives, and so do its leases. A claim that was lost stays lost."""
        moment = time.monotonic()
        observe.leases_held.set(len(self._held))
        with self._lock:  # a lease as young as a beat runs well past the next one
            held = [claim for claim, since in self._held.items() if BEAT_S <= moment - since < LONGEST_STEP_S]
        with self._sessions() as session:
            self._mind_the_clock(session)
            self._say_alive(session)
            for table in {claim.table for claim in held}:
                mine = [(claim.row_id, claim.token) for claim in held if claim.table is table]
                renewed = update(table).where(tuple_(table.id, table.lease).in_(mine))
                values = {"lease_until": now(session) + LEASE, "updated_at": table.updated_at}
                session.execute(renewed.values(values).execution_options(synchronize_session=False))
            session.commit()

    def _mind_the_clock(self, session: Session) -> None:
        moment = now(session)
        ahead = update(Instance).where(Instance.beat_at > moment + AHEAD).values(beat_at=moment)
        if session.execute(ahead).rowcount > 0:  # type: ignore[attr-defined]
            log.warning("clock_set_back", now=moment.isoformat())
            claims.start_over(session, self._tables)

    def _say_alive(self, session: Session) -> None:
        alive = update(Instance).where(Instance.id == self.id).values(beat_at=db_now())
        if session.execute(alive).rowcount == 0:  # type: ignore[attr-defined]
            session.add(Instance(id=self.id, host=socket.gethostname(), pid=os.getpid(), version=__version__))
            session.execute(delete(Instance).where(Instance.beat_at < now(session) - FORGOTTEN))
            session.flush()

    @contextmanager
    def _logged(self, event: str) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            log.warning(event, error=str(getattr(error, "orig", error)))


def living(session: Session) -> list[Instance]:
    """The reconcilers that have been heard of lately, the longest-lived first."""
    heard = select(Instance).where(Instance.beat_at > now(session) - SILENT).order_by(Instance.started_at)
    return list(session.scalars(heard))
