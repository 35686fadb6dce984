from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from ratchet.cron import cron
from ratchet.lists.fields import Fields, column
from ratchet.monitors.status import CheckStatus, MonitorStatus, Verdict
from ratchet.monitors.tables import Alert, Check, Monitor
from ratchet_pipelines.spec import Name


class MonitorSettings(BaseModel):
    """What is watched, how often, and what an alert starts."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    endpoint: Name
    schedule: str = Field(default="0 * * * *", max_length=100)
    """Cron, in UTC."""
    window_s: int = Field(default=3600, ge=10, le=90 * 86_400)
    """Seconds before each check whose requests it looks at."""
    alpha: float = Field(default=0.01, gt=0, lt=0.5)
    """The chance that a check without drift raises an alert: of the whole check, over all columns."""
    min_rows: int = Field(default=100, ge=10, le=1_000_000)
    max_rows: int = Field(default=5_000, ge=10, le=1_000_000)
    pipeline: Name | None = None
    """The pipeline that an alert starts."""

    @field_validator("schedule")
    @classmethod
    def _is_cron(cls, schedule: str) -> str:
        return cron(schedule)


class NewMonitor(MonitorSettings):
    """Watch an endpoint for drift of what it is asked."""

    name: Name


class CheckView(BaseModel):
    id: str
    monitor: str
    status: str
    verdict: str | None
    message: str
    since: datetime
    until: datetime
    drifted_columns: int | None
    result: dict[str, Any] | None
    job: str | None
    report_url: str | None
    created_at: datetime
    ended_at: datetime | None


class MonitorView(BaseModel):
    id: str
    name: str
    project: str
    endpoint: str
    schedule: str
    window_s: int
    alpha: float
    min_rows: int
    max_rows: int
    pipeline: str | None
    status: str
    next_check_at: datetime | None
    last_check: CheckView | None
    created_by: str
    created_at: datetime


class AlertView(BaseModel):
    id: str
    monitor: str
    check: str
    message: str
    pipeline_run: str | None
    created_at: datetime


MONITOR_FIELDS = Fields(
    {
        "id": column(Monitor.id),
        "name": column(Monitor.name),
        "endpoint": column(Monitor.endpoint),
        "pipeline": column(Monitor.pipeline),
        "status": column(Monitor.status, MonitorStatus),
        "next_check_at": column(Monitor.next_check_at),
        "created_by": column(Monitor.created_by),
        "created_at": column(Monitor.created_at),
    }
)
CHECK_FIELDS = Fields(
    {
        "id": column(Check.id),
        "status": column(Check.status, CheckStatus),
        "verdict": column(Check.verdict, Verdict),
        "job": column(Check.job_id),
        "message": column(Check.message, orderable=False),
        "since": column(Check.since),
        "until": column(Check.until),
        "created_at": column(Check.created_at),
        "ended_at": column(Check.ended_at),
    }
)
ALERT_FIELDS = Fields(
    {
        "id": column(Alert.id),
        "check": column(Alert.check_id),
        "pipeline_run": column(Alert.pipeline_run_id),
        "message": column(Alert.message, orderable=False),
        "created_at": column(Alert.created_at),
    }
)
