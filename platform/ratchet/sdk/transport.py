"""HTTP as the SDK needs it: one place for authentication, retries, errors and event streams."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, TypeVar

import httpx2

from ratchet import __version__
from ratchet.sdk.config import Connection
from ratchet.sdk.errors import RatchetError, ServerUnavailable, from_problem
from ratchet.sdk.wire import Wire

Item = TypeVar("Item")

TIMEOUT_S = 30.0
CONNECT_S = 5.0
STREAM_TIMEOUT = httpx2.Timeout(TIMEOUT_S, connect=CONNECT_S, read=45)
"""The server sends a comment every 15 s, so that a silence of 45 s means that the connection is dead."""

ATTEMPTS = 5
FIRST_DELAY_S = 0.25
MAX_DELAY_S = 20.0
REFUSED_STATUSES = frozenset({429, 503})
"""The server says that it has done nothing."""
GATEWAY_STATUSES = frozenset({502, 504})
"""Something in between lost the answer: whether it was done is not known."""
IN_FLIGHT = "in_flight"
"""What an earlier attempt began is under way still: its answer is to be had in a moment."""
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


class Transport:
    """Sends requests to one API as one caller."""

    def __init__(self, connection: Connection, wire: Wire, *, attempts: int = ATTEMPTS) -> None:
        self.connection = connection
        self.wire = wire
        self._attempts = attempts

    async def sleep(self, seconds: float) -> None:
        await self.wire.sleep(seconds)

    async def request(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, Any] | None = None,
        json: Any = None,
        file: Path | None = None,
        headers: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
        repeatable: bool = True,
        timeout: float | None = None,
    ) -> httpx2.Response:
        """The answer, when it is a good one; a `RatchetError` when not.

        Every POST carries an Idempotency-Key, by which the API knows a repetition and does nothing twice. A request is
        repeated when it certainly was not done (connection refused, 429, 503), and, unless it is not `repeatable`
        because what it goes to knows no keys, also after a connection that broke before the answer. `file` is sent as
        the body, in parts.
        """
        every = dict(headers or {})
        if method == "POST":
            every["Idempotency-Key"] = idempotency_key or str(uuid.uuid4())
        query = {key: value for key, value in (params or {}).items() if value is not None}
        for attempt in range(1, self._attempts + 1):
            last = attempt == self._attempts
            request = self.wire.http.build_request(
                method,
                url,
                params=query or None,
                json=json,
                content=None if file is None else self.wire.file(file),
                headers=every,
                timeout=httpx2.USE_CLIENT_DEFAULT if timeout is None else timeout,
            )
            try:
                response = await self.wire.send(request)
            except httpx2.TransportError as error:
                never_arrived = isinstance(error, (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout))
                if last or not (repeatable or never_arrived):
                    raise self._unreachable(request, error) from error
                await self.sleep(backoff(attempt))
                continue
            if response.is_success:
                return response
            refusal = error_of(response)
            again = response.status_code in (REFUSED_STATUSES | GATEWAY_STATUSES if repeatable else REFUSED_STATUSES)
            if last or not (again or refusal.code == IN_FLIGHT):
                raise refusal
            await self.sleep(retry_after(response) or backoff(attempt))
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def json(self, method: str, url: str, **options: Any) -> Any:
        """The decoded body of `request`; None when it is empty."""
        response = await self.request(method, url, **options)
        if not response.content:
            return None
        try:
            return response.json()
        except ValueError as error:
            raise RatchetError(
                f"{response.request.url} answered {response.headers.get('content-type', 'something')!r}, not JSON.",
                hint="Is this the address of a Ratchet API?",
            ) from error

    @asynccontextmanager
    async def events(
        self, url: str, *, params: Mapping[str, Any] | None = None, last_event_id: str = ""
    ) -> AsyncIterator[AsyncIterator[httpx2.ServerSentEvent]]:
        """One connection to an event stream. Failures of the connection are `ServerUnavailable`, on entry and between
        events alike."""
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
        if last_event_id:
            headers["Last-Event-ID"] = last_event_id
        async with self._open(url, params=params, headers=headers) as (request, response):
            yield self._guarded(request, self.wire.events(response))

    async def text(self, url: str, *, params: Mapping[str, Any] | None = None) -> AsyncIterator[str]:
        """A long text, in parts as they arrive."""
        async with self._open(url, params=params, headers={"Accept": "text/plain"}) as (request, response):
            async for part in self._guarded(request, self.wire.text(response)):
                yield part

    @asynccontextmanager
    async def _open(
        self, url: str, *, params: Mapping[str, Any] | None, headers: Mapping[str, str]
    ) -> AsyncIterator[tuple[httpx2.Request, httpx2.Response]]:
        query = {key: value for key, value in (params or {}).items() if value is not None}
        request = self.wire.http.build_request(
            "GET", url, params=query or None, headers=headers, timeout=STREAM_TIMEOUT
        )
        try:
            response = await self.wire.send(request, stream=True)
        except httpx2.TransportError as error:
            raise self._unreachable(request, error) from error
        try:
            if not response.is_success:
                await self.wire.read(response)
                raise error_of(response)
            yield request, response
        finally:
            await self.wire.end(response)

    async def _guarded(self, request: httpx2.Request, items: AsyncIterator[Item]) -> AsyncIterator[Item]:
        try:
            async for item in items:
                yield item
        except httpx2.SSEError as error:
            raise RatchetError(f"{request.url} is no event stream: {error}") from error
        except httpx2.TransportError as error:
            raise self._unreachable(request, error) from error

    def _unreachable(self, request: httpx2.Request, error: Exception) -> ServerUnavailable:
        origin = f"{request.url.scheme}://{request.url.netloc.decode()}"
        why = "it did not answer in time" if isinstance(error, httpx2.TimeoutException) else str(error) or repr(error)
        local = request.url.host in _LOOPBACK
        return ServerUnavailable(
            f"Ratchet cannot be reached at {origin}: {why}",
            hint="Start it with `ratchet up`, or set RATCHET_URL to where it runs."
            if local
            else f"Is the address right? It comes from {self.connection.origin}.",
        )


def options_of(connection: Connection, timeout: float) -> dict[str, Any]:
    """What the HTTP client of a wire to this API is made with. Raises `RatchetError` for what is no address."""
    headers = {"User-Agent": f"ratchet-sdk/{__version__}", "Accept": "application/json"}
    if connection.token:
        headers["Authorization"] = f"Bearer {connection.token}"
    try:
        base = httpx2.URL(connection.url)
    except httpx2.InvalidURL as error:
        raise RatchetError(f"{connection.url!r} is no URL: {error}") from error
    if base.scheme not in ("http", "https") or not base.host:
        raise RatchetError(
            f"{connection.url!r} (from {connection.origin}) is not the address of an API.",
            hint="It looks like http://127.0.0.1:8470 or https://ratchet.example.com",
        )
    return {
        "base_url": base,
        "headers": headers,
        "timeout": httpx2.Timeout(timeout, connect=min(timeout, CONNECT_S)),
        "trust_env": base.host not in _LOOPBACK,  # a company's proxy cannot reach this machine's loopback
    }


def backoff(attempt: int) -> float:
    """Seconds before the next attempt: doubling, with jitter so that many clients do not come back at once."""
    return min(MAX_DELAY_S, FIRST_DELAY_S * 2.0 ** min(attempt - 1, 16)) * random.uniform(0.5, 1.0)  # noqa: S311


def retry_after(response: httpx2.Response) -> float | None:
    """The seconds that the server asks to wait (RFC 9110: a number or a date), at most `MAX_DELAY_S`."""
    text = response.headers.get("retry-after", "").strip()
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(text).timestamp() - time.time()
        except ValueError:
            return None
    return min(max(seconds, 0.0), MAX_DELAY_S)


def error_of(response: httpx2.Response) -> RatchetError:
    """The exception of an answer that is an error, whether or not its body is problem details."""
    try:
        problem = response.json()
    except ValueError:
        problem = {}
    return from_problem(
        response.status_code, problem if isinstance(problem, dict) else {}, reason=response.reason_phrase
    )
