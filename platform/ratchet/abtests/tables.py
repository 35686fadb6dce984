from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from ratchet.db import Base, Identified, Leased, db_now


class ABTest(Identified, Leased, Base):
    __tablename__ = "abtests"
    __table_args__ = (
        UniqueConstraint("project", "name"),
        # One test at a time on an endpoint: two would compare each other's traffic.
        Index(
            "uq_abtests_running",
            "endpoint_id",
            unique=True,
            sqlite_where=text("status = 'running'"),
            postgresql_where=text("status = 'running'"),
        ),
    )

    project: Mapped[str] = mapped_column(ForeignKey("projects.name"), index=True)
    name: Mapped[str]
    endpoint_id: Mapped[str]
    endpoint: Mapped[str]
    control: Mapped[str]
    treatment: Mapped[str]
    arms: Mapped[dict[str, Any]]
    """What is compared, by variant name: model, version and weight, as they were when the test began."""
    generation: Mapped[int]
    """The endpoint's desired state with which the test began; predictions of an older one do not count."""
    metric: Mapped[dict[str, Any]]
    alpha: Mapped[float]
    min_effect: Mapped[float]
    min_units: Mapped[int]
    max_units: Mapped[int]
    on_win: Mapped[str]
    status: Mapped[str]
    decision: Mapped[str]
    reason: Mapped[str] = mapped_column(default="")
    message: Mapped[str] = mapped_column(default="")
    estimate: Mapped[dict[str, Any] | None]
    srm: Mapped[dict[str, Any] | None]
    created_by: Mapped[str]
    decided_at: Mapped[datetime | None]


class ABTestLook(Base):
    """What was seen at one look: the interval over time."""

    __tablename__ = "abtest_looks"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    abtest_id: Mapped[str] = mapped_column(ForeignKey("abtests.id"), index=True)
    at: Mapped[datetime] = mapped_column(server_default=db_now())
    units_control: Mapped[int]
    units_treatment: Mapped[int]
    difference: Mapped[float | None]
    lower: Mapped[float | None]
    upper: Mapped[float | None]
    srm_p_value: Mapped[float]
    decision: Mapped[str]
