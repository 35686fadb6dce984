"""What a reconciler shows of itself: metrics of its steps, and `/healthz` and `/metrics` on a port of the loopback."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import cast
from wsgiref.simple_server import WSGIRequestHandler, make_server

from prometheus_client import Counter, Gauge, Histogram, make_wsgi_app

steps_total = Counter("ratchet_reconciler_steps", "Steps made, by how each ended.", ["reconciler", "outcome"])
step_seconds = Histogram(
    "ratchet_reconciler_step_duration_seconds",
    "From the claim of a row to the end of its step.",
    ["reconciler"],
    buckets=(0.005, 0.02, 0.1, 0.5, 2, 5, 30, 120),
)
leases_held = Gauge("ratchet_reconciler_leases_held", "Rows that this process works on now.")
database_failures = Counter("ratchet_reconciler_database_failures", "Times at which the database did not answer.")

Environ = dict[str, object]
StartResponse = Callable[[str, list[tuple[str, str]]], object]


class _Silent(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        """Scrapes are not worth a line each."""


def serve(port: int, healthy: Callable[[], bool]) -> None:
    """Answer on 127.0.0.1 until the process ends; nothing with port 0. `/healthz` is 503 when a loop does not go on."""
    if port == 0:
        return
    metrics = make_wsgi_app()

    def answer(environ: Environ, start: StartResponse) -> Iterable[bytes]:
        if environ.get("PATH_INFO") == "/metrics":
            return cast(Iterable[bytes], metrics(environ, start))
        if environ.get("PATH_INFO") != "/healthz":
            start("404 Not Found", [("Content-Type", "text/plain")])
            return [b"/healthz or /metrics\n"]
        ok = healthy()
        start("200 OK" if ok else "503 Service Unavailable", [("Content-Type", "application/json")])
        return [b'{"status": "ok"}' if ok else b'{"status": "failed"}']

    server = make_server("127.0.0.1", port, answer, handler_class=_Silent)
    threading.Thread(target=server.serve_forever, name="observe", daemon=True).start()
