"""The queue told to a person: why a job waits, what for, behind whom, and when it will start."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from statistics import median

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from ratchet.db import now
from ratchet.jobs.schemas import Basis, WaitView
from ratchet.jobs.status import OCCUPYING, JobStatus, Reason
from ratchet.jobs.tables import Job
from ratchet.queue import service
from ratchet.queue.decide import Decision, Snapshot, Waiting, decide
from ratchet.queue.predict import Prediction, predict
from ratchet.queue.schemas import QueuedJobView, QueueView, RoomView

QUICK_S = 0.02
"""An outlook that takes longer is shared: for `SHARED_FOR` times as long as it took."""
SHARED_FOR = 5
PAST_JOBS = 500
"""The newest of a project that say how long its jobs take."""
MOST_NAMED = 20
STARTS = "It starts within moments."


class Outlook:
    """The queue as of now: the decision that would be made, and what follows of it."""

    def __init__(self, session: Session, max_jobs: int, extra: Sequence[Waiting] = ()) -> None:
        self.moment: datetime = now(session)
        found = service.snapshot(session, max_jobs)
        self.snapshot: Snapshot = replace(found, waiting=[*found.waiting, *extra])
        self.decision: Decision = decide(self.snapshot)
        self.places = {job.id: place for place, job in enumerate(self.decision.order, start=1)}
        self.predictions: dict[str, Prediction] = predict(self.snapshot, self.decision, _lasts_s(session))

    def wait(self, job_id: str, project: str) -> WaitView:
        wait = self.decision.waits.get(job_id)
        prediction = self.predictions.get(job_id) if wait else Prediction(0, True)
        place = self.places[job_id]
        return WaitView(
            waiting=True,
            reason=wait.reason if wait else None,
            message=wait.message if wait else STARTS,
            position=place,
            ahead=place - 1,
            predicted_start_at=self.at(prediction),
            predicted_start_basis=basis(prediction),
            blocked_by=self._blocked_by(job_id, project, wait.reason) if wait else [],
        )

    def at(self, prediction: Prediction | None) -> datetime | None:
        return None if prediction is None else self.moment + timedelta(seconds=prediction.starts_in_s)

    def _blocked_by(self, job_id: str, project: str, reason: Reason) -> list[str]:
        """Of its own project: those before it in the queue, or those that hold what it waits for."""
        if reason is Reason.WAITING_FOR_TURN:
            before = self.decision.order[: self.places[job_id] - 1]
            return [job.id for job in before if job.project == project][-MOST_NAMED:]
        if reason in (Reason.WAITING_FOR_ROOM, Reason.WAITING_FOR_QUOTA):
            return [job.id for job in self.snapshot.occupying if job.project == project][:MOST_NAMED]
        return []


class Outlooks:
    """The newest outlook of a process. Over thousands of jobs one takes tenths of a second, in which others ask the
    same: they get the same. Safe to share between threads."""

    def __init__(self, max_jobs: int) -> None:
        self.max_jobs = max_jobs
        self._lock = threading.Lock()
        self._newest: Outlook | None = None
        self._until = 0.0

    def get(self, session: Session, job_id: str | None = None) -> Outlook:
        """Of now, or of a moment ago; with the job in it, when one is named."""
        with self._lock:
            newest = self._newest
            if newest is None or time.monotonic() > self._until or (job_id and job_id not in newest.places):
                began = time.monotonic()
                newest = self._newest = Outlook(session, self.max_jobs)
                took = time.monotonic() - began
                self._until = began + took + (took * SHARED_FOR if took > QUICK_S else 0)
            return newest


def wait_of(session: Session, job: Job, outlooks: Outlooks) -> WaitView:
    """Why a job waits, as of now."""
    if job.status != JobStatus.QUEUED:
        return WaitView(waiting=False, reason=job.reason, message=f"It does not wait: it is {job.status}.", position=0)
    wait = outlooks.get(session, job.id).wait(job.id, job.project)
    if wait.reason == Reason.WAITING_FOR_RETRY:
        wait.message = job.message  # what it failed of
    return wait


def wait_of_draft(session: Session, job: Job, max_jobs: int) -> WaitView:
    """The same for a job that was not submitted: as if it were the newest."""
    needs = service.demand(job.cpus, job.gpus, job.memory_bytes, job.deadline_s)
    draft = Waiting(job.id, job.project, job.priority, needs, job.deadline_s)
    return Outlook(session, max_jobs, [draft]).wait(job.id, job.project)


def view(session: Session, outlooks: Outlooks, *, project: str | None, limit: int) -> QueueView:
    """The first jobs of the queue, or of one project's part of it."""
    outlook = outlooks.get(session)
    order = outlook.decision.order
    shown = [job for job in order if project in (None, job.project)][:limit]
    rows = _rows(session, [job.id for job in shown])
    items = []
    for job in shown:
        row, wait = rows[job.id], outlook.decision.waits.get(job.id)
        prediction = outlook.predictions.get(job.id) if wait else Prediction(0, True)
        items.append(
            QueuedJobView(
                id=row.id,
                project=row.project,
                kind=row.kind,
                name=row.name,
                priority=row.priority,
                position=outlook.places[job.id],
                reason=wait.reason if wait else "",
                message=wait.message if wait else STARTS,
                queued_at=row.queued_at or row.created_at,
                cpus=row.cpus,
                gpus=row.gpus,
                memory_bytes=row.memory_bytes,
                predicted_start_at=outlook.at(prediction),
                predicted_start_basis=basis(prediction),
            )
        )
    total, free = RoomView.of(outlook.snapshot.total), RoomView.of(outlook.snapshot.free)
    return QueueView(items=items, length=len(order), total=total, free=free)


def basis(prediction: Prediction | None) -> Basis | None:
    """What a predicted start rests on."""
    return None if prediction is None else "history" if prediction.by_history else "deadline"


def _rows(session: Session, ids: Sequence[str]) -> dict[str, Job]:
    wanted: ColumnElement[bool] = Job.id.in_(ids)
    return {row.id: row for row in session.scalars(select(Job).where(wanted))}


def _lasts_s(session: Session) -> dict[str, float]:
    """How long the jobs of the queue and of the cluster are expected to run, where their like has run before."""
    recipe = Job.spec["recipe"].as_string()
    alive = select(Job.id, Job.project, Job.kind, recipe).where(Job.status.in_([JobStatus.QUEUED, *OCCUPYING]))
    like = {id: tuple(rest) for id, *rest in session.execute(alive)}
    past: dict[tuple[str, ...], list[float]] = {}
    for project in {kind[0] for kind in like.values()}:
        ended = select(Job.project, Job.kind, recipe, Job.started_at, Job.ended_at)
        ended = ended.where(Job.project == project, Job.status == JobStatus.SUCCEEDED, Job.started_at.is_not(None))
        for *kind, started_at, ended_at in session.execute(ended.order_by(Job.id.desc()).limit(PAST_JOBS)):
            past.setdefault(tuple(kind), []).append((ended_at - started_at).total_seconds())
    medians = {kind: median(each) for kind, each in past.items()}
    return {id: medians[kind] for id, kind in like.items() if kind in medians}
