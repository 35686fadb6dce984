"""Jobs, their attempts, and the one row that says how large the cluster is."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, false
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column, relationship

from ratchet.db import Base, Identified, Leased, db_now
from ratchet.jobs.status import AttemptStatus, JobStatus

CLUSTER = "cluster"
"""The id of the only row of `clusters`."""


class Job(Identified, Leased, Base):
    __tablename__ = "jobs"
    __table_args__ = (
        Index(None, "project", "created_at", "id"),
        *(Index(None, "project", name, "created_at", "id") for name in ("name", "kind", "status")),
        Index("ix_jobs_queue", "status", "priority", "id"),
    )

    project: Mapped[str] = mapped_column(ForeignKey("projects.name"))
    kind: Mapped[str]
    name: Mapped[str]
    spec: Mapped[dict[str, Any]]
    created_by: Mapped[str]
    cloned_from: Mapped[str | None]
    """The job whose spec, with changes, this one's is."""
    retry_of: Mapped[str | None]
    """The job that ended and whose work this one goes on with."""
    request_id: Mapped[str | None]
    """Of the request that asked for it: what the reconciler logs of it has the same."""
    trace: Mapped[str | None]
    """The `traceparent` of that request (W3C Trace Context)."""
    priority: Mapped[int] = mapped_column(default=0)
    cpus: Mapped[float]
    """What it takes of the cluster while it occupies room: all of it at once."""
    gpus: Mapped[float]
    memory_bytes: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    deadline_s: Mapped[int] = mapped_column(default=86_400, server_default="86400")
    preemptible: Mapped[bool] = mapped_column(default=False, server_default=false())
    queued_at: Mapped[datetime | None]
    """When it last came back into the queue; null before that."""
    waited_s: Mapped[float] = mapped_column(default=0, server_default="0")
    """In the queue, without the present wait: it ages the job's priority."""

    status: Mapped[str] = mapped_column(default=JobStatus.QUEUED.value)
    engine_status: Mapped[str | None]
    """Ray's word for it, or `unreachable`."""
    reason: Mapped[str | None]
    message: Mapped[str] = mapped_column(default="")

    attempt: Mapped[int] = mapped_column(default=0)
    """The number of the newest attempt; 0 before the first."""
    misses: Mapped[int] = mapped_column(default=0)
    """Looks in a row at which Ray or MLflow did not answer."""
    not_before: Mapped[datetime | None]
    """A queued job is not started before: the back-off after an attempt that was lost."""
    experiment_id: Mapped[str | None]
    run_id: Mapped[str | None]
    metrics: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """The last value of each metric as of the last look; null where it is not a finite number."""
    result: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True).with_variant(JSONB(), "postgresql"))
    model_name: Mapped[str | None]
    """As MLflow has it: `<project>.<model>`."""
    model_version: Mapped[int | None]

    cancel_requested_at: Mapped[datetime | None]
    stopping_since: Mapped[datetime | None]
    deadline_at: Mapped[datetime | None]
    started_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    logs_deleted_at: Mapped[datetime | None]
    """When its log had been kept for long enough."""

    attempts: Mapped[list[Attempt]] = relationship(order_by="Attempt.number", lazy="selectin")


class Attempt(Base):
    """One start of a job on Ray. Written before Ray is called, so that a crash leaves the id to look for."""

    __tablename__ = "job_attempts"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    submission_id: Mapped[str] = mapped_column(unique=True)
    status: Mapped[str] = mapped_column(default=AttemptStatus.STARTING.value)
    reason: Mapped[str | None]
    message: Mapped[str] = mapped_column(default="")
    failure: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True).with_variant(JSONB(), "postgresql"))
    """A `classify.Failure`, where it is Ray or the job itself that told of one."""
    started_at: Mapped[datetime] = mapped_column(server_default=db_now())
    ended_at: Mapped[datetime | None]


class LogRetention(Identified, Leased, Base):
    """Its one row is due when logs should be looked through for old ones."""

    __tablename__ = "log_retentions"


class Cluster(Identified, Leased, Base):
    """The room there is, as last seen: what the queue counts with."""

    __tablename__ = "clusters"

    status: Mapped[str] = mapped_column(default="unknown")
    """`unknown` (never seen), `ready` or `unreachable`."""
    message: Mapped[str] = mapped_column(default="")
    cpus: Mapped[float] = mapped_column(default=0)
    gpus: Mapped[float] = mapped_column(default=0)
    memory_bytes: Mapped[int] = mapped_column(BigInteger, default=0)
    last_seen_at: Mapped[datetime | None]
    misses: Mapped[int] = mapped_column(default=0)
    """Probes in a row without an answer."""
    sized_at: Mapped[datetime | None]
    swept_at: Mapped[datetime | None]
    instance: Mapped[str] = mapped_column(default="", server_default="")
    """The mark on what this platform starts in Ray, by which it is told from what others start there."""
    orphans: Mapped[list[Any]] = mapped_column(default=list, server_default="[]")
    """Submission ids that run in Ray, and that no live attempt owns: stopped at the next look."""
