"""The queue: who may start, and why the others wait. By priority, then by age; a job gets all its room or none.

The order is strict: a small job does not overtake a large one that waits for room, else the large one might wait for
ever. A job that the cluster could not hold even when empty is passed over, so that it does not hold up the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import and_, func, or_, select, update
from sqlalchemy.orm import Session

from ratchet.db import db_now, now
from ratchet.jobs.status import OCCUPYING, JobStatus, Reason
from ratchet.jobs.tables import CLUSTER, Cluster, Job

EPSILON = 1e-9
"""Sums of tenths of a CPU are not exact."""
WOKEN = 8


@dataclass(frozen=True)
class Room:
    cpus: float
    gpus: float

    def holds(self, cpus: float, gpus: float) -> bool:
        return cpus <= self.cpus + EPSILON and gpus <= self.gpus + EPSILON


@dataclass(frozen=True)
class Demand:
    cpus: float
    gpus: float


@dataclass(frozen=True)
class Admission:
    """Whether a job may start; if not, why, and its place in the queue (from 1)."""

    admitted: bool
    position: int = 1
    reason: Reason | None = None
    message: str = ""


def decide(wanted: Demand, *, total: Room, used: Sequence[Demand], ahead: Sequence[Demand], max_jobs: int) -> Admission:
    """Pure. `used` are the jobs that hold room; `ahead` the queued ones whose turn is earlier."""
    position = len(ahead) + 1
    free = Room(total.cpus - sum(each.cpus for each in used), total.gpus - sum(each.gpus for each in used))

    def wait(message: str) -> Admission:
        return Admission(False, position, Reason.WAITING_FOR_ROOM, f"{message} Place {position} in the queue.")

    if not total.holds(wanted.cpus, wanted.gpus):
        return wait(f"Needs {_said(wanted)} at once; the whole cluster has {_said(total)}: it must grow first.")
    blocking = [each for each in ahead if total.holds(each.cpus, each.gpus)]
    if blocking:
        return wait(f"{len(blocking)} job(s) go first.")
    if len(used) >= max_jobs:
        return wait(f"{len(used)} jobs run, and at most {max_jobs} may at once.")
    if not free.holds(wanted.cpus, wanted.gpus):
        return wait(f"Needs {_said(wanted)} at once; {_said(free)} of {_said(total)} are free.")
    return Admission(True, position)


def admit(session: Session, job: Job, max_jobs: int, *, lock: bool) -> Admission:
    """The decision for a queued job. With `lock` no other admission can happen until the commit."""
    moment = now(session)
    if job.not_before is not None and job.not_before > moment:
        return Admission(False, 0, Reason.WAITING_FOR_RETRY, job.message)
    query = select(Cluster).where(Cluster.id == CLUSTER).execution_options(populate_existing=lock)
    cluster = session.scalar(query.with_for_update() if lock else query)
    ahead = session.execute(_queue(job, moment)).all()
    if cluster is None or cluster.status != "ready":
        message = (cluster.message if cluster else "") or "The cluster has not been seen yet."
        return Admission(False, len(ahead) + 1, Reason.WAITING_FOR_CLUSTER, message)
    used = session.execute(select(Job.cpus, Job.gpus).where(Job.status.in_(OCCUPYING), Job.id != job.id)).all()
    return decide(
        Demand(job.cpus, job.gpus),
        total=Room(cluster.cpus, cluster.gpus),
        used=[Demand(*each) for each in used],
        ahead=[Demand(*each) for each in ahead],
        max_jobs=max_jobs,
    )


def wake(session: Session) -> None:
    """Make the head of the queue due: called when room came free or the head left.

    Rows that somebody holds are passed over: they are being looked at, and waiting for them could dead-lock.
    """
    waiting = select(Job.id).where(Job.status == JobStatus.QUEUED, _ready(db_now()))
    head = waiting.order_by(Job.priority.desc(), Job.id).limit(WOKEN)
    ids = session.scalars(head.with_for_update(skip_locked=True)).all()
    if ids:
        due = update(Job).where(Job.id.in_(ids)).values(due_at=db_now(), updated_at=Job.updated_at)
        session.execute(due.execution_options(synchronize_session=False))


def queue_length(session: Session) -> int:
    return session.scalar(select(func.count()).select_from(Job).where(Job.status == JobStatus.QUEUED)) or 0


def _queue(before: Job, moment: datetime):  # type: ignore[no-untyped-def]
    """(cpus, gpus) of the queued jobs whose turn is before this one's."""
    earlier = or_(Job.priority > before.priority, and_(Job.priority == before.priority, Job.id < before.id))
    return select(Job.cpus, Job.gpus).where(Job.status == JobStatus.QUEUED, earlier, _ready(moment))


def _ready(moment: Any):  # type: ignore[no-untyped-def]
    """A job that waits out its back-off holds up nobody."""
    return or_(Job.not_before.is_(None), Job.not_before <= moment)


def _said(room: Room | Demand) -> str:
    cpus = f"{max(room.cpus, 0):g} CPUs"
    return f"{cpus} and {max(room.gpus, 0):g} GPUs" if room.gpus > 0 else cpus
