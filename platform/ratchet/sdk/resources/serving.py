"""Endpoints, predictions, outcomes."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import Field

from ratchet.sdk.resources.base import Resource


class EndpointVariant(Resource):
    identity = "name"

    name: str
    model: str = ""
    version: int | None = None
    alias: str | None = None
    weight: float = 0.0
    state: str | None = None
    message: str | None = None


class Endpoint(Resource):
    identity = "name"

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
    variants: list[EndpointVariant] = Field(default_factory=list)
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
    predictions: list[dict[str, Any]] = Field(default_factory=list)
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
