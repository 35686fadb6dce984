"""What happens to every request, before routing: its id, the size of its body and the time that may take, the headers
of its answer."""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from collections.abc import Mapping
from functools import cache

from fastapi import FastAPI, Request
from prometheus_client import Counter, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ratchet import tracing
from ratchet.errors import RatchetError, RequestTimeout, TooLarge, problem
from ratchet.hosts import Hosts
from ratchet.identity.limits import Allowance
from ratchet.logs import request_id
from ratchet.settings import Settings

REQUEST_ID = re.compile(r"^[A-Za-z0-9_-]{1,64}$")
UNLIMITED = ("/mlflow/",)
"""Artifacts pass through here as a stream; MLflow limits its own requests."""
BUNDLES = re.compile(r"^/api/v1/projects/[^/]+/bundles$")
"""Where archives are uploaded, as a stream: they have limits of their own."""
BODY_S = 30.0
"""Every other body has come by then."""

CLOSE = {"Connection": "close"}
"""The rest of the body is not read."""
SECURITY_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"x-frame-options", b"SAMEORIGIN"),
]

requests_total = Counter("ratchet_http_requests", "Requests answered.", ["method", "route", "status"])
request_seconds = Histogram("ratchet_http_request_duration_seconds", "Time to the first byte.", ["method", "route"])

# Remembered: to find one by its labels costs more than to count.
_total, _seconds = cache(requests_total.labels), cache(request_seconds.labels)


def install(app: FastAPI, settings: Settings) -> None:
    app.add_middleware(
        RequestMiddleware,
        max_body_bytes=settings.max_body_bytes,
        max_bundle_bytes=settings.max_bundle_bytes,
        hosts=Hosts(settings),
    )


class RequestMiddleware:
    def __init__(self, app: ASGIApp, max_body_bytes: int, max_bundle_bytes: int, hosts: Hosts) -> None:
        self.app = app
        self.hosts = hosts
        self.max_body_bytes = max_body_bytes
        self.max_bundle_bytes = max_bundle_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        given = headers.get(b"x-request-id", b"").decode("latin-1")
        request_id.set(given if REQUEST_ID.match(given) else secrets.token_hex(8))
        tracing.incoming.set(tracing.valid(headers.get(b"traceparent", b"").decode("latin-1")))
        limited, bundle = not scope["path"].startswith(UNLIMITED), BUNDLES.match(scope["path"])
        limit = self.max_bundle_bytes if bundle else self.max_body_bytes
        answer = _Answer(scope, send)
        refusal: RatchetError | None = self.hosts.refusal(scope)
        if refusal is None and limited and _length(headers) > limit:
            refusal = _too_large(limit)
        if refusal is not None:
            await problem(Request(scope), refusal)(scope, receive, answer)
            return
        body = _Body(receive, limit, None if bundle else BODY_S) if limited else receive
        try:
            await self.app(scope, body, answer)
        except _Refused as refused:
            await problem(Request(scope), refused.error)(scope, receive, answer)


def _length(headers: Mapping[bytes, bytes]) -> int:
    """What is said of the body; what is not a number is for the server to refuse."""
    try:
        return int(headers.get(b"content-length", b"0"))
    except ValueError:
        return 0


class _Refused(BaseException):
    """Not an `Exception`: no handler between here and the reading of the body may answer it."""

    def __init__(self, error: RatchetError) -> None:
        self.error = error


def _too_large(limit: int) -> TooLarge:
    return TooLarge(
        f"The body is larger than {limit:,} bytes.",
        hint="Put large data into storage and give its URI.",
        headers=CLOSE,
    )


class _Body:
    """The body as it comes, whatever Content-Length said: no more than `limit` bytes, in no more than `seconds`."""

    def __init__(self, receive: Receive, limit: int, seconds: float | None) -> None:
        self.receive = receive
        self.left = limit
        self.limit = limit
        self.ends = None if seconds is None else asyncio.get_running_loop().time() + seconds
        self.whole = False

    async def __call__(self) -> Message:
        if self.whole:  # now the caller's leaving is waited for, which is in no hurry
            return await self.receive()
        try:
            async with asyncio.timeout_at(self.ends):
                message = await self.receive()
        except TimeoutError:
            late = RequestTimeout(f"The body had not come whole after {BODY_S:g} s.", headers=CLOSE)
            raise _Refused(late) from None
        self.whole = not message.get("more_body", False)
        self.left -= len(message.get("body", b""))
        if self.left < 0:
            raise _Refused(_too_large(self.limit))
        return message


class _Answer:
    """Adds our headers, and counts the answer under its route's pattern: an id in a label would never end."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self.scope = scope
        self.send = send
        self.began = time.perf_counter()

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            allowance: Allowance | None = self.scope.get("state", {}).get("allowance")
            message["headers"] = [
                *message["headers"],
                *_encoded(allowance),
                *SECURITY_HEADERS,
                (b"x-request-id", request_id.get().encode()),
            ]
            route = getattr(self.scope.get("route"), "path", "unmatched")
            method = self.scope["method"]
            _total(method, route, message["status"]).inc()
            _seconds(method, route).observe(time.perf_counter() - self.began)
        await self.send(message)


def _encoded(allowance: Allowance | None) -> list[tuple[bytes, bytes]]:
    given = allowance.headers() if allowance is not None else {}
    return [(name.lower().encode(), value.encode()) for name, value in given.items()]
