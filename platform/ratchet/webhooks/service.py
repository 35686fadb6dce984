"""What may be done with webhooks and their deliveries. Nothing is sent here: the reconciler does."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import Select, delete, func, select
from sqlalchemy.orm import Session

from ratchet import events, sealed
from ratchet.db import new_id, now
from ratchet.errors import Conflict, FieldError, Invalid, NotFound
from ratchet.reconciler.loop import make_due
from ratchet.settings import Settings
from ratchet.webhooks import sender
from ratchet.webhooks.schemas import NewWebhook, WebhookChanges
from ratchet.webhooks.status import MOVES, DeliveryStatus
from ratchet.webhooks.tables import OUTBOX, Delivery, Outbox, Webhook

MAX_WEBHOOKS = 20
"""Of one project: each is another copy of its events."""
SECRET_PREFIX = "whsec_"  # noqa: S105
ROTATION = timedelta(hours=24)
"""For so long after a rotation both secrets sign."""
TESTED = "tested"
KEPT_FOR = timedelta(days=30)


def create(session: Session, project: str, new: NewWebhook, settings: Settings, *, actor: str) -> Webhook:
    """`Conflict` when the name is taken or the project has `MAX_WEBHOOKS`; `Invalid` when the address can't be."""
    _require_address(new.url, settings)
    if session.scalar(select(Webhook.id).where(Webhook.project == project, Webhook.name == new.name)) is not None:
        raise Conflict(f"There is a webhook {new.name!r} already.")
    if (session.scalar(select(func.count()).where(Webhook.project == project)) or 0) >= MAX_WEBHOOKS:
        raise Conflict(f"The project has {MAX_WEBHOOKS} webhooks.", code="too_many", hint="Delete one first.")
    secret = _new_secret(settings)
    row = Webhook(id=new_id("whk"), project=project, **new.model_dump(), secret=secret, failures=0, created_by=actor)
    session.add(row)
    session.flush()
    _emit(session, row, actor, "created", after=_facts(row))
    session.refresh(row)
    return row


def of_project(project: str) -> Select[Webhook]:
    return select(Webhook).where(Webhook.project == project)


def get(session: Session, project: str, name: str) -> Webhook:
    """By its name or its id."""
    known = (Webhook.name == name) | (Webhook.id == name)
    row = session.scalar(select(Webhook).where(Webhook.project == project, known))
    if row is None:
        raise NotFound(f"There is no webhook {name[:80]!r} in the project {project!r}.")
    return row


def change(session: Session, row: Webhook, changes: WebhookChanges, settings: Settings, *, actor: str) -> Webhook:
    if changes.url is not None:
        _require_address(changes.url, settings)
    before = _facts(row)
    for name, value in changes.model_dump(exclude_none=True).items():
        setattr(row, name, value)
    if changes.enabled:
        row.reason, row.failures = "", 0
    if before != _facts(row):
        _emit(session, row, actor, "changed", before=before, after=_facts(row))
    session.flush()
    session.refresh(row)
    return row


def remove(session: Session, row: Webhook, *, actor: str) -> None:
    """With its deliveries, and what of them was not sent yet."""
    _emit(session, row, actor, "deleted", before=_facts(row))
    session.delete(row)


def rotate(session: Session, row: Webhook, settings: Settings, *, actor: str) -> Webhook:
    """A new secret. What is sent is signed with both for `ROTATION`, so that the receiver can change at its leisure."""
    row.previous_secret, row.previous_until = row.secret, now(session) + ROTATION
    row.secret = _new_secret(settings)
    _emit(session, row, actor, "rotated")
    session.flush()
    session.refresh(row)
    return row


def seal_old(session: Session, settings: Settings) -> None:
    """Seal what an older version has kept as it is."""
    plain = Webhook.secret.startswith(SECRET_PREFIX) | Webhook.previous_secret.startswith(SECRET_PREFIX)
    for row in session.scalars(select(Webhook).where(plain).with_for_update()):
        for name in ("secret", "previous_secret"):
            if (getattr(row, name) or "").startswith(SECRET_PREFIX):
                setattr(row, name, sealed.seal(settings.secret_key, getattr(row, name)))
    session.flush()


def disable(session: Session, row: Webhook, reason: str) -> None:
    """The receiver does not take anything any more; what waits for it is dead."""
    row.enabled, row.reason = False, reason
    _emit(session, row, events.SYSTEM, "disabled", after={"enabled": False, "reason": reason})


def send_test(session: Session, row: Webhook, *, actor: str) -> Delivery:
    """An event of its own, for this webhook alone whatever it listens to."""
    event_id = _emit(session, row, actor, TESTED)
    return add_delivery(session, row, event_id, f"webhook.{TESTED}")


def add_delivery(session: Session, row: Webhook, event_id: int, action: str) -> Delivery:
    delivery = Delivery(id=new_id("dlv"), webhook_id=row.id, event_id=event_id, action=action)
    session.add(delivery)
    session.flush()
    session.refresh(delivery)
    return delivery


def deliveries(row: Webhook) -> Select[Delivery]:
    return select(Delivery).where(Delivery.webhook_id == row.id)


def get_delivery(session: Session, row: Webhook, delivery_id: str) -> Delivery:
    delivery = session.get(Delivery, delivery_id)
    if delivery is None or delivery.webhook_id != row.id:
        raise NotFound(f"There is no delivery {delivery_id[:80]!r} of the webhook {row.name!r}.")
    return delivery


def redeliver(session: Session, row: Webhook, delivery: Delivery, *, actor: str) -> Delivery:
    """Send it again, under the same id. `Conflict` while it is being sent, or when the webhook is disabled."""
    session.refresh(delivery, with_for_update=True)
    if delivery.status == DeliveryStatus.PENDING:
        raise Conflict("It is being sent already.", code="delivery_pending")
    if not row.enabled:
        raise Conflict("The webhook is disabled.", code="webhook_disabled", hint="Enable it first.")
    move(session, delivery, DeliveryStatus.PENDING)
    delivery.attempts = 0
    make_due(session, delivery)
    _emit(session, row, actor, "redelivered", after={"delivery": delivery.id, "event": delivery.event_id})
    session.flush()
    session.refresh(delivery)
    return delivery


def move(session: Session, delivery: Delivery, to: DeliveryStatus) -> None:
    """The one door for a change of state. It is no event: one for each delivery would double the audit log."""
    if to not in MOVES[DeliveryStatus(delivery.status)]:
        raise ValueError(f"delivery {delivery.id}: {delivery.status} -> {to}")
    delivery.status = to.value
    delivery.ended_at = None if to is DeliveryStatus.PENDING else now(session)


def matches(patterns: Sequence[str], action: str) -> bool:
    kind = action.partition(".")[0]
    return any(pattern in ("*", action, f"{kind}.*") for pattern in patterns)


def ensure_outbox(session: Session) -> Outbox:
    """The row of the outbox, made when there is none: what was before is not sent."""
    row = session.get(Outbox, OUTBOX)
    if row is None:
        row = Outbox(id=OUTBOX, position=0)
        session.add(row)
        session.flush()
    return row


def purge(session: Session) -> int:
    """Forget the deliveries that ended long ago; how many there were."""
    old = delete(Delivery).where(
        Delivery.created_at < now(session) - KEPT_FOR, Delivery.status != DeliveryStatus.PENDING.value
    )
    return int(session.execute(old).rowcount)  # type: ignore[attr-defined]


def _require_address(url: str, settings: Settings) -> None:
    """What can be said of it without asking anybody; the rest is checked at each connection."""
    why = sender.refusal(url, settings)
    if why:
        raise Invalid("The address can't be used.", errors=[FieldError(pointer="/url", message=why, value=url[:100])])


def _new_secret(settings: Settings) -> str:
    return sealed.seal(settings.secret_key, SECRET_PREFIX + base64.b64encode(secrets.token_bytes(32)).decode())


def _facts(row: Webhook) -> dict[str, Any]:
    """For the audit log. Of the address its origin alone: many have a secret in their path."""
    origin = "{0.scheme}://{0.netloc}".format(urlsplit(row.url))
    return {"name": row.name, "origin": origin, "events": row.events, "enabled": row.enabled}


def _emit(session: Session, row: Webhook, actor: str, verb: str, **change: Any) -> int:
    return events.emit(
        session, project=row.project, actor=actor, action=f"webhook.{verb}", target=("webhook", row.id), **change
    )
