"""What a reconciler shows of itself on its port."""

from __future__ import annotations

import socket
import urllib.error
import urllib.request

import pytest

from ratchet.reconciler import loop as loops
from ratchet.reconciler import observe
from ratchet.reconciler.loop import Loop


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def get(port: int, path: str) -> tuple[int, str]:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_a_reconciler_says_how_it_does() -> None:
    port, well = free_port(), True
    observe.steps_total.labels("jobs", "ok").inc()
    observe.serve(port, lambda: well)
    assert get(port, "/healthz") == (200, '{"status": "ok"}')
    assert 'ratchet_reconciler_steps_total{outcome="ok",reconciler="jobs"}' in get(port, "/metrics")[1]
    assert get(port, "/else")[0] == 404
    well = False
    assert get(port, "/healthz")[0] == 503


def test_a_loop_is_healthy_while_every_thread_of_it_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = Loop(None, [])  # type: ignore[arg-type] - no reconciler asks for a session
    assert loop.healthy()
    monkeypatch.setattr(loops, "UNHEALTHY_S", -1.0)
    assert not loop.healthy()
    monkeypatch.undo()
    loop.stop()
    assert not loop.healthy()
