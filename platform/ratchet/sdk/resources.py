"""What the API gives, typed.

A field that this version does not know is kept, so that a newer server's answer loses nothing on the way through
(`model_dump`, `--json`); a field that the server leaves out has a default.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Resource(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True, protected_namespaces=())

    def dump(self) -> dict[str, Any]:
        """As JSON-ready data, unknown fields included."""
        return self.model_dump(mode="json")


# -- the installation ------------------------------------------------------------------------------------------------


class Urls(Resource):
    mlflow: str = ""
    serving: str = ""


class Cluster(Resource):
    status: str = ""
    cpus: float | None = None
    gpus: float | None = None
    memory_bytes: int | None = None
    last_seen_at: datetime | None = None


class Info(Resource):
    version: str = ""
    mode: str = ""
    urls: Urls = Urls()
    cluster: Cluster | None = None
    """The room of the Ray cluster as last seen; None before the first look."""


class Me(Resource):
    actor: str = ""
    scope: str = ""
    """admin | write | read | predict"""
    projects: list[str] = []


class Project(Resource):
    name: str = ""
    description: str | None = None
    created_at: datetime | None = None


class Token(Resource):
    id: str
    name: str = ""
    scope: str = ""
    token: str | None = Field(default=None, repr=False)
    """The secret itself: only in the answer that created it."""
    prefix: str = ""
    """How the secret begins, to tell tokens apart."""
    created_at: datetime | None = None
    expires_at: datetime | None = None
    revoked_at: datetime | None = None


class Recipe(Resource):
    name: str
    summary: str = ""
    params_schema: dict[str, Any] = {}


class Target(Resource):
    kind: str = ""
    id: str = ""


class Event(Resource):
    """One line of the audit log."""

    id: str | int
    at: datetime | None = None
    actor: str = ""
    action: str = ""
    target: Target | None = None
    before: Any = None
    after: Any = None
    message: str | None = None


# -- jobs --------------------------------------------------------------------------------------------------------------

JOB_ENDED = frozenset({"succeeded", "failed", "cancelled"})


class ModelRef(Resource):
    name: str
    version: int | None = None


class Attempt(Resource):
    number: int
    submission_id: str | None = None
    status: str = ""
    reason: str | None = None
    message: str | None = None
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
    spec: dict[str, Any] = {}
    run_id: str | None = None
    mlflow_url: str | None = None
    model: ModelRef | None = None
    attempts: list[Attempt] = []
    metrics: dict[str, float | None] = {}
    """The last value of each metric."""
    result: dict[str, Any] | None = None
    created_by: str | None = None
    created_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    updated_at: datetime | None = None

    @property
    def ended(self) -> bool:
        return self.status in JOB_ENDED


class Point(Resource):
    step: int = 0
    value: float | None = None
    """None where the value was not a finite number."""
    timestamp: datetime | float | None = None


class Series(Resource):
    name: str
    points: list[Point] = []


class LogPart(Resource):
    text: str = ""
    next_offset: int = 0
    complete: bool = False


class Trial(Resource):
    run_id: str
    params: dict[str, Any] = {}
    status: str = ""
    metrics: dict[str, float | None] = {}
    best: bool = False


class Plan(Resource):
    """What a spec would do, were it submitted now."""

    kind: str = ""
    cpus: float | None = None
    gpus: float | None = None
    """What it would take of the cluster, all at once."""
    params: dict[str, Any] = {}
    """The recipe's parameters with their defaults filled in."""
    starts_now: bool | None = None
    message: str | None = None


class Waiting(Resource):
    """Why a job waits."""

    waiting: bool = False
    reason: str | None = None
    message: str = ""
    position: int = 0
    """Its place in the queue, from 1; 0 when it does not wait."""


# -- models ------------------------------------------------------------------------------------------------------------


class Version(Resource):
    version: int
    run_id: str | None = None
    job: str | None = None
    source: str | None = None
    metrics: dict[str, float | None] = {}
    aliases: list[str] = []
    created_at: datetime | None = None


class Model(Resource):
    name: str
    latest_version: int | None = None
    aliases: dict[str, int] = {}
    description: str | None = None
    versions: list[Version] = []
    """Given for one model, left out in lists."""


class Rule(Resource):
    rule: str = ""
    passed: bool = False
    detail: str = ""


class Evidence(Resource):
    job: str | None = None
    metrics: dict[str, Any] = {}
    rules: list[Rule] = []


PROMOTION_ENDED = frozenset({"passed", "refused", "failed"})


class Promotion(Resource):
    id: str
    model: str = ""
    version: int | None = None
    alias: str = ""
    status: str = ""
    """pending | evaluating | passed | refused | failed"""
    previous_version: int | None = None
    gate: dict[str, Any] | None = None
    move: bool = True
    """Whether the alias moves as soon as the gate has passed."""
    evidence: Evidence | None = None
    reason: str | None = None
    message: str | None = None
    actor: str | None = None
    created_at: datetime | None = None
    decided_at: datetime | None = None
    moved_at: datetime | None = None

    @property
    def ended(self) -> bool:
        """Whether it is decided and, where it passed, the alias has moved."""
        if self.status == "passed" and self.move and "moved_at" in self.model_fields_set:
            return self.moved_at is not None
        return self.status in PROMOTION_ENDED


class AliasMove(Resource):
    alias: str
    from_version: int | None = None
    to_version: int | None = None
    actor: str | None = None
    evidence: Any = None
    at: datetime | None = None


# -- endpoints ---------------------------------------------------------------------------------------------------------


class EndpointVariant(Resource):
    name: str
    model: str = ""
    version: int | None = None
    alias: str | None = None
    weight: float = 0.0
    state: str | None = None
    message: str | None = None


class Endpoint(Resource):
    name: str
    project: str = ""
    status: str = ""
    """deploying | ready | updating | degraded | failed | deleting"""
    engine_status: str | None = None
    reason: str | None = None
    message: str | None = None
    generation: int = 0
    observed_generation: int | None = None
    url: str | None = None
    variants: list[EndpointVariant] = []
    replicas: int = 1
    created_at: datetime | None = None
    updated_at: datetime | None = None

    @property
    def ready(self) -> bool:
        """Whether what was last asked for is what serves."""
        return self.status == "ready" and (self.observed_generation or 0) >= self.generation


class Prediction(Resource):
    request_id: str
    endpoint: str = ""
    variant: str = ""
    model: str = ""
    model_version: int | None = None
    predictions: list[dict[str, Any]] = []
    """One mapping a row: `prediction`, and for a classifier `probability_<class>`."""


class TrafficPoint(Resource):
    """Requests that one variant answered in one minute (UTC)."""

    minute: datetime
    variant: str = ""
    model: str = ""
    model_version: int | None = None
    count: int = 0


class OutcomesReceipt(Resource):
    accepted: int = 0
    duplicates: int = 0


# -- A/B tests ---------------------------------------------------------------------------------------------------------


class Estimate(Resource):
    difference: float | None = None
    lower: float | None = None
    upper: float | None = None
    alpha: float | None = None
    units: dict[str, int] = {}
    means: dict[str, float | None] = {}


class SampleRatio(Resource):
    p_value: float | None = None
    alarm: bool = False


class ABTest(Resource):
    id: str
    name: str = ""
    endpoint: str = ""
    control: str = ""
    treatment: str = ""
    status: str = ""
    """running | decided | stopped"""
    decision: str | None = None
    """go_on | promote | roll_back | inconclusive"""
    reason: str | None = None
    message: str | None = None
    estimate: Estimate | None = None
    srm: SampleRatio | None = None
    looks: list[dict[str, Any]] = []
    created_at: datetime | None = None

    @property
    def ended(self) -> bool:
        return self.status in ("decided", "stopped")


# -- monitors ----------------------------------------------------------------------------------------------------------


class Check(Resource):
    id: str
    status: str = ""
    verdict: str | None = None
    """drift | no_drift | insufficient_data"""
    since: datetime | None = None
    until: datetime | None = None
    """The window whose requests it looks at."""
    drifted_columns: int | None = None
    result: dict[str, Any] | None = None
    report_url: str | None = None
    job: str | None = None
    message: str | None = None
    created_at: datetime | None = None

    @property
    def ended(self) -> bool:
        return self.status in ("succeeded", "failed")


class Monitor(Resource):
    id: str | None = None
    name: str = ""
    endpoint: str = ""
    schedule: str | None = None
    status: str = ""
    """active | paused"""
    next_check_at: datetime | None = None
    last_check: Check | None = None


class Alert(Resource):
    id: str
    monitor: str = ""
    check: str | None = None
    message: str | None = None
    pipeline_run: str | None = None
    """What it started."""
    created_at: datetime | None = None


# -- pipelines ---------------------------------------------------------------------------------------------------------

RUN_ENDED = frozenset({"succeeded", "failed", "cancelled"})


class Trigger(Resource):
    kind: str = ""
    """manual | alert | schedule"""
    ref: Any = None


class Step(Resource):
    name: str
    status: str = ""
    """pending | running | succeeded | failed | skipped"""
    ref: Any = None
    message: str | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None


class PipelineRun(Resource):
    id: str
    pipeline: str = ""
    trigger: Trigger | None = None
    status: str = ""
    """running | succeeded | failed | cancelled"""
    steps: list[Step] = []
    message: str | None = None
    created_at: datetime | None = None

    @property
    def ended(self) -> bool:
        return self.status in RUN_ENDED


class Pipeline(Resource):
    id: str | None = None
    name: str = ""
    spec: dict[str, Any] = {}
    schedule: str | None = None
    next_run_at: datetime | None = None
    last_run: PipelineRun | None = None
    created_at: datetime | None = None
