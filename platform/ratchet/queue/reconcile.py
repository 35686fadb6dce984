"""Decides the queue whenever something changed in it: one decision at a time, whoever makes it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Select, select, update
from sqlalchemy.orm import Session

from ratchet import events
from ratchet.db import now
from ratchet.jobs import service as jobs
from ratchet.jobs.status import JobStatus, Reason
from ratchet.jobs.tables import Job
from ratchet.queue import service
from ratchet.queue.decide import RETRY, Decision, Preemption, Snapshot, Wait, decide
from ratchet.queue.tables import Queue
from ratchet.reconciler.loop import Reconciler, make_due
from ratchet.settings import Settings

LOOK_EVERY = timedelta(seconds=5)
"""It is woken by what happens: this is for the case that a wake-up is lost, and for what time alone changes."""
QUICK = timedelta(seconds=0.02)
"""A decision that takes longer is followed by as long a rest."""
AT_ONCE_IN_SQL = 500


@dataclass(frozen=True)
class Seen:
    snapshot: Snapshot
    said: dict[str, tuple[str | None, str]]
    """The reason and message that each queued job has."""
    since: float


class QueueReconciler(Reconciler[Queue, Seen, Decision]):
    table = Queue
    workers = 1

    def __init__(self, settings: Settings) -> None:
        self.max_jobs = settings.max_concurrent_jobs

    def load(self, session: Session, row: Queue) -> Seen:
        since = time.monotonic()
        said = select(Job.id, Job.reason, Job.message).where(Job.status == JobStatus.QUEUED)
        return Seen(
            service.snapshot(session, self.max_jobs),
            {id: (reason, message) for id, reason, message in session.execute(said)},
            since,
        )

    def act(self, seen: Seen) -> Decision:
        return decide(seen.snapshot)

    def record(self, session: Session, row: Queue, seen: Seen, found: Decision) -> timedelta:
        self._start(session, found.starts)
        self._preempt(session, found.preemptions)
        self._explain(session, seen, found)
        held = [timedelta(seconds=job.held_s) for job in seen.snapshot.waiting if job.held_s > 0]
        took = timedelta(seconds=time.monotonic() - seen.since)
        row.rest_until = now(session) + took if took > QUICK else None
        return max(min([LOOK_EVERY, *held]), took)

    def _start(self, session: Session, ids: list[str]) -> None:
        waiting = self._take(session, select(Job).where(Job.id.in_(ids), Job.status == JobStatus.QUEUED))
        for job_id in ids:
            if (job := waiting.get(job_id)) is not None:
                jobs.start_attempt(session, job)
                jobs.move(session, job, JobStatus.STARTING, actor=events.SYSTEM)
                make_due(session, job)

    def _preempt(self, session: Session, preemptions: list[Preemption]) -> None:
        victims = select(Job).where(
            Job.id.in_([each.victim for each in preemptions]), Job.status == JobStatus.RUNNING, Job.preemptible
        )
        for job in self._take(session, victims).values():
            message = "A job of a higher priority needs its room: it is asked to stop at its next checkpoint."
            jobs.move(session, job, JobStatus.PREEMPTING, reason=Reason.PREEMPTED, message=message, actor=events.SYSTEM)
            make_due(session, job)

    def _explain(self, session: Session, seen: Seen, found: Decision) -> None:
        """Say to each job why it waits. Only what is new is written: a long queue does not change much at once. One
        that waits out a back-off goes on saying what it failed of."""
        told: dict[Wait, list[str]] = {}
        for job_id, wait in found.waits.items():
            if wait is not RETRY and seen.said.get(job_id) != wait:
                told.setdefault(wait, []).append(job_id)
        for wait, ids in told.items():
            for first in range(0, len(ids), AT_ONCE_IN_SQL):
                some = select(Job.id).where(
                    Job.id.in_(ids[first : first + AT_ONCE_IN_SQL]), Job.status == JobStatus.QUEUED
                )
                note = update(Job).where(Job.id.in_(some.with_for_update(skip_locked=True)))
                note = note.values(reason=wait.reason.value, message=wait.message)
                session.execute(note.execution_options(synchronize_session=False))

    @staticmethod
    def _take(session: Session, query: Select[Job]) -> dict[str, Job]:
        """The rows, locked. One that somebody holds is passed over until the next decision: its holder may wait for
        the queue's row, which is locked here."""
        return {row.id: row for row in session.scalars(query.with_for_update(skip_locked=True))}
