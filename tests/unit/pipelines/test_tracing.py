"""The job's span: below the request that asked for it, and nothing at all where OTLP is not configured."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from ratchet_pipelines import tracing
from ratchet_pipelines.spec import Data, Envelope, Train

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
ENVELOPE = Envelope(
    job="job-1", attempt=2, project="p", run_id="r", storage="file:///s", spec=Train(data=Data(uri="sklearn://iris"))
)


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """A real OTLP receiver: the spans that came to it."""
    spans: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            import gzip

            body = self.rfile.read(int(self.headers["Content-Length"]))
            body = gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                spans.extend(span for scope in resource.scope_spans for span in scope.spans)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    yield spans
    server.shutdown()
    server.server_close()
    thread.join()


def test_the_span_hangs_below_the_request(collector: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACEPARENT", PARENT)
    with pytest.raises(ValueError, match="broken"), tracing.span(ENVELOPE):
        raise ValueError("broken")
    (span,) = collector
    assert (span.name, span.trace_id.hex(), span.parent_span_id.hex()) == ("job train", *PARENT.split("-")[1:3])
    assert {each.key: each.value.string_value for each in span.attributes}["ratchet.job"] == "job-1"
    assert span.status.code == 2  # an error


def test_nothing_is_loaded_where_otlp_is_not_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in tracing.ENDPOINTS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with tracing.span(ENVELOPE):
        pass
