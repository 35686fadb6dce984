from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ratchet.abtests.status import ABTestStatus
from ratchet.abtests.tables import ABTest
from ratchet.lists.fields import Fields, column
from ratchet_pipelines.spec import Name

MetricKind = Literal["accuracy", "mean_outcome", "absolute_error", "squared_error"]


class Metric(BaseModel):
    """What one unit contributes, from its prediction and its outcome."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    kind: MetricKind = "accuracy"
    """`accuracy`: 1 when the prediction equals the outcome, else 0. `mean_outcome`: the outcome itself, a number.
    `absolute_error`, `squared_error`: of a numeric prediction."""
    greater_is_better: bool | None = None
    """By default true, except for the errors."""

    @property
    def greater(self) -> bool:
        if self.greater_is_better is not None:
            return self.greater_is_better
        return self.kind in {"accuracy", "mean_outcome"}


class ABTestSettings(BaseModel):
    """How a test judges; what it compares is named beside it."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    metric: Metric = Metric()
    alpha: float = Field(default=0.05, gt=0, lt=0.5)
    """The chance that the interval is ever wrong, at any look."""
    min_effect: float = Field(default=0.0, allow_inf_nan=False)
    """The improvement above which treatment is promoted; below 0, how much worse is accepted (non-inferiority)."""
    min_units: int = Field(default=100, ge=20, le=10_000_000)
    """Outcomes of each arm before anything is concluded."""
    max_units: int = Field(default=20_000, ge=100, le=100_000_000)
    """Outcomes of both arms at which the test ends without a verdict."""
    on_win: Literal["promote", "none"] = "promote"

    @model_validator(mode="after")
    def _can_reach_both(self) -> ABTestSettings:
        if 2 * self.min_units > self.max_units:
            raise ValueError(f"max_units ({self.max_units}) must be at least twice min_units ({self.min_units})")
        return self


class NewABTest(ABTestSettings):
    """Two variants of an endpoint, compared on live traffic."""

    name: Name
    endpoint: Name
    control: Name
    treatment: Name

    @model_validator(mode="after")
    def _are_two(self) -> NewABTest:
        if self.control == self.treatment:
            raise ValueError("control and treatment are the same variant")
        return self


class Arms(BaseModel):
    control: float
    treatment: float


class ArmCounts(BaseModel):
    control: int
    treatment: int


class Estimate(BaseModel):
    """Treatment minus control, in units of the metric, with an interval that holds at every look."""

    difference: float
    lower: float
    upper: float
    alpha: float
    units: ArmCounts
    means: Arms


class SampleRatioView(BaseModel):
    """Whether the traffic splits as it should: a sequential test, valid at every look."""

    p_value: float
    expected: Arms
    observed: ArmCounts
    alarm: bool


class Look(BaseModel):
    at: datetime
    units: ArmCounts
    difference: float | None
    lower: float | None
    upper: float | None
    srm_p: float
    decision: str


class ABTestView(BaseModel):
    id: str
    name: str
    project: str
    endpoint: str
    control: str
    treatment: str
    metric: Metric
    alpha: float
    min_effect: float
    min_units: int
    max_units: int
    on_win: str
    status: str
    decision: str
    reason: str
    message: str
    estimate: Estimate | None
    srm: SampleRatioView | None
    looks: list[Look] = []
    created_by: str
    created_at: datetime
    decided_at: datetime | None


ABTEST_FIELDS = Fields(
    {
        "id": column(ABTest.id),
        "name": column(ABTest.name),
        "endpoint": column(ABTest.endpoint),
        "control": column(ABTest.control),
        "treatment": column(ABTest.treatment),
        "status": column(ABTest.status, ABTestStatus),
        "decision": column(ABTest.decision),
        "reason": column(ABTest.reason),
        "message": column(ABTest.message, orderable=False),
        "created_by": column(ABTest.created_by),
        "created_at": column(ABTest.created_at),
        "decided_at": column(ABTest.decided_at),
    }
)
