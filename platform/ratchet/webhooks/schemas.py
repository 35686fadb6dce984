from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator

from ratchet.lists.fields import Fields, column
from ratchet.webhooks.status import DeliveryStatus
from ratchet.webhooks.tables import Delivery, Webhook
from ratchet_pipelines.spec import Name

PATTERN = re.compile(r"^(\*|[a-z_]+\.(\*|[a-z_]+))$")
Url = Annotated[str, Field(min_length=9, max_length=2_000)]
Patterns = Annotated[list[str], Field(min_length=1, max_length=50)]


def checked_patterns(patterns: list[str]) -> list[str]:
    for pattern in patterns:
        if not PATTERN.match(pattern):
            raise ValueError(f"{pattern[:40]!r} is no pattern of events: write `job.failed`, `job.*` or `*`")
    return list(dict.fromkeys(patterns))


class NewWebhook(BaseModel):
    """Events of the project, sent to an address."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    name: Name
    url: Url
    """Where events are sent: https."""
    events: Patterns = ["*"]
    """Actions of the audit log: `job.failed`, all of a kind (`job.*`), or all (`*`)."""
    enabled: bool = True

    @field_validator("events")
    @classmethod
    def _are_patterns(cls, patterns: list[str]) -> list[str]:
        return checked_patterns(patterns)


class WebhookChanges(BaseModel):
    model_config = ConfigDict(extra="forbid")

    url: Url | None = None
    events: Patterns | None = None
    enabled: bool | None = None

    @field_validator("events")
    @classmethod
    def _are_patterns(cls, patterns: list[str] | None) -> list[str] | None:
        return None if patterns is None else checked_patterns(patterns)


class WebhookView(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: str
    name: str
    project: str
    url: str
    events: list[str]
    enabled: bool
    reason: str
    """Why the platform disabled it; empty when it did not."""
    failures: int
    """Deliveries in a row that came to nothing."""
    previous_until: datetime | None
    """Until then the secret before the last rotation signs too."""
    created_by: str
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, row: Webhook) -> WebhookView:
        return cls.model_validate(row)


class WebhookCreated(WebhookView):
    secret: str
    """What its deliveries are signed with (`whsec_…`). It is shown this once."""


class DeliveryAttemptView(BaseModel):
    at: datetime
    status_code: int | None
    message: str
    duration_ms: int


class DeliveryView(BaseModel):
    """One event for one webhook, and what became of it."""

    id: str
    """Its `webhook-id`, the same at every attempt."""
    webhook: str
    event: int
    action: str
    status: DeliveryStatus
    attempts: int
    status_code: int | None
    message: str
    log: list[DeliveryAttemptView]
    """The last attempts, oldest first."""
    due_at: datetime | None
    """When it is sent next."""
    created_at: datetime
    ended_at: datetime | None

    @classmethod
    def of(cls, row: Delivery, webhook: Webhook) -> DeliveryView:
        own = {name: getattr(row, name) for name in cls.model_fields if name not in ("webhook", "event")}
        return cls(**own, webhook=webhook.name, event=row.event_id)


WEBHOOK_FIELDS = Fields(
    {
        "id": column(Webhook.id),
        "name": column(Webhook.name),
        "url": column(Webhook.url),
        "enabled": column(Webhook.enabled),
        "reason": column(Webhook.reason),
        "failures": column(Webhook.failures),
        "created_by": column(Webhook.created_by),
        "created_at": column(Webhook.created_at),
        "updated_at": column(Webhook.updated_at),
    }
)
DELIVERY_FIELDS = Fields(
    {
        "id": column(Delivery.id),
        "event": column(Delivery.event_id),
        "action": column(Delivery.action),
        "status": column(Delivery.status, DeliveryStatus),
        "attempts": column(Delivery.attempts),
        "status_code": column(Delivery.status_code),
        "message": column(Delivery.message, orderable=False),
        "created_at": column(Delivery.created_at),
        "ended_at": column(Delivery.ended_at),
    }
)
