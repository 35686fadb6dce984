"""Jobs, their curves, logs and trials."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import Field

from ratchet.sdk.resources.base import Resource

JOB_ENDED = frozenset({"succeeded", "failed", "cancelled"})


class ModelRef(Resource):
    name: str
    version: int | None = None


class Failure(Resource):
    """Why a job, or an attempt of it, failed."""

    reason: str = ""
    message: str = ""
    error: str = ""
    """The last line of the traceback; empty where there is none."""
    rank: int | None = None
    """The worker that failed first, where it was one of several."""
    exit_code: int | None = None
    log_tail: str = ""
    suggestion: str = ""


class Attempt(Resource):
    number: int
    submission_id: str | None = None
    status: str = ""
    reason: str | None = None
    message: str | None = None
    failure: Failure | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None


class Job(Resource):
    id: str
    kind: str = ""
    name: str | None = None
    project: str = ""
    status: str = ""
    """queued | starting | running | finalizing | cancelling | succeeded | failed | cancelled"""
    engine_status: str | None = None
    reason: str | None = None
    message: str | None = None
    failure: Failure | None = None
    """Why it failed; None unless it has."""
    spec: dict[str, Any] = Field(default_factory=dict)
    run_id: str | None = None
    mlflow_url: str | None = None
    model: ModelRef | None = None
    attempts: list[Attempt] = Field(default_factory=list)
    metrics: dict[str, float | None] = Field(default_factory=dict)
    """The last value of each metric."""
    result: dict[str, Any] | None = None
    cloned_from: str | None = None
    retry_of: str | None = None
    created_by: str | None = None
    created_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    updated_at: datetime | None = None

    @property
    def ended(self) -> bool:
        return self.status in JOB_ENDED


class Bundle(Resource):
    """Code that was uploaded for custom jobs."""

    id: str
    project: str = ""
    digest: str
    format: str = ""
    size_bytes: int = 0
    files: int = 0
    expanded_bytes: int = 0
    created_by: str | None = None
    created_at: datetime | None = None


class Point(Resource):
    step: int = 0
    value: float | None = None
    """None where the value was not a finite number."""
    timestamp: datetime | float | None = None


class Series(Resource):
    identity = "name"

    name: str
    points: list[Point] = Field(default_factory=list)


class LogEntry(Resource):
    """A line of a log, or a whole traceback."""

    attempt: int = 1
    source: str = ""
    """The process that printed it: `driver`, `rank-0`, `trial-…`."""
    number: int = 0
    """Of its first line in its process's log, from 0."""
    time: datetime | None = None
    level: str = "info"
    """debug | info | warning | error"""
    text: str = ""


class LogPage(Resource):
    entries: list[LogEntry] = Field(default_factory=list)
    cursor: str = ""
    """Where the log goes on."""
    complete: bool = False
    """Nothing will follow."""
    sources: list[str] = Field(default_factory=list)
    deleted_at: datetime | None = None


class Trial(Resource):
    run_id: str
    params: dict[str, Any] = Field(default_factory=dict)
    status: str = ""
    metrics: dict[str, float | None] = Field(default_factory=dict)
    best: bool = False


class Plan(Resource):
    """What a spec would do, were it submitted now."""

    kind: str = ""
    cpus: float | None = None
    gpus: float | None = None
    """What it would take of the cluster, all at once."""
    params: dict[str, Any] = Field(default_factory=dict)
    """The recipe's parameters with their defaults filled in."""
    starts_now: bool | None = None
    message: str | None = None
    spec: dict[str, Any] = Field(default_factory=dict)
    """The spec with all defaults filled in."""
    request: dict[str, Any] = Field(default_factory=dict)
    """What Ray would be given: `entrypoint`, `env`, `metadata`."""


class Waiting(Resource):
    """Why a job waits."""

    waiting: bool = False
    reason: str | None = None
    message: str = ""
    position: int = 0
    """Its place in the queue, from 1; 0 when it does not wait."""
    ahead: int = 0
    predicted_start_at: datetime | None = None
    predicted_start_basis: str | None = None
    """`history` or `deadline`: what the prediction rests on."""
    blocked_by: list[str] = []
    """Jobs of its own project."""
