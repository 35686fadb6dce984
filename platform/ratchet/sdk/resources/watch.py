"""A/B tests, monitors, pipelines."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import Field

from ratchet.sdk.resources.base import Resource


class Estimate(Resource):
    difference: float | None = None
    lower: float | None = None
    upper: float | None = None
    alpha: float | None = None
    units: dict[str, int] = Field(default_factory=dict)
    means: dict[str, float | None] = Field(default_factory=dict)


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
    looks: list[dict[str, Any]] = Field(default_factory=list)
    created_at: datetime | None = None

    @property
    def ended(self) -> bool:
        return self.status in ("decided", "stopped")


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
    identity = "name"

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


RUN_ENDED = frozenset({"succeeded", "failed", "cancelled"})


class Trigger(Resource):
    kind: str = ""
    """manual | alert | schedule"""
    ref: Any = None


class Step(Resource):
    identity = "name"

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
    steps: list[Step] = Field(default_factory=list)
    message: str | None = None
    created_at: datetime | None = None

    @property
    def ended(self) -> bool:
        return self.status in RUN_ENDED


class Pipeline(Resource):
    identity = "name"

    id: str | None = None
    name: str = ""
    spec: dict[str, Any] = Field(default_factory=dict)
    schedule: str | None = None
    next_run_at: datetime | None = None
    last_run: PipelineRun | None = None
    created_at: datetime | None = None
