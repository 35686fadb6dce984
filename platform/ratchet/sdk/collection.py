"""What all collections of the API share: addresses, pages, creation, and waiting for an end."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar
from urllib.parse import quote

from ratchet.sdk.errors import ServerUnavailable, WaitTimeout
from ratchet.sdk.modes import Called, Mode, operation, stream
from ratchet.sdk.resources import Resource
from ratchet.sdk.transport import Transport

R = TypeVar("R", bound=Resource)
S = TypeVar("S", bound=Resource)
C = TypeVar("C")

PAGE_SIZE = 200
FIRST_POLL_S = 0.3
MAX_POLL_S = 3.0
PATIENCE_S = 120.0
"""How long a wait goes on while the server cannot be reached: a restart of the API does not end it."""


class Scope(Called[Mode]):
    """A part of the API's address space, and the means to talk to it."""

    def __init__(self, transport: Transport, project: str, *, blocking: bool) -> None:
        self._transport = transport
        self._project = project
        self._blocking = blocking

    def _part(self, kind: Callable[..., C]) -> C:
        """Another part of the same API, called in the same way."""
        return kind(self._transport, self._project, blocking=self._blocking)

    def _global(self, *parts: str | int) -> str:
        """An address below `/api/v1`; each part is escaped, so that a name with a slash stays one part."""
        return "/api/v1/" + "/".join(quote(str(part), safe=":") for part in parts)

    def _address(self, *parts: str | int) -> str:
        """An address below the project's."""
        return self._global("projects", self._project, *parts)

    async def _pages(
        self, kind: type[S], address: str, filters: Mapping[str, Any] | None = None, *, limit: int | None = None
    ) -> AsyncIterator[S]:
        """The items of a list, all or the first `limit`, page by page as they are asked for."""
        token, left = None, limit
        while left is None or left > 0:
            size = PAGE_SIZE if left is None else min(left, PAGE_SIZE)
            page = await self._transport.json(
                "GET", address, params={"page_size": size, "page_token": token, **(filters or {})}
            )
            for item in page["items"][:left]:
                yield kind.model_validate(item)
            left = None if left is None else left - len(page["items"])
            token = page.get("next_page_token")
            if not token:
                return

    async def _get(self, kind: type[S], address: str, params: Mapping[str, Any] | None = None) -> S:
        return kind.model_validate(await self._transport.json("GET", address, params=params))

    async def _post(self, kind: type[S], address: str, body: Any = None, *, idempotency_key: str | None = None) -> S:
        answer = await self._transport.json("POST", address, json=body, idempotency_key=idempotency_key)
        return kind.model_validate(answer)

    async def _put(self, kind: type[S], address: str, body: Any) -> S:
        return kind.model_validate(await self._transport.json("PUT", address, json=body))

    async def _patch(self, kind: type[S], address: str, body: Any) -> S:
        return kind.model_validate(await self._transport.json("PATCH", address, json=body))

    async def _delete(self, address: str) -> None:
        await self._transport.request("DELETE", address)

    async def _upload(self, kind: type[S], address: str, file: Path, *, content_type: str) -> S:
        """Sends a file as the body of a POST, in parts: it need not fit into memory."""
        size = file.stat().st_size  # noqa: ASYNC240  one look at a local file
        headers = {"Content-Type": content_type, "Content-Length": str(size)}
        return kind.model_validate(await self._transport.json("POST", address, file=file, headers=headers))

    async def _wait(
        self,
        look: Callable[[], Awaitable[S]],
        ended: Callable[[S], bool],
        *,
        what: str,
        timeout: float | None,
        on_change: Callable[[S], None] | None,
    ) -> S:
        """Looks until `ended`, each time a little later; tells `on_change` of the first look and of each difference.

        Raises `WaitTimeout` after `timeout` seconds, `ServerUnavailable` when no look succeeds for `PATIENCE_S`.
        """
        start = reached = time.monotonic()
        delay, last = FIRST_POLL_S, None
        while True:
            try:
                now = await look()
            except ServerUnavailable:
                if time.monotonic() - reached > PATIENCE_S:
                    raise
            else:
                reached = time.monotonic()
                if now != last:
                    delay, last = FIRST_POLL_S, now
                    if on_change is not None:
                        on_change(now)
                if ended(now):
                    return now
            waited = time.monotonic() - start
            if timeout is not None and waited + delay > timeout:
                state = getattr(last, "status", "unknown")
                raise WaitTimeout(
                    f"{what} has not ended after {timeout:g} s (status: {state}). It goes on.",
                    hint="Wait again with a longer timeout.",
                )
            await self._transport.sleep(delay)
            delay = min(MAX_POLL_S, delay * 1.4)


class Collection(Scope[Mode], Generic[Mode, R]):
    """The things of one kind in one project: `list` and `get`, and what the kind adds."""

    resource: type[R]
    name: str
    """The kind's part of the address: `jobs`."""

    @stream
    def list(
        self, /, *, filter: str | None = None, order_by: str | None = None, limit: int | None = None, **filters: Any
    ) -> AsyncIterator[R]:
        """All of them, or the first `limit`, newest first unless `order_by` says otherwise (`"name, created_at desc"`).

        `filter` is the API's filter grammar: `status = "running" and metrics.loss < 0.2`. Pages are fetched as the
        iterator goes.
        """
        params = {"filter": filter, "order_by": order_by, **filters}
        return self._pages(self.resource, self._address(self.name), params, limit=limit)

    @operation
    async def get(self, id: str) -> R:
        return await self._get(self.resource, self._address(self.name, id))


def id_of(thing: Any) -> str:
    """The id of a resource, or the id itself."""
    return thing if isinstance(thing, str) else str(thing.id)


def name_of(thing: Any) -> str:
    """The name of a resource, or the name itself."""
    return thing if isinstance(thing, str) else str(thing.name)


def body_of(spec: Any) -> Any:
    """A spec as JSON-ready data: a mapping as it is, a pydantic model dumped with what was set alone."""
    if hasattr(spec, "model_dump"):
        kind = {"kind": spec.kind} if hasattr(spec, "kind") else {}
        return {**kind, **spec.model_dump(mode="json", exclude_unset=True)}
    return dict(spec)
