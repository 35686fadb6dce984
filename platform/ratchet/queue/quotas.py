"""What may be done with quotas: read, set, held against a spec, charged with what was used."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import bindparam, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from ratchet import events
from ratchet.db import now
from ratchet.jobs.tables import CLUSTER, Cluster
from ratchet.projects.tables import Project
from ratchet.queue import service
from ratchet.queue.amounts import UNLIMITED, Amount
from ratchet.queue.schemas import NewQuota, QuotaUsage, QuotaView
from ratchet.queue.tables import GpuUsage, Quota

# Built once, and past the unit of work: every submission asks it.
_BOUNDS = (
    select(
        Cluster.last_seen_at,
        Cluster.cpus.label("room_cpus"),
        Cluster.gpus.label("room_gpus"),
        Cluster.memory_bytes.label("room_memory_bytes"),
        *(Quota.cpus, Quota.gpus, Quota.memory_bytes, Quota.jobs, Quota.gpu_hours),
    )
    .select_from(Project)
    .outerjoin(Cluster, Cluster.id == CLUSTER)
    .outerjoin(Quota, Quota.project == Project.name)
    .where(Project.name == bindparam("project"))
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


def bounds(session: Session, project: str) -> tuple[Amount, Amount]:
    """The room of the cluster, infinite while it was never seen, and the project's limits: what a submission is held
    against."""
    found = session.connection().execute(_BOUNDS, {"project": project}).one()
    room = UNLIMITED
    if found.last_seen_at is not None:
        room = room._replace(cpus=found.room_cpus, gpus=found.room_gpus, memory_bytes=found.room_memory_bytes)
    return room, service.limits(found)


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
