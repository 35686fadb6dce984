"""What may be done with quotas: read, set, held against a spec, charged with what was used."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import bindparam, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session, load_only

from ratchet import events
from ratchet.db import now
from ratchet.jobs.tables import CLUSTER, Cluster
from ratchet.queue import service
from ratchet.queue.amounts import Amount
from ratchet.queue.schemas import NewQuota, QuotaUsage, QuotaView
from ratchet.queue.tables import GpuUsage, Quota

# Built once, with no more columns than are needed: every submission asks it.
_BOUNDS = (
    select(Cluster, Quota)
    .outerjoin(Quota, Quota.project == bindparam("project"))
    .where(Cluster.id == CLUSTER)
    .options(
        load_only(Cluster.cpus, Cluster.gpus, Cluster.memory_bytes, Cluster.last_seen_at, Cluster.instance),
        load_only(Quota.cpus, Quota.gpus, Quota.memory_bytes, Quota.jobs, Quota.gpu_hours),
    )
)


def get(session: Session, project: str) -> QuotaView:
    """The project's limits, and what it holds and has used of them."""
    row = session.get(Quota, project)
    taken = _held(session, project)
    values = NewQuota() if row is None else NewQuota.model_validate(row, from_attributes=True)
    return QuotaView(
        **values.model_dump(),
        project=project,
        used=QuotaUsage.of(taken),
        updated_at=None if row is None else row.updated_at,
    )


def put(session: Session, project: str, new: NewQuota, *, actor: str) -> QuotaView:
    """Set all limits of a project; one that is not given is lifted. What runs goes on, also above a new limit."""
    row = session.get(Quota, project, with_for_update=True)
    before = None if row is None else NewQuota.model_validate(row, from_attributes=True).model_dump()
    if row is None:
        row = Quota(project=project)
        session.add(row)
    for name, value in new.model_dump().items():
        setattr(row, name, value)
    events.emit(
        session,
        project=project,
        actor=actor,
        action="quota.set",
        target=("quota", project),
        before=before,
        after=new.model_dump(),
    )
    session.flush()
    service.wake(session)
    session.refresh(row)
    return get(session, project)


def bounds(session: Session, project: str) -> tuple[Cluster | None, Amount]:
    """The cluster, and the project's limits: all that a submission is held against, at one look."""
    found = session.execute(_BOUNDS, {"project": project}).one_or_none()
    cluster, quota = found if found is not None else (None, session.get(Quota, project))
    return cluster, service.limits(quota)


def charge(session: Session, *, project: str, gpus: float, start: datetime, end: datetime) -> None:
    """Enter the GPU time of an attempt that has ended, in each month that it ran in."""
    if not gpus:
        return
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    for month, seconds in service.months(start, end):
        entry = insert(GpuUsage).values(project=project, month=month, gpu_s=gpus * seconds)
        more = {"gpu_s": GpuUsage.gpu_s + entry.excluded.gpu_s}
        session.execute(entry.on_conflict_do_update(index_elements=["project", "month"], set_=more))


def _held(session: Session, project: str) -> Amount:
    moment = now(session)
    spent = select(GpuUsage.gpu_s).where(GpuUsage.project == project, GpuUsage.month == service.month_of(moment))
    total = Amount(gpu_s=session.scalar(spent) or 0)
    for job in service.occupying(session, moment, project):
        total = total.plus(job.demand)
    return total
