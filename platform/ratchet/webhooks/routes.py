"""HTTP for webhooks."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request, Response

from ratchet.auth import Admin, Writer
from ratchet.conditional import IfMatchHeader
from ratchet.db import ReadSession, WriteSession
from ratchet.idempotency import IdempotentSession
from ratchet.lists.paging import Page, PageOf, listing
from ratchet.routing import Router
from ratchet.sealed import unseal
from ratchet.settings import Settings
from ratchet.webhooks import service
from ratchet.webhooks.schemas import (
    DELIVERY_FIELDS,
    WEBHOOK_FIELDS,
    DeliveryView,
    NewWebhook,
    WebhookChanges,
    WebhookCreated,
    WebhookView,
)
from ratchet.webhooks.tables import Webhook

router = Router(prefix="/projects/{project}/webhooks", tags=["webhooks"])
WebhookPage = Annotated[Page, Depends(listing(WEBHOOK_FIELDS))]
DeliveryPage = Annotated[Page, Depends(listing(DELIVERY_FIELDS))]


@router.post("", status_code=201)
def create_webhook(
    project: str, body: NewWebhook, principal: Admin, session: IdempotentSession, request: Request, response: Response
) -> WebhookCreated:
    """Send the project's events to an address. The answer has the secret that signs them, this once."""
    row = service.create(session, project, body, _settings(request), actor=principal.actor)
    return _with_secret(row, request, response)


@router.get("")
def list_webhooks(project: str, principal: Writer, session: ReadSession, page: WebhookPage) -> PageOf[WebhookView]:
    rows, following = page.take(session, service.of_project(project))
    return PageOf(items=[WebhookView.of(row) for row in rows], next_page_token=following)


@router.get("/{webhook}")
def get_webhook(project: str, webhook: str, principal: Writer, session: ReadSession) -> WebhookView:
    return WebhookView.of(service.get(session, project, webhook))


@router.patch("/{webhook}")
def change_webhook(
    project: str,
    webhook: str,
    body: WebhookChanges,
    principal: Admin,
    session: WriteSession,
    if_match: IfMatchHeader,
    request: Request,
) -> WebhookView:
    """Change what is given. One that the platform disabled is enabled so."""
    row = service.get(session, project, webhook)
    if_match.check(session, row, lambda: WebhookView.of(row))
    return WebhookView.of(service.change(session, row, body, _settings(request), actor=principal.actor))


@router.delete("/{webhook}", status_code=204)
def delete_webhook(
    project: str, webhook: str, principal: Admin, session: WriteSession, if_match: IfMatchHeader
) -> None:
    """With its deliveries."""
    row = service.get(session, project, webhook)
    if_match.check(session, row, lambda: WebhookView.of(row))
    service.remove(session, row, actor=principal.actor)


@router.post("/{webhook}:rotate")
def rotate_webhook_secret(
    project: str,
    webhook: str,
    principal: Admin,
    session: IdempotentSession,
    if_match: IfMatchHeader,
    request: Request,
    response: Response,
) -> WebhookCreated:
    """A new secret. For a day the one before signs too."""
    row = service.get(session, project, webhook)
    if_match.check(session, row, lambda: WebhookView.of(row))
    rotated = service.rotate(session, row, _settings(request), actor=principal.actor)
    return _with_secret(rotated, request, response)


@router.post("/{webhook}:test", status_code=202)
def test_webhook(
    project: str,
    webhook: str,
    principal: Admin,
    session: IdempotentSession,
    if_match: IfMatchHeader,
    response: Response,
) -> DeliveryView:
    """Send it an event `webhook.tested`, whatever it listens to."""
    row = service.get(session, project, webhook)
    if_match.check(session, row, lambda: WebhookView.of(row))
    delivery = service.send_test(session, row, actor=principal.actor)
    response.headers["Location"] = f"/api/v1/projects/{project}/webhooks/{row.name}/deliveries/{delivery.id}"
    return DeliveryView.of(delivery, row)


@router.get("/{webhook}/deliveries")
def list_webhook_deliveries(
    project: str, webhook: str, principal: Writer, session: ReadSession, page: DeliveryPage
) -> PageOf[DeliveryView]:
    """What was sent and what became of it, newest first."""
    row = service.get(session, project, webhook)
    rows, following = page.take(session, service.deliveries(row))
    return PageOf(items=[DeliveryView.of(each, row) for each in rows], next_page_token=following)


@router.get("/{webhook}/deliveries/{delivery}")
def get_webhook_delivery(
    project: str, webhook: str, delivery: str, principal: Writer, session: ReadSession
) -> DeliveryView:
    row = service.get(session, project, webhook)
    return DeliveryView.of(service.get_delivery(session, row, delivery), row)


@router.post("/{webhook}/deliveries/{delivery}:redeliver", status_code=202)
def redeliver_webhook(
    project: str, webhook: str, delivery: str, principal: Admin, session: IdempotentSession, if_match: IfMatchHeader
) -> DeliveryView:
    """Send it again, under the same id."""
    row = service.get(session, project, webhook)
    found = service.get_delivery(session, row, delivery)
    if_match.check(session, found, lambda: DeliveryView.of(found, row))
    return DeliveryView.of(service.redeliver(session, row, found, actor=principal.actor), row)


def _with_secret(row: Webhook, request: Request, response: Response) -> WebhookCreated:
    response.headers["Location"] = f"/api/v1/projects/{row.project}/webhooks/{row.name}"
    response.headers["Cache-Control"] = "no-store"
    secret = unseal(_settings(request).secret_key, row.secret)
    assert secret is not None  # it was sealed a moment ago
    return WebhookCreated(**WebhookView.of(row).model_dump(), secret=secret)


def _settings(request: Request) -> Settings:
    settings: Settings = request.app.state.settings
    return settings
