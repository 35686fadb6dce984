"""What the API gives of jobs."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import BaseModel
from sqlalchemy import String, func

from ratchet.jobs import classify
from ratchet.jobs.classify import Failure
from ratchet.jobs.logfiles import Line
from ratchet.jobs.logfilter import LogLevel
from ratchet.jobs.status import JobStatus, Reason
from ratchet.jobs.tables import Attempt, Job
from ratchet.lists.fields import Fields, Kind, attribute, column, numbers, values
from ratchet_pipelines.logs.entries import LEVELS


class FailureView(BaseModel):
    """Why a job, or an attempt of it, failed."""

    reason: str
    message: str
    error: str
    """The last line of the traceback; empty where there is none."""
    rank: int | None
    """The worker that failed first, where it was one of several."""
    exit_code: int | None
    """Of the driver; null when it never ran, or was not at fault."""
    log_tail: str
    """The end of the driver's log."""
    suggestion: str
    """What to do about it; empty where there is nothing to do."""

    @classmethod
    def of(cls, failure: Failure) -> FailureView:
        return cls(**asdict(failure), suggestion=classify.advice(Reason(failure.reason), failure.error))

    @classmethod
    def of_job(cls, row: Job) -> FailureView | None:
        """The failure that a job ended with: the last attempt has the details, unless it never came to one."""
        if row.status != JobStatus.FAILED or row.reason is None:
            return None
        last = row.attempts[-1].failure if row.attempts else None
        failure = Failure(**(last or {"reason": Reason(row.reason), "message": ""}))
        return cls.of(replace(failure, reason=Reason(row.reason), message=row.message))


Basis = Literal["history", "deadline"]
"""What a predicted start rests on."""


class AttemptView(BaseModel):
    number: int
    submission_id: str
    """The job's name in Ray: `ray job logs <submission_id>`."""
    status: str
    reason: str | None
    message: str
    failure: FailureView | None
    """How it failed, where Ray or the job itself told of it."""
    started_at: datetime
    ended_at: datetime | None

    @classmethod
    def of(cls, row: Attempt) -> AttemptView:
        return cls(
            number=row.number,
            submission_id=row.submission_id,
            status=row.status,
            reason=row.reason,
            message=row.message,
            failure=None if row.failure is None else FailureView.of(Failure(**row.failure)),
            started_at=row.started_at,
            ended_at=row.ended_at,
        )


class ModelRef(BaseModel):
    name: str
    """Without its project."""
    version: int


class JobView(BaseModel):
    id: str
    project: str
    kind: str
    name: str
    status: str
    engine_status: str | None
    reason: str | None
    message: str
    failure: FailureView | None
    """Why it failed; null unless it has."""
    spec: dict[str, Any]
    run_id: str | None
    mlflow_url: str | None
    model: ModelRef | None
    attempts: list[AttemptView]
    cloned_from: str | None
    """The job whose spec, with changes, this one's is."""
    retry_of: str | None
    """The job that ended and whose work this one goes on with."""
    created_by: str
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    updated_at: datetime
    metrics: dict[str, float | None]
    """The last value of each metric; null where it was not a finite number."""
    result: dict[str, Any] | None

    @classmethod
    def of(cls, row: Job, public_url: str) -> JobView:
        model = None
        if row.model_name is not None and row.model_version is not None:
            model = ModelRef(name=row.model_name.removeprefix(f"{row.project}."), version=row.model_version)
        link = f"{public_url}/mlflow/#/experiments/{row.experiment_id}/runs/{row.run_id}" if row.run_id else None
        return cls(
            id=row.id,
            project=row.project,
            kind=row.kind,
            name=row.name,
            status=row.status,
            engine_status=row.engine_status,
            reason=row.reason,
            message=row.message,
            failure=FailureView.of_job(row),
            spec=row.spec,
            run_id=row.run_id,
            mlflow_url=link,
            model=model,
            attempts=[AttemptView.of(attempt) for attempt in row.attempts],
            cloned_from=row.cloned_from,
            retry_of=row.retry_of,
            created_by=row.created_by,
            created_at=row.created_at,
            started_at=row.started_at,
            ended_at=row.ended_at,
            updated_at=row.updated_at,
            metrics=row.metrics,
            result=row.result,
        )


JOB_FIELDS = Fields(
    {
        "id": column(Job.id),
        "name": column(Job.name),
        "kind": column(Job.kind),
        "status": column(Job.status, JobStatus),
        "engine_status": column(Job.engine_status),
        "reason": column(Job.reason, Reason),
        "message": column(Job.message, orderable=False),
        "model": column(func.substr(Job.model_name, func.length(Job.project) + 2, type_=String)),
        "run_id": column(Job.run_id),
        "priority": column(Job.priority),
        "cpus": column(Job.cpus),
        "gpus": column(Job.gpus),
        "attempt": column(Job.attempt),
        "created_by": column(Job.created_by),
        "cloned_from": column(Job.cloned_from),
        "retry_of": column(Job.retry_of),
        "created_at": column(Job.created_at),
        "started_at": column(Job.started_at),
        "ended_at": column(Job.ended_at),
        "updated_at": column(Job.updated_at),
        "metrics": numbers(Job.metrics),
        "params": values(Job.spec, "params"),
    },
    indexed=frozenset({"name", "kind", "status"}),
)


class DriverView(BaseModel):
    """Where the driver runs: on the head and for nothing, or on a node that has this, in a container or not."""

    cpus: float
    gpus: float
    memory_bytes: int
    image: str | None


class EngineRequestView(BaseModel):
    """What Ray would be given, but for the token of the attempt. The ids of the job and its run are zeros."""

    submission_id: str
    entrypoint: str
    env: dict[str, str]
    metadata: dict[str, str]
    driver: DriverView


class PlanView(BaseModel):
    """What a spec would do, were it submitted now."""

    kind: str
    cpus: float
    gpus: float
    memory_bytes: int
    """What it would take of the cluster, all at once; 0 bytes where the spec does not say."""
    params: dict[str, Any]
    """The recipe's parameters with their defaults filled in; empty for kinds without a recipe."""
    starts_now: bool
    reason: str | None
    """Why it would wait; null when it would not."""
    message: str
    position: int
    """Its place in the queue, from 1."""
    predicted_start_at: datetime | None
    predicted_start_basis: Basis | None
    spec: dict[str, Any]
    """The spec with all defaults filled in."""
    request: EngineRequestView


class WaitView(BaseModel):
    """Why a job waits."""

    waiting: bool
    reason: str | None
    message: str
    position: int
    """Its place in the queue, from 1; 0 when it does not wait."""
    ahead: int = 0
    """Jobs that go before it."""
    predicted_start_at: datetime | None = None
    """When it will start, if those before it take as long as expected and nobody new goes first; null when nothing that
    is known of would let it start."""
    predicted_start_basis: Basis | None = None
    """What that rests on: `history` where every job in its way has a past to go by (the median of the past ones of the
    same project, kind and recipe), `deadline` where at least one was taken to last to its deadline."""
    blocked_by: list[str] = []
    """Jobs of its own project that go before it, or hold what it waits for; at most 20."""


class MetricPointView(BaseModel):
    step: int
    value: float | None
    """Null where the value was not a finite number."""
    timestamp: datetime


class SeriesView(BaseModel):
    name: str
    points: list[MetricPointView]


class MetricsView(BaseModel):
    series: list[SeriesView]


class LogEntryView(BaseModel):
    """A line, or a whole traceback."""

    attempt: int
    source: str
    """The process that printed it: `driver`, `rank-0`, `trial-…`."""
    number: int
    """Of its first line in its process's log, from 0."""
    time: datetime
    level: LogLevel
    text: str
    """The lines of a traceback are parted by line feeds."""

    @classmethod
    def of(cls, line: Line) -> LogEntryView:
        entry = line.entry
        return cls(
            attempt=line.source.attempt,
            source=line.source.name,
            number=entry.number,
            time=datetime.fromtimestamp(entry.time, UTC),
            level=LogLevel(entry.level) if entry.level in LEVELS else LogLevel.INFO,
            text=entry.text,
        )


class LogUpdate(BaseModel):
    """What was added to a log."""

    entries: list[LogEntryView]
    """Oldest first."""
    cursor: str
    """Ask for the log from here next: nothing is missed, nothing comes twice."""


class LogView(LogUpdate):
    complete: bool
    """Nothing will follow."""
    sources: list[str]
    """The processes that wrote so far, over all attempts."""
    deleted_at: datetime | None
    """When the log was taken away, at the end of the time for which logs are kept."""


class TrialView(BaseModel):
    """One trial of a sweep: a child run of its run."""

    number: int
    """Its place in the sweep, from 1."""
    run_id: str
    params: dict[str, str]
    status: str
    metrics: dict[str, float | None]
    best: bool


TRIAL_FIELDS = Fields(
    {
        "run_id": attribute("run_id", Kind.TEXT),
        "number": attribute("number", Kind.INTEGER),
        "status": attribute("status", Kind.TEXT),
        "best": attribute("best", Kind.BOOLEAN),
        "params": attribute("params", Kind.VALUE, keyed=True),
        "metrics": attribute("metrics", Kind.NUMBER, keyed=True),
    },
    key="run_id",
    order="number",
    descending=False,
)
