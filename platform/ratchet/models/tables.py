from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Index, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from ratchet.db import Base, Identified, Leased, db_now


class Promotion(Identified, Leased, Base):
    """The intention to move an alias to a version, and what spoke for it.

    An alias moves in three writes: the evidence here, the alias in MLflow, the `AliasMove` here. A crash between any
    two leaves a row from which the next step goes on, and never an alias that moved without evidence.
    """

    __tablename__ = "promotions"
    __table_args__ = (
        Index(None, "project", "model", "id"),
        # The database itself keeps two promotions from moving one alias at once, on however many reconcilers.
        Index(
            "uq_promotions_alias_held",
            *("project", "model", "alias"),
            unique=True,
            sqlite_where=text("holds_alias"),
            postgresql_where=text("holds_alias"),
        ),
    )

    project: Mapped[str]
    model: Mapped[str]
    version: Mapped[int]
    alias: Mapped[str]
    kind: Mapped[str]
    """A `schemas.Kind`: `gate` measures first, `direct` does not."""
    gate: Mapped[dict[str, Any] | None] = mapped_column(
        JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
    )
    move: Mapped[bool]
    """Whether the alias is to move when the gate passes; the gate alone is evaluated otherwise."""
    status: Mapped[str]
    holds_alias: Mapped[bool] = mapped_column(default=False)
    """Only the holder may move the alias; it holds it from before its gate is evaluated until it has ended."""
    gate_passed: Mapped[bool | None]
    """The gate's verdict. Recorded before the alias moves, so it may be true while the status is `evaluating`."""
    previous_version: Mapped[int | None]
    """What the alias points to before the move: the version that the candidate is compared with."""
    evidence: Mapped[dict[str, Any]]
    job_id: Mapped[str | None]
    """The evaluate job."""
    reason: Mapped[str | None]
    message: Mapped[str | None]
    actor: Mapped[str]
    decided_at: Mapped[datetime | None]
    moved_at: Mapped[datetime | None]


class AliasMove(Base):
    """Who moved which alias, when, from what, to what, on what evidence. Append-only."""

    __tablename__ = "alias_moves"
    __table_args__ = (Index(None, "project", "model", "id"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    at: Mapped[datetime] = mapped_column(server_default=db_now())
    project: Mapped[str]
    model: Mapped[str]
    alias: Mapped[str]
    from_version: Mapped[int | None]
    to_version: Mapped[int]
    actor: Mapped[str]
    evidence: Mapped[dict[str, Any]]
    promotion_id: Mapped[str | None] = mapped_column(unique=True)
    """The promotion that moved it: at most one move each."""
