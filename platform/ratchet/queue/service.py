"""The queue as the database has it: waking it, and what a decision is made by."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import Row, Update, and_, case, func, or_, select, update
from sqlalchemy.orm import Session

from ratchet.db import db_now, now
from ratchet.jobs.retry import LONGEST_S
from ratchet.jobs.status import OCCUPYING, JobStatus
from ratchet.jobs.tables import CLUSTER, Attempt, Cluster, Job
from ratchet.queue.amounts import HOUR_S, UNLIMITED, Amount
from ratchet.queue.decide import Occupying, Rules, Snapshot, Waiting
from ratchet.queue.tables import QUEUE, GpuUsage, Queue, Quota

LEAVING = frozenset({JobStatus.PREEMPTING, JobStatus.CANCELLING})
LEAVES_IN_S = 150.0
"""A job that was asked to stop has been stopped hard by then."""


def wake(session: Session) -> None:
    """Have the queue decided anew, soon: called when a job came or left, room came free, or a limit changed.

    Nothing is written when it is to be looked at anyway: so submissions don't stand in line for this row. While a
    decision is being made the first wake-up writes, since that decision may have been too early to see the change.
    """
    session.flush()
    session.connection().execute(_waking())


@cache
def _waking() -> Update:
    """Built once: every submission says it."""
    soon = case((Queue.rest_until > db_now(), Queue.rest_until), else_=db_now())
    deciding = and_(Queue.lease_until.is_not(None), Queue.woken_lease != Queue.lease)
    asleep = or_(Queue.due_at.is_(None), Queue.due_at > soon, deciding)
    woken = update(Queue).where(Queue.id == QUEUE, asleep)
    woken = woken.values(due_at=soon, woken_lease=Queue.lease, updated_at=Queue.updated_at)
    return woken.execution_options(synchronize_session=False)


def length(session: Session) -> int:
    return session.scalar(select(func.count()).select_from(Job).where(Job.status == JobStatus.QUEUED)) or 0


def snapshot(session: Session, max_jobs: int) -> Snapshot:
    """What is queued, what holds room, and the limits, as of now."""
    moment = now(session)
    cluster = session.get(Cluster, CLUSTER)
    unseen = None
    if cluster is None or cluster.status != "ready":
        unseen = (cluster.message if cluster else "") or "The cluster has not been seen yet."
    return Snapshot(
        total=total(cluster, max_jobs),
        waiting=_waiting(session, moment),
        occupying=occupying(session, moment),
        projects=_rules(session, moment),
        unseen=unseen,
        month_ends_in_s=(month_end(moment) - moment).total_seconds(),
    )


def total(cluster: Cluster | None, max_jobs: int) -> Amount:
    if cluster is None:
        return Amount(jobs=max_jobs)
    return Amount(cluster.cpus, cluster.gpus, cluster.memory_bytes, max_jobs)


def demand(cpus: float, gpus: float, memory_bytes: int, deadline_s: float) -> Amount:
    return Amount(cpus, gpus, memory_bytes, 1, gpus * deadline_s)


def _held_s(not_before: datetime | None, moment: datetime) -> float:
    held_s = 0 if not_before is None else (not_before - moment).total_seconds()
    return held_s if 0 < held_s <= LONGEST_S else 0


def _waiting(session: Session, moment: datetime) -> list[Waiting]:
    query = select(
        Job.id,
        Job.project,
        Job.priority,
        Job.cpus,
        Job.gpus,
        Job.memory_bytes,
        Job.deadline_s,
        Job.waited_s,
        func.coalesce(Job.queued_at, Job.created_at),
        Job.not_before,
    ).where(Job.status == JobStatus.QUEUED)
    return [
        Waiting(
            id,
            project,
            priority,
            demand(cpus, gpus, memory_bytes, deadline_s),
            deadline_s,
            waited_s + (moment - queued_at).total_seconds(),
            _held_s(not_before, moment),
        )
        for (
            id,
            project,
            priority,
            cpus,
            gpus,
            memory_bytes,
            deadline_s,
            waited_s,
            queued_at,
            not_before,
        ) in session.execute(query)
    ]


def occupying(session: Session, moment: datetime, project: str | None = None) -> list[Occupying]:
    """The jobs that hold room: all of them, or those of one project."""
    started = and_(Attempt.job_id == Job.id, Attempt.number == Job.attempt)
    query = select(
        Job.id,
        Job.project,
        Job.status,
        Job.priority,
        Job.cpus,
        Job.gpus,
        Job.memory_bytes,
        Job.deadline_s,
        Job.deadline_at,
        Job.waited_s,
        Job.preemptible,
        Attempt.started_at,
    )
    # A job that is cancelled while it is queued again holds nothing: its newest attempt has ended.
    query = query.outerjoin(Attempt, started).where(Job.status.in_(OCCUPYING), Attempt.ended_at.is_(None))
    found = []
    for row in session.execute(query if project is None else query.where(Job.project == project)):
        status = JobStatus(row.status)
        remaining = row.deadline_s if row.deadline_at is None else max(_seconds(row.deadline_at, moment), 0)
        leaving = status in LEAVING
        ends_in_s = min(remaining, LEAVES_IN_S) if leaving else remaining
        this_month = _seconds(moment, max(row.started_at or moment, month_start(moment)))
        found.append(
            Occupying(
                row.id,
                row.project,
                row.priority,
                Amount(row.cpus, row.gpus, row.memory_bytes, 1, row.gpus * (this_month + ends_in_s)),
                ends_in_s,
                row.waited_s,
                _seconds(moment, row.started_at or moment),
                preemptible=row.preemptible and status is JobStatus.RUNNING,
                leaving=leaving,
            )
        )
    return found


def _rules(session: Session, moment: datetime) -> dict[str, Rules]:
    used = select(GpuUsage.project, GpuUsage.gpu_s).where(GpuUsage.month == month_of(moment))
    spent: dict[str, float] = dict(session.execute(used).all())
    rules = {row.project: Rules(limits(row), row.weight) for row in session.scalars(select(Quota))}
    return {
        project: rules.get(project, Rules())._replace(spent_gpu_s=spent.get(project, 0)) for project in rules | spent
    }


def limits(row: Quota | Row[*tuple[Any, ...]] | None) -> Amount:
    """A quota, or the columns of one, as an amount: infinite where there is no limit."""
    if row is None:
        return UNLIMITED
    hours = None if row.gpu_hours is None else row.gpu_hours * HOUR_S
    given = (row.cpus, row.gpus, row.memory_bytes, row.jobs, hours)
    return Amount(*[UNLIMITED.cpus if each is None else each for each in given])


def month_of(moment: datetime) -> str:
    return f"{moment:%Y-%m}"


def month_start(moment: datetime) -> datetime:
    return datetime(moment.year, moment.month, 1, tzinfo=UTC)


def month_end(moment: datetime) -> datetime:
    return month_start(month_start(moment) + timedelta(days=32))


def months(start: datetime, end: datetime) -> Iterable[tuple[str, float]]:
    """The seconds of each calendar month between two moments."""
    while start < end:
        until = min(month_end(start), end)
        yield month_of(start), _seconds(until, start)
        start = until


def _seconds(later: datetime, earlier: datetime) -> float:
    return (later - earlier).total_seconds()
