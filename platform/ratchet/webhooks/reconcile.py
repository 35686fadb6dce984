"""Two loops: the outbox turns new events into deliveries, and each delivery is sent until it is taken or given up."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from ratchet.audit.tables import EventSeal
from ratchet.db import now
from ratchet.events import Event, EventView
from ratchet.reconciler.loop import Reconciler
from ratchet.sealed import unseal
from ratchet.settings import Settings
from ratchet.webhooks import service
from ratchet.webhooks.sender import Message, Sender, Sent
from ratchet.webhooks.status import DeliveryStatus
from ratchet.webhooks.tables import Delivery, Outbox, Webhook

BATCH = 500
LOOK_EVERY = timedelta(seconds=1)
AT_ONCE = timedelta(0)

PAUSES = [timedelta(seconds=5), timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=30)]
PAUSES += [timedelta(hours=hours) for hours in (2, 5, 10, 24)]
"""Between the attempts of a delivery: nine in all, over a day and three quarters."""
DISABLED_AFTER = 50
"""Deliveries in a row that were given up."""
GONE = 410
"""The receiver wants no more of it."""
MAX_BODY_BYTES = 20_000
MAX_LOG = 20
PREFIX = "ratchet."


@dataclass(frozen=True)
class New:
    """Events since the last look, each with the webhooks that listen to it."""

    position: int
    found: Sequence[tuple[int, str, str]]
    """(event, action, webhook)"""
    full: bool


class OutboxReconciler(Reconciler[Outbox, New, None]):
    """The chain of the audit log has every event once and in one order: no event is missed, and none comes twice."""

    table = Outbox
    workers = 1

    def load(self, session: Session, row: Outbox) -> New:
        query = select(EventSeal.seq, Event).join(Event, Event.id == EventSeal.event_id)
        rows = session.execute(query.where(EventSeal.seq > row.position).order_by(EventSeal.seq).limit(BATCH)).all()
        listening = list(session.scalars(select(Webhook).where(Webhook.enabled))) if rows else []
        found = [
            (event.id, event.action, webhook.id)
            for _, event in rows
            for webhook in listening
            if event.project == webhook.project
            and event.at >= webhook.created_at
            and event.action != "webhook.tested"
            and service.matches(webhook.events, event.action)
        ]
        return New(rows[-1][0] if rows else row.position, found, len(rows) == BATCH)

    def act(self, seen: New) -> None:
        """Nothing: what is found is recorded."""

    def record(self, session: Session, row: Outbox, seen: New, found: None) -> timedelta:
        for event_id, action, webhook_id in seen.found:
            webhook = session.get(Webhook, webhook_id)
            if webhook is not None:
                service.add_delivery(session, webhook, event_id, action)
        row.position = seen.position
        return AT_ONCE if seen.full else LOOK_EVERY


class DeliveryReconciler(Reconciler[Delivery, Message, Sent]):
    table = Delivery
    workers = 8

    def __init__(self, settings: Settings, sender: Sender | None = None) -> None:
        self._settings = settings
        self._sender = sender or Sender(settings)

    def load(self, session: Session, row: Delivery) -> Message | None:
        webhook = session.get(Webhook, row.webhook_id)
        if row.status != DeliveryStatus.PENDING or webhook is None:
            return None
        kept = [webhook.secret]
        if webhook.previous_secret and webhook.previous_until and webhook.previous_until > now(session):
            kept.append(webhook.previous_secret)
        secrets = [secret for each in kept if (secret := unseal(self._settings.secret_key, each)) is not None]
        url = webhook.url if webhook.enabled else ""
        return Message(row.id, url, secrets, body_of(session.get_one(Event, row.event_id), self._settings.public))

    def act(self, seen: Message) -> Sent:
        if not seen.url:
            return Sent(None, "The webhook is disabled.", 0)
        if not seen.secrets:
            return Sent(None, "Its secret was sealed with another key of the platform's: rotate it.", 0)
        return self._sender.send(seen)

    def record(self, session: Session, row: Delivery, seen: Message, found: Sent) -> timedelta | None:
        webhook = session.get_one(Webhook, row.webhook_id, with_for_update=True)
        row.attempts += 1
        row.status_code, row.message = found.status_code, found.message
        entry = {
            "at": now(session).isoformat(),
            "status_code": found.status_code,
            "message": found.message,
            "duration_ms": found.duration_ms,
        }
        row.log = [*row.log, entry][-MAX_LOG:]
        if found.status_code is not None and 200 <= found.status_code < 300:
            webhook.failures = 0
            service.move(session, row, DeliveryStatus.DELIVERED)
            return None
        if found.status_code != GONE and seen.url and row.attempts <= len(PAUSES):
            asked = timedelta(seconds=min(found.retry_after_s or 0, PAUSES[-1].total_seconds()))
            return max(PAUSES[row.attempts - 1], asked)
        service.move(session, row, DeliveryStatus.DEAD)
        webhook.failures += 1
        if webhook.enabled and (found.status_code == GONE or webhook.failures >= DISABLED_AFTER):
            why = "The receiver said that it is gone." if found.status_code == GONE else "Too many deliveries failed."
            service.disable(session, webhook, why)
        return None


def body_of(event: Event, public_url: str) -> bytes:
    """The event in a CloudEvents 1.0 envelope. A large one goes without its states: they can be read at `source`."""
    data = EventView.of(event).model_dump(mode="json")
    envelope = {
        "specversion": "1.0",
        "id": str(event.id),
        "source": f"{public_url}/api/v1/projects/{event.project}/events",
        "type": PREFIX + event.action,
        "subject": f"{event.target_kind}/{event.target_id}",
        "time": event.at.isoformat(),
        "datacontenttype": "application/json",
        "data": {**data, "truncated": False},
    }
    body = json.dumps(envelope, separators=(",", ":")).encode()
    if len(body) > MAX_BODY_BYTES:
        short = {**data, "before": None, "after": None, "message": data["message"][:1_000], "truncated": True}
        body = json.dumps({**envelope, "data": short}, separators=(",", ":")).encode()
    return body
