from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from ratchet.db import Base, Identified, Leased


class Monitor(Identified, Leased, Base):
    __tablename__ = "monitors"
    __table_args__ = (UniqueConstraint("project", "name"),)

    project: Mapped[str] = mapped_column(ForeignKey("projects.name"), index=True)
    name: Mapped[str]
    endpoint: Mapped[str]
    schedule: Mapped[str]
    window_s: Mapped[int]
    alpha: Mapped[float]
    min_rows: Mapped[int]
    max_rows: Mapped[int]
    pipeline: Mapped[str | None]
    """The pipeline that an alert starts."""
    status: Mapped[str]
    next_check_at: Mapped[datetime | None]
    created_by: Mapped[str]


class Check(Identified, Leased, Base):
    __tablename__ = "checks"
    # A tick makes one check, whoever sees it and however often.
    __table_args__ = (UniqueConstraint("monitor_id", "scheduled_for"), Index(None, "monitor_id", "created_at", "id"))

    project: Mapped[str]
    monitor_id: Mapped[str] = mapped_column(ForeignKey("monitors.id"))
    scheduled_for: Mapped[datetime]
    since: Mapped[datetime]
    until: Mapped[datetime]
    status: Mapped[str]
    verdict: Mapped[str | None]
    job_id: Mapped[str | None]
    report: Mapped[str]
    result: Mapped[dict[str, Any] | None]
    message: Mapped[str] = mapped_column(default="")
    ended_at: Mapped[datetime | None]


class Alert(Identified, Base):
    __tablename__ = "alerts"

    project: Mapped[str] = mapped_column(index=True)
    monitor_id: Mapped[str] = mapped_column(ForeignKey("monitors.id"), index=True)
    check_id: Mapped[str] = mapped_column(ForeignKey("checks.id"), unique=True)
    message: Mapped[str]
    pipeline_run_id: Mapped[str | None]
    """What it started."""
