"""Watches Ray: whether its head answers, how large the cluster is, and that nothing of ours runs there unowned."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from prometheus_client import Counter
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from ratchet.clients.ports import Clients, ClusterInfo, EngineError, EngineSilent, RayJobs
from ratchet.db import db_now, new_id, now
from ratchet.jobs.status import UNREACHABLE, JobStatus
from ratchet.jobs.tables import Attempt, Cluster, Job
from ratchet.logs import logger
from ratchet.queue import service as queue
from ratchet.reconciler.loop import Reconciler

log = logger("cluster")

PROBE_EVERY = timedelta(seconds=1)
PROBE_AGAIN = timedelta(seconds=0.5)
SILENT_FOR = timedelta(seconds=2)
"""Ray's head gives its own check a tenth of a second: one miss on a busy machine means nothing."""
SIZE_EVERY = timedelta(seconds=5)
SWEEP_EVERY = timedelta(seconds=10)

orphans_stopped = Counter("ratchet_orphans_stopped", "Jobs in Ray that no live attempt owned, and that were stopped.")


@dataclass(frozen=True)
class Seen:
    instance: str
    ready: bool
    size: bool
    """Whether it is time to ask how large the cluster is."""
    sweep: bool
    """Whether it is time to ask what runs on it."""
    orphans: frozenset[str]
    """Submission ids that were found to run, and that no live attempt owns."""


@dataclass(frozen=True)
class Alive:
    size: ClusterInfo | None
    live: tuple[str, ...] | None
    """The jobs of this platform that Ray has; None when it was not asked, or did not say."""


Found = Alive | EngineError


class ClusterReconciler(Reconciler[Cluster, Seen, Found]):
    """One small look a second.

    An orphan is what a crash or a stopped process left: every attempt is written before Ray hears of it, so what runs
    and has no live attempt is nobody's. It takes two looks: one finds it, the next asks again and stops it.
    """

    table = Cluster
    workers = 1

    def __init__(self, clients: Clients) -> None:
        self.jobs: RayJobs = clients.jobs

    def load(self, session: Session, row: Cluster) -> Seen:
        moment = now(session)
        suspects = frozenset(row.orphans) - _owned(session, row.orphans)
        return Seen(
            instance=row.instance,
            ready=row.status == "ready",
            size=row.status != "ready" or _over(row.sized_at, SIZE_EVERY, moment),
            sweep=bool(suspects) or _over(row.swept_at, SWEEP_EVERY, moment),
            orphans=suspects,
        )

    def act(self, seen: Seen) -> Found:
        try:
            self.jobs.alive()
            size = self._size(seen) if seen.size else None
            live = None
            if seen.sweep and seen.instance and (live := self._sweep(seen)) is None:
                self.jobs.alive()  # the sweep may have waited for long: whether it answers now is what is noted
        except EngineError as error:
            return error
        return Alive(size, live)

    def _size(self, seen: Seen) -> ClusterInfo | None:
        try:
            return self.jobs.cluster()
        except EngineError as error:
            if isinstance(error, EngineSilent) or not seen.ready:
                raise
            return None  # the head lives and only did not say: what was known of its size stays

    def _sweep(self, seen: Seen) -> tuple[str, ...] | None:
        try:
            live = self.jobs.live_jobs(seen.instance)
            for orphan in seen.orphans.intersection(live):
                self.jobs.stop(orphan)
                orphans_stopped.inc()
                log.warning("orphan_stopped", submission=orphan)
        except EngineError as error:
            log.warning("sweep_failed", error=error.message)
            return None
        return tuple(live)

    def record(self, session: Session, row: Cluster, seen: Seen, found: Found) -> timedelta:
        moment = now(session)
        row.instance = row.instance or new_id("rt")
        if isinstance(found, EngineError):
            row.misses += 1
            if row.misses > 1 and unheard(row, moment):
                if row.status != UNREACHABLE:
                    _wake_running(session)
                row.status = UNREACHABLE
            if row.status != "ready":
                row.message = found.message
            return PROBE_EVERY if row.status == UNREACHABLE else PROBE_AGAIN
        before = (row.status, row.cpus, row.gpus, row.memory_bytes)
        row.status, row.message, row.misses, row.last_seen_at = "ready", "", 0, moment
        if found.size is not None:
            row.sized_at = moment
            row.cpus, row.gpus, row.memory_bytes = found.size.cpus, found.size.gpus, found.size.memory_bytes
        if found.live is not None:
            row.swept_at = moment
            row.orphans = sorted(set(found.live) - _owned(session, found.live))
        if (row.status, row.cpus, row.gpus, row.memory_bytes) != before:
            session.flush()
            queue.wake(session)
        return PROBE_EVERY


def unheard(row: Cluster | None, moment: datetime) -> bool:
    """Whether nobody has heard of Ray for so long that one who gets no answer either may take it for lost."""
    return row is None or _over(row.last_seen_at, SILENT_FOR, moment)


def _over(since: datetime | None, time: timedelta, moment: datetime) -> bool:
    """Whether so much time has passed; also when the clock was set back, and nobody can say."""
    return since is None or not timedelta(0) <= moment - since < time


def _wake_running(session: Session) -> None:
    """Have each running job looked at now. One that somebody holds is passed over: he is looking at it."""
    running = select(Job.id).where(Job.status == JobStatus.RUNNING).with_for_update(skip_locked=True)
    due = update(Job).where(Job.id.in_(running)).values(due_at=db_now(), updated_at=Job.updated_at)
    session.execute(due.execution_options(synchronize_session=False))


def _owned(session: Session, submissions: list[str] | tuple[str, ...]) -> frozenset[str]:
    """Those of them that are attempts which have not ended."""
    if not submissions:
        return frozenset()
    live = select(Attempt.submission_id).where(Attempt.submission_id.in_(submissions), Attempt.ended_at.is_(None))
    return frozenset(session.scalars(live))
