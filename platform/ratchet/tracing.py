"""Which trace a request belongs to (W3C Trace Context): a job's span hangs below the request that asked for the job."""

from __future__ import annotations

import re
from contextvars import ContextVar

from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

TRACEPARENT = re.compile(r"^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$")
incoming: ContextVar[str] = ContextVar("traceparent", default="")
"""What the caller sent, where no span of our own is recorded."""


def current() -> str | None:
    """The `traceparent` of the span that is open, else the caller's; None without either."""
    carrier: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carrier)
    return carrier.get("traceparent") or incoming.get() or None


def valid(traceparent: str) -> str:
    return traceparent if TRACEPARENT.match(traceparent) else ""
