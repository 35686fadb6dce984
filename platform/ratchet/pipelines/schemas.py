from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator
from sqlalchemy import select

from ratchet.abtests.schemas import ABTestSettings
from ratchet.cron import cron
from ratchet.lists.fields import Fields, column
from ratchet.models.schemas import Gate
from ratchet.pipelines.status import RunStatus
from ratchet.pipelines.tables import Pipeline, PipelineRun
from ratchet_pipelines.spec import Name, Sweep, Train


class PipelineSpec(BaseModel):
    """What is trained, what it must show, and where it is then tried."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    train: Annotated[Train | Sweep, Field(discriminator="kind")]
    gate: Gate
    endpoint: Name
    challenger_weight: float = Field(default=0.5, gt=0, lt=1)
    """The challenger's share of the traffic while it is compared."""
    abtest: ABTestSettings = ABTestSettings()

    @field_validator("train")
    @classmethod
    def _makes_a_model(cls, job: Train | Sweep) -> Train | Sweep:
        if job.model is None:
            raise ValueError("the job must name the registered model that it makes a version of: set train.model")
        return job

    @property
    def model(self) -> str:
        assert self.train.model is not None
        return self.train.model


class PipelineSettings(PipelineSpec):
    """All of a pipeline but its name."""

    schedule: str | None = Field(default=None, max_length=100)
    """Cron, in UTC: when to retrain whether or not anything drifted."""

    @field_validator("schedule")
    @classmethod
    def _is_cron(cls, schedule: str | None) -> str | None:
        return None if schedule is None else cron(schedule)


class NewPipeline(PipelineSettings):
    """Train, gate, register, deploy, compare and promote, whenever it is run."""

    name: Name


class Reference(BaseModel):
    kind: str
    id: str


class StepView(BaseModel):
    name: str
    status: str
    ref: Reference | None
    message: str
    started_at: datetime | None
    ended_at: datetime | None


class Trigger(BaseModel):
    kind: str
    """`manual`, `alert` or `schedule`."""
    ref: str


class PipelineRunView(BaseModel):
    id: str
    pipeline: str
    project: str
    trigger: Trigger
    status: str
    reason: str
    message: str
    steps: list[StepView]
    created_by: str
    created_at: datetime
    ended_at: datetime | None


class PipelineView(BaseModel):
    id: str
    name: str
    project: str
    spec: PipelineSpec
    schedule: str | None
    next_run_at: datetime | None
    last_run: PipelineRunView | None
    created_by: str
    created_at: datetime


PIPELINE_FIELDS = Fields(
    {
        "id": column(Pipeline.id),
        "name": column(Pipeline.name),
        "schedule": column(Pipeline.schedule),
        "next_run_at": column(Pipeline.next_run_at),
        "created_by": column(Pipeline.created_by),
        "created_at": column(Pipeline.created_at),
    }
)
RUN_FIELDS = Fields(
    {
        "id": column(PipelineRun.id),
        "pipeline": column(
            select(Pipeline.name).where(Pipeline.id == PipelineRun.pipeline_id).correlate(PipelineRun).scalar_subquery()
        ),
        "trigger.kind": column(PipelineRun.trigger_kind),
        "trigger.ref": column(PipelineRun.trigger_ref),
        "status": column(PipelineRun.status, RunStatus),
        "reason": column(PipelineRun.reason),
        "message": column(PipelineRun.message, orderable=False),
        "created_by": column(PipelineRun.created_by),
        "created_at": column(PipelineRun.created_at),
        "ended_at": column(PipelineRun.ended_at),
    }
)
