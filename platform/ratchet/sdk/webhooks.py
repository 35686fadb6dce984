"""Webhooks and what they sent."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

from ratchet.sdk.collection import Collection, id_of, name_of
from ratchet.sdk.modes import Mode, operation, stream
from ratchet.sdk.resources import Delivery, Webhook


class Webhooks(Collection[Mode, Webhook]):
    resource = Webhook
    name = "webhooks"

    @operation
    async def create(self, name: str, url: str, *, events: Sequence[str] = ("*",)) -> Webhook:
        """A new webhook. Its `secret` is in this answer alone."""
        body = {"name": name, "url": url, "events": [*events]}
        return await self._post(Webhook, self._address("webhooks"), body)

    @operation
    async def change(self, webhook: str | Webhook, /, **changes: Any) -> Webhook:
        """Change `url`, `events` or `enabled`."""
        return await self._patch(Webhook, self._address("webhooks", name_of(webhook)), changes)

    @operation
    async def delete(self, webhook: str | Webhook) -> None:
        await self._delete(self._address("webhooks", name_of(webhook)))

    @operation
    async def rotate(self, webhook: str | Webhook) -> Webhook:
        """A new `secret`; for a day the one before signs too."""
        return await self._post(Webhook, self._address("webhooks", f"{name_of(webhook)}:rotate"))

    @operation
    async def test(self, webhook: str | Webhook) -> Delivery:
        """Send it an event `webhook.tested`."""
        return await self._post(Delivery, self._address("webhooks", f"{name_of(webhook)}:test"))

    @stream
    def deliveries(
        self,
        webhook: str | Webhook,
        /,
        *,
        filter: str | None = None,
        order_by: str | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[Delivery]:
        """What was sent and what became of it, newest first."""
        address = self._address("webhooks", name_of(webhook), "deliveries")
        return self._pages(Delivery, address, {"filter": filter, "order_by": order_by}, limit=limit)

    @operation
    async def redeliver(self, webhook: str | Webhook, delivery: str | Delivery) -> Delivery:
        """Send it again, under the same id."""
        where = self._address("webhooks", name_of(webhook), "deliveries", f"{id_of(delivery)}:redeliver")
        return await self._post(Delivery, where)
