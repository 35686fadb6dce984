"""What all collections of the API share: addresses, pages, creation, and waiting for an end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, TypeVar
from urllib.parse import quote

from ratchet.sdk.errors import ServerUnavailable, WaitTimeout
from ratchet.sdk.resources import Resource
from ratchet.sdk.transport import Transport

R = TypeVar("R", bound=Resource)
S = TypeVar("S", bound=Resource)

PAGE_SIZE = 200
FIRST_POLL_S = 0.3
MAX_POLL_S = 3.0
PATIENCE_S = 120.0
"""How long a wait goes on while the server cannot be reached: a restart of the API does not end it."""


class Scope:
    """A part of the API's address space, and the means to talk to it."""

    def __init__(self, transport: Transport, project: str) -> None:
        self._transport = transport
        self._project = project

    def _global(self, *parts: str | int) -> str:
        """An address below `/api/v1`; each part is escaped, so that a name with a slash stays one part."""
        return "/api/v1/" + "/".join(quote(str(part), safe=":") for part in parts)

    def _address(self, *parts: str | int) -> str:
        """An address below the project's."""
        return self._global("projects", self._project, *parts)

    def _pages(self, kind: type[S], address: str, filters: Mapping[str, Any] | None = None) -> Iterator[S]:
        """All items of a list, page by page as they are asked for."""
        token: str | None = None
        while True:
            params = {"page_size": PAGE_SIZE, "page_token": token, **(filters or {})}
            page = self._transport.json("GET", address, params=params)
            yield from (kind.model_validate(item) for item in page["items"])
            token = page.get("next_page_token")
            if not token:
                return

    def _get(self, kind: type[S], address: str) -> S:
        return kind.model_validate(self._transport.json("GET", address))

    def _post(
        self,
        kind: type[S],
        address: str,
        body: Any = None,
        *,
        idempotency_key: str | None = None,
        repeatable: bool = True,
    ) -> S:
        """`repeatable`: the API knows a repetition by its Idempotency-Key, or it changes nothing."""
        answer = self._transport.json(
            "POST", address, json=body, idempotency_key=idempotency_key, repeatable=repeatable
        )
        return kind.model_validate(answer)

    def _wait(
        self,
        look: Callable[[], S],
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
                now = look()
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
            self._transport.sleep(delay)
            delay = min(MAX_POLL_S, delay * 1.4)


class Collection(Scope, Generic[R]):
    """The things of one kind in one project: `list` and `get`, and what the kind adds."""

    resource: type[R]
    name: str
    """The kind's part of the address: `jobs`."""

    def list(self, **filters: Any) -> Iterator[R]:
        """All of them, newest first as the API orders them; pages are fetched as the iterator goes."""
        return self._pages(self.resource, self._address(self.name), filters)

    def get(self, id: str) -> R:
        return self._get(self.resource, self._address(self.name, id))


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
