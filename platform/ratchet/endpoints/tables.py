from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, UniqueConstraint
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column, relationship

from ratchet.db import Base, Identified, Leased, db_now

SERVING = "serving"
"""The id of the one row of `Serving`."""


class Serving(Identified, Leased, Base):
    """The one row that the reconciler of all endpoints claims.

    Serve deletes what a PUT does not list, so there is one config for all endpoints and one writer of it. A row of its
    own gives that writer a lease, also when many reconcilers run.
    """

    __tablename__ = "serving"

    applied: Mapped[str | None]
    """SHA-256 of the config that Serve took last."""


class Endpoint(Identified, Base):
    """What should be served under a name."""

    __tablename__ = "endpoints"
    __table_args__ = (UniqueConstraint("project", "name"),)

    project: Mapped[str]
    name: Mapped[str]
    status: Mapped[str]
    engine_status: Mapped[str | None]
    """Serve's word for the application."""
    reason: Mapped[str | None]
    message: Mapped[str | None]
    replicas: Mapped[int]
    cpus_per_replica: Mapped[float]
    salt: Mapped[str]
    """Mixed into the hash of a caller's key: as long as it stays, callers stay with their variant."""
    generation: Mapped[int]
    """Rises with every change of what should be served."""
    observed_generation: Mapped[int]
    """The generation that answers requests; 0 when none does."""
    rendered: Mapped[dict[str, Any] | None] = mapped_column(
        JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
    )
    """The last configuration (`spec.ServingConfig`) that could be rendered: it serves on while a newer one can't be."""
    actor: Mapped[str]
    deleted_at: Mapped[datetime | None]
    variants: Mapped[list[Variant]] = relationship(
        order_by="Variant.position", lazy="selectin", cascade="all, delete-orphan", passive_deletes=True
    )


class Variant(Base):
    """One model version behind an endpoint, and its share of the traffic."""

    __tablename__ = "variants"

    endpoint_id: Mapped[str] = mapped_column(ForeignKey("endpoints.id", ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    position: Mapped[int]
    model: Mapped[str]
    """Its short name; MLflow knows it as `<project>.<model>`."""
    version: Mapped[int | None]
    """What is served; of an alias, what it was last seen to point to, null before that."""
    alias: Mapped[str | None]
    """The alias that the variant follows."""
    weight: Mapped[float]
    state: Mapped[str]
    """`pending`, `loading`, `ready` or `failed`."""
    message: Mapped[str | None]


class Outcome(Base):
    """What came true for one predicted row."""

    __tablename__ = "outcomes"
    __table_args__ = (Index(None, "endpoint_id", "at"),)

    endpoint_id: Mapped[str] = mapped_column(ForeignKey("endpoints.id", ondelete="CASCADE"), primary_key=True)
    request_id: Mapped[str] = mapped_column(primary_key=True)
    row: Mapped[int] = mapped_column(primary_key=True)
    """Index of the row in its request."""
    text: Mapped[str | None]
    """The value when it is a string; else null."""
    number: Mapped[float | None]
    """The value when it is a number."""
    at: Mapped[datetime] = mapped_column(server_default=db_now())
