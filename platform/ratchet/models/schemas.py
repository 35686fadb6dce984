from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from ratchet.lists.fields import Fields, attribute, column
from ratchet.lists.fields import Kind as FieldKind
from ratchet.models.status import Status
from ratchet.models.tables import AliasMove, Promotion
from ratchet_pipelines.catalog import suggestion
from ratchet_pipelines.spec import Alias, Data

CHAMPION = "champion"
"""The alias that takes traffic: it moves on evidence alone."""

GREATER_IS_BETTER = {
    "accuracy": True,
    "f1_macro": True,
    "roc_auc": True,
    "log_loss": False,
    "rmse": False,
    "mae": False,
    "r2": True,
}
"""Every metric that an evaluate job measures on the test split, and whether more of it is better."""


class Gate(BaseModel):
    """What a version must show before an alias may point to it, measured on the test split of `data`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    metric: str = Field(min_length=1, max_length=128)
    minimum: float | None = Field(default=None, allow_inf_nan=False)
    maximum: float | None = Field(default=None, allow_inf_nan=False)
    max_regression: float = Field(default=0, ge=0, allow_inf_nan=False)
    """By how much (in the metric's unit) it may be worse than the version that has the alias, on the same rows."""
    data: Data

    @field_validator("metric")
    @classmethod
    def _is_measured(cls, metric: str) -> str:
        name = metric.removeprefix("test/")
        if name not in GREATER_IS_BETTER:
            near = suggestion(name, list(GREATER_IS_BETTER))
            raise ValueError(f"There is no metric {name!r}.{near} Metrics: {', '.join(GREATER_IS_BETTER)}.")
        return name

    @model_validator(mode="after")
    def _can_be_met(self) -> Gate:
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise ValueError(f"minimum ({self.minimum:g}) is above maximum ({self.maximum:g}): nothing can pass")
        return self


class Kind(StrEnum):
    GATE = "gate"
    DIRECT = "direct"
    """Without a gate: for every alias but `champion`."""


class NewPromotion(BaseModel):
    model_config = ConfigDict(extra="forbid")

    version: int = Field(ge=1, lt=2**31)
    alias: Alias = CHAMPION
    gate: Gate
    move: bool = True
    """Without, the gate alone is evaluated: what an A/B test may then move the alias on."""


class NewAlias(BaseModel):
    model_config = ConfigDict(extra="forbid")

    version: int = Field(ge=1, lt=2**31)


class Rule(BaseModel):
    """One rule of a gate, whether it held, and the numbers."""

    rule: Literal["minimum", "maximum", "max_regression"]
    passed: bool
    detail: str


class PromotionView(BaseModel):
    """An alias that is to move to a version, and what its gate found."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    model: str
    version: int
    alias: str
    status: str
    previous_version: int | None
    gate: dict[str, Any] | None
    move: bool
    evidence: dict[str, Any]
    """`job`, `metrics` of `candidate` and `champion`, `rules`, `rows` of the test split; or what an A/B test found."""
    reason: str | None
    message: str | None
    actor: str
    created_at: datetime
    updated_at: datetime
    decided_at: datetime | None
    moved_at: datetime | None

    @classmethod
    def of(cls, row: Promotion) -> PromotionView:
        return cls.model_validate(row)


PROMOTION_FIELDS = Fields(
    {
        "id": column(Promotion.id),
        "version": column(Promotion.version),
        "alias": column(Promotion.alias),
        "status": column(Promotion.status, Status),
        "previous_version": column(Promotion.previous_version),
        "move": column(Promotion.move),
        "reason": column(Promotion.reason),
        "message": column(Promotion.message, orderable=False),
        "actor": column(Promotion.actor),
        "created_at": column(Promotion.created_at),
        "updated_at": column(Promotion.updated_at),
        "decided_at": column(Promotion.decided_at),
        "moved_at": column(Promotion.moved_at),
    }
)


class AliasMoveView(BaseModel):
    """One move of an alias."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    alias: str
    from_version: int | None
    to_version: int
    actor: str
    evidence: dict[str, Any]
    promotion: str | None = Field(validation_alias="promotion_id")
    at: datetime

    @classmethod
    def of(cls, row: AliasMove) -> AliasMoveView:
        return cls.model_validate(row)


ALIAS_MOVE_FIELDS = Fields(
    {
        "id": column(AliasMove.id),
        "alias": column(AliasMove.alias),
        "from_version": column(AliasMove.from_version),
        "to_version": column(AliasMove.to_version),
        "actor": column(AliasMove.actor),
        "promotion": column(AliasMove.promotion_id),
        "at": column(AliasMove.at),
    },
    order="at",
)


class VersionView(BaseModel):
    """A version of a model, as MLflow has it."""

    version: int
    run_id: str | None
    job: str | None
    source: str | None
    metrics: dict[str, float | None]
    """The last values of its run; null where one is not a finite number."""
    created_at: datetime | None
    aliases: list[str]


class ModelSummary(BaseModel):
    name: str
    latest_version: int | None
    aliases: dict[str, int]
    description: str | None


MODEL_FIELDS = Fields(
    {
        "name": attribute("name", FieldKind.TEXT),
        "latest_version": attribute("latest_version", FieldKind.INTEGER, nullable=True),
        "aliases": attribute("aliases", FieldKind.NUMBER, keyed=True),
        "description": attribute("description", FieldKind.TEXT, nullable=True),
    },
    key="name",
    order="name",
    descending=False,
)


class ModelView(ModelSummary):
    versions: list[VersionView]
    """Newest first."""
