"""Registered models, promotions, alias moves."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import Field

from ratchet.sdk.resources.base import Resource


class Version(Resource):
    version: int
    run_id: str | None = None
    job: str | None = None
    source: str | None = None
    metrics: dict[str, float | None] = Field(default_factory=dict)
    aliases: list[str] = Field(default_factory=list)
    created_at: datetime | None = None


class Model(Resource):
    identity = "name"

    name: str
    latest_version: int | None = None
    aliases: dict[str, int] = Field(default_factory=dict)
    description: str | None = None
    versions: list[Version] = Field(default_factory=list)
    """Given for one model, left out in lists."""


class Rule(Resource):
    rule: str = ""
    passed: bool = False
    detail: str = ""


class Evidence(Resource):
    job: str | None = None
    metrics: dict[str, Any] = Field(default_factory=dict)
    rules: list[Rule] = Field(default_factory=list)


PROMOTION_ENDED = frozenset({"passed", "refused", "failed"})


class Promotion(Resource):
    id: str
    model: str = ""
    version: int | None = None
    alias: str = ""
    status: str = ""
    """pending | evaluating | passed | refused | failed"""
    previous_version: int | None = None
    gate: dict[str, Any] | None = None
    move: bool = True
    """Whether the alias moves as soon as the gate has passed."""
    evidence: Evidence | None = None
    reason: str | None = None
    message: str | None = None
    actor: str | None = None
    created_at: datetime | None = None
    decided_at: datetime | None = None
    moved_at: datetime | None = None

    @property
    def ended(self) -> bool:
        """Whether it is decided and, where it passed, the alias has moved."""
        if self.status == "passed" and self.move and "moved_at" in self.model_fields_set:
            return self.moved_at is not None
        return self.status in PROMOTION_ENDED


class AliasMove(Resource):
    alias: str
    from_version: int | None = None
    to_version: int | None = None
    actor: str | None = None
    evidence: Any = None
    at: datetime | None = None
