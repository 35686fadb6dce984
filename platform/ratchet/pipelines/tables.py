from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from ratchet.db import Base, Identified, Leased


class Pipeline(Identified, Leased, Base):
    __tablename__ = "pipelines"
    __table_args__ = (UniqueConstraint("project", "name"),)

    project: Mapped[str] = mapped_column(ForeignKey("projects.name"), index=True)
    name: Mapped[str]
    spec: Mapped[dict[str, Any]]
    schedule: Mapped[str | None]
    next_run_at: Mapped[datetime | None]
    created_by: Mapped[str]


class PipelineRun(Identified, Leased, Base):
    __tablename__ = "pipeline_runs"
    __table_args__ = (
        # One run at a time: ten alerts of one drift are one reason to retrain.
        Index(
            "uq_pipeline_runs_running",
            "pipeline_id",
            unique=True,
            sqlite_where=text("status = 'running'"),
            postgresql_where=text("status = 'running'"),
        ),
        Index(None, "project", "created_at", "id"),
    )

    project: Mapped[str]
    pipeline_id: Mapped[str] = mapped_column(ForeignKey("pipelines.id"), index=True)
    spec: Mapped[dict[str, Any]]
    """The pipeline's, as it was when the run began."""
    trigger_kind: Mapped[str]
    trigger_ref: Mapped[str]
    status: Mapped[str]
    reason: Mapped[str] = mapped_column(default="")
    message: Mapped[str] = mapped_column(default="")
    created_by: Mapped[str]
    ended_at: Mapped[datetime | None]


class PipelineStep(Base):
    __tablename__ = "pipeline_steps"

    run_id: Mapped[str] = mapped_column(ForeignKey("pipeline_runs.id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    status: Mapped[str]
    ref_kind: Mapped[str] = mapped_column(default="")
    ref_id: Mapped[str] = mapped_column(default="")
    """What the step made: a job, a promotion, an endpoint, an A/B test."""
    result: Mapped[dict[str, Any]] = mapped_column(default=dict)
    message: Mapped[str] = mapped_column(default="")
    started_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
