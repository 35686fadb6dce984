from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictFloat, StrictInt, StrictStr, model_validator

from ratchet.endpoints.status import Status
from ratchet.endpoints.tables import Endpoint, Outcome
from ratchet.lists.fields import Fields, column
from ratchet_pipelines.spec import Alias, Name

MAX_VARIANTS = 20
MAX_OUTCOMES = 10_000


class NewVariant(BaseModel):
    """One model version behind an endpoint: a fixed one, or the one that an alias points to, wherever that goes."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    name: Name
    model: Name
    version: int | None = Field(default=None, ge=1, lt=2**31)
    alias: Alias | None = None
    weight: float = Field(default=1, ge=0, le=1, allow_inf_nan=False)
    """Its share of the callers; the weights of an endpoint sum to 1."""

    @model_validator(mode="after")
    def _says_which_version(self) -> NewVariant:
        if (self.version is None) == (self.alias is None):
            raise ValueError("give either a version or an alias to follow")
        return self


Variants = Annotated[list[NewVariant], Field(min_length=1, max_length=MAX_VARIANTS)]


class NewEndpoint(BaseModel):
    """Model versions served under a name, with their shares of the traffic."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    name: Name
    variants: Variants
    replicas: int = Field(default=1, ge=1, le=100)
    cpus_per_replica: float = Field(default=0, ge=0, le=64, allow_inf_nan=False)
    """CPUs that Ray keeps for each replica: 0 lets them share what there is, as suits small models."""


class EndpointUpdate(BaseModel):
    """All variants anew; what serves goes on serving until the new ones are loaded and tried."""

    model_config = ConfigDict(extra="forbid")

    variants: Variants
    replicas: int | None = Field(default=None, ge=1, le=100)


class VariantView(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    name: str
    model: str
    version: int | None
    alias: str | None
    weight: float
    state: str
    message: str | None


class EndpointView(BaseModel):
    """What is served under a name, and how far it is."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    name: str
    project: str
    status: str
    engine_status: str | None
    reason: str | None
    message: str | None
    generation: int
    observed_generation: int
    url: str
    """Where it answers: `POST <url>/predict`."""
    variants: list[VariantView]
    replicas: int
    cpus_per_replica: float
    created_by: str
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, row: Endpoint, serving: str) -> EndpointView:
        """`serving` is the base URL of the ingress for predictions."""
        own = {name: getattr(row, name) for name in cls.model_fields if name not in ("url", "created_by", "variants")}
        variants = [VariantView.model_validate(variant) for variant in row.variants]
        return cls(**own, url=f"{serving}/{row.project}/{row.name}", created_by=row.actor, variants=variants)


ENDPOINT_FIELDS = Fields(
    {
        "id": column(Endpoint.id),
        "name": column(Endpoint.name),
        "status": column(Endpoint.status, Status),
        "engine_status": column(Endpoint.engine_status),
        "reason": column(Endpoint.reason),
        "message": column(Endpoint.message, orderable=False),
        "generation": column(Endpoint.generation),
        "replicas": column(Endpoint.replicas),
        "created_by": column(Endpoint.actor),
        "created_at": column(Endpoint.created_at),
        "updated_at": column(Endpoint.updated_at),
    }
)


class NewOutcome(BaseModel):
    """What came true for one predicted row: a label or a number."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    request_id: str = Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")
    row: int = Field(default=0, ge=0, lt=1_000)
    """Index of the row in its request."""
    value: (
        StrictBool
        | Annotated[StrictInt, Field(ge=-(2**53), le=2**53)]
        | Annotated[StrictFloat, Field(allow_inf_nan=False)]
        | Annotated[StrictStr, Field(max_length=1_000)]
    )

    @property
    def columns(self) -> tuple[str | None, float | None]:
        """(text, number). A boolean is a label and kept as the prediction log writes it: `True`, `False`."""
        if isinstance(self.value, str | bool):
            return str(self.value), None
        return None, float(self.value)


class Outcomes(BaseModel):
    model_config = ConfigDict(extra="forbid")

    outcomes: list[NewOutcome] = Field(min_length=1, max_length=MAX_OUTCOMES)


class Receipt(BaseModel):
    """What became of outcomes that were sent."""

    accepted: int
    duplicates: int
    """Known already, with the same value."""


class TrafficPoint(BaseModel):
    """Requests that one variant answered in one minute (UTC)."""

    minute: datetime
    variant: str
    model: str
    model_version: int
    count: int


class Traffic(BaseModel):
    items: list[TrafficPoint]
    """Newest minute first."""
    since: datetime
    until: datetime
    truncated: bool
    """Whether there was more than could be counted: then the oldest minutes are missing."""
    next_page_token: str = ""


class Predictions(BaseModel):
    items: list[dict[str, Any]]
    """Rows of the prediction log, newest first, each with its `outcome` (null when none is known)."""
    next_page_token: str = ""


def outcome_value(row: Outcome) -> str | float | None:
    return row.text if row.text is not None else row.number
