from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from ratchet.db import Base, Identified, Leased
from ratchet.webhooks.status import DeliveryStatus

OUTBOX = "outbox"
"""The id of the one row of `Outbox`."""


class Webhook(Identified, Base):
    __tablename__ = "webhooks"
    __table_args__ = (UniqueConstraint("project", "name"),)

    project: Mapped[str] = mapped_column(ForeignKey("projects.name"))
    name: Mapped[str]
    url: Mapped[str]
    events: Mapped[list[Any]]
    """Patterns of actions: `job.*`."""
    enabled: Mapped[bool]
    reason: Mapped[str] = mapped_column(default="")
    """Why the platform disabled it."""
    failures: Mapped[int] = mapped_column(default=0)
    """Deliveries in a row that came to nothing."""
    secret: Mapped[str]
    """What signs: it must be known to sign, so it can't be kept as a hash. `ratchet.sealed`."""
    previous_secret: Mapped[str | None]
    previous_until: Mapped[datetime | None]
    """Until then what was the secret before signs too."""
    created_by: Mapped[str]


class Outbox(Identified, Leased, Base):
    """How far the events were turned into deliveries: the place in the audit log's chain, which has no gaps."""

    __tablename__ = "webhook_outbox"

    position: Mapped[int] = mapped_column(default=0)


class Delivery(Identified, Leased, Base):
    """One event for one webhook. What is sent is made from the event, which never changes."""

    __tablename__ = "webhook_deliveries"
    __table_args__ = (Index(None, "webhook_id", "created_at", "id"), Index(None, "created_at"))

    webhook_id: Mapped[str] = mapped_column(ForeignKey("webhooks.id", ondelete="CASCADE"))
    event_id: Mapped[int]
    action: Mapped[str]
    status: Mapped[str] = mapped_column(default=DeliveryStatus.PENDING.value)
    attempts: Mapped[int] = mapped_column(default=0)
    """Since it was last asked for."""
    status_code: Mapped[int | None]
    """The receiver's last answer; null when there was none."""
    message: Mapped[str] = mapped_column(default="")
    log: Mapped[list[Any]] = mapped_column(default=list)
    """The last attempts, oldest first: `at`, `status_code`, `message`, `duration_ms`."""
    ended_at: Mapped[datetime | None]
