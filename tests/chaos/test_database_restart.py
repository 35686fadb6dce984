"""A real Postgres that goes away and comes back: callers are told to come again, and nothing has to be restarted."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from tests.chaos.restarts import BACK_WITHIN_S, JOBS, SPEC, TOKEN, endure, postgres, stop, until

from ratchet import db
from ratchet.app import create_app
from ratchet.clients.fakes import fake_clients
from ratchet.reconciler.__main__ import reconcilers
from ratchet.reconciler.loop import Loop
from ratchet.settings import Settings

pytestmark = pytest.mark.slow


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Any]:
    with postgres(tmp_path / "postgres") as server:
        yield server


def test_the_api_and_a_reconciler_outlive_a_restart_of_postgres(server: Any, tmp_path: Path) -> None:
    url = server.get_uri()
    db.upgrade(url)
    (tmp_path / "token").write_text(TOKEN)
    settings = Settings(
        database_url=url,
        storage_uri=(tmp_path / "storage").as_uri(),
        bootstrap_token_file=tmp_path / "token",
        log_format="text",
    )
    clients = fake_clients()
    app = create_app(settings, clients)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    engine = db.open_engine(url)
    sessions = db.session_factory(engine)
    loop = Loop(sessions, reconcilers(settings, clients))
    with TestClient(app, base_url="http://ratchet.test", raise_server_exceptions=False) as http:
        thread = threading.Thread(target=loop.run)
        thread.start()
        try:
            before = http.post(JOBS, json=SPEC, headers=headers).json()["id"]
            until(lambda: http.get(f"{JOBS}/{before}", headers=headers).json()["status"] == "running", 30)
            stop(server)
            for _ in range(3):
                for answer in (http.post(JOBS, json=SPEC, headers=headers), http.get(JOBS, headers=headers)):
                    assert (answer.status_code, "Retry-After" in answer.headers) == (503, True)
            assert http.get("/healthz").status_code == 200
            server.ensure_postgres_running()
            until(lambda: http.get(JOBS, headers=headers).status_code == 200, BACK_WITHIN_S)
            after = http.post(JOBS, json=SPEC, headers=headers).json()["id"]
            until(
                lambda: http.get(f"{JOBS}/{after}", headers=headers).json()["status"] == "running", BACK_WITHIN_S + 10
            )
            assert http.get(f"{JOBS}/{before}", headers=headers).json()["status"] == "running"
        finally:
            loop.stop()
            thread.join(30)
    engine.dispose()
    assert not thread.is_alive()


def test_many_restarts_lose_and_double_nothing(server: Any, tmp_path: Path) -> None:
    """Half a minute of what `benchmarks.chaos --restarts 10` does for ten, at a quicker pace."""
    told = endure(server, tmp_path, for_s=30, seed=1, up_s=(1, 6))
    assert len(told.back_s) >= 4
    assert told.answers[503]
