"""The job's span, below the request that asked for it. Nothing is recorded unless OTLP is configured where it runs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from ratchet_pipelines.spec import Envelope

PARENT = "TRACEPARENT"
ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
EXPORT_TIMEOUT_MS = 5_000


@contextmanager
def span(envelope: Envelope) -> Iterator[None]:
    """Open while the job runs; sent when it ends, however it does."""
    if not any(os.environ.get(name) for name in ENDPOINTS):
        yield
        return
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    provider = TracerProvider(resource=Resource.create({"service.name": "ratchet-job"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(timeout=EXPORT_TIMEOUT_MS / 1000)))
    parent = TraceContextTextMapPropagator().extract({"traceparent": os.environ.get(PARENT, "")})
    attributes: dict[str, str | int] = {
        "ratchet.job": envelope.job,
        "ratchet.project": envelope.project,
        "ratchet.attempt": envelope.attempt,
        "ratchet.kind": envelope.spec.kind,
        "ratchet.run_id": envelope.run_id,
    }
    tracer = provider.get_tracer("ratchet_pipelines")
    try:
        with tracer.start_as_current_span(f"job {envelope.spec.kind}", parent, attributes=attributes):
            yield
    finally:
        provider.force_flush(EXPORT_TIMEOUT_MS)
        provider.shutdown()
