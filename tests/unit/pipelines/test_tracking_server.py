"""MLflow's server answers who has the secret, and nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import pytest

from ratchet_pipelines.tracking_server import Guarded

OLD, NEW = "o" * 32, "n" * 32


def ask(app: Guarded, authorization: str | None = None, path: str = "/mlflow/api", kind: str = "http") -> list[Any]:
    headers = [] if authorization is None else [(b"authorization", authorization.encode())]
    sent: list[Any] = []

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message.get("status"))

    async def receive() -> MutableMapping[str, Any]:
        return {}

    asyncio.run(app({"type": kind, "path": path, "headers": headers}, receive, send))
    return sent


async def mlflow(scope: Any, receive: Any, send: Any) -> None:
    await send({"status": 200})


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mlflow.token"
    path.write_text(OLD + "\n")
    return path


def test_who_has_no_secret_is_refused(file: Path) -> None:
    app = Guarded(mlflow, file)
    assert ask(app, f"Bearer {OLD}") == [200]
    for wrong in (None, "", "Bearer ", f"Bearer {NEW}", OLD[:-1], f"Basic {OLD}"):
        assert ask(app, wrong)[0] == 401, wrong
    assert ask(app, path="/mlflow/health") == [200]
    assert ask(app, path="/mlflow/health/../api")[0] == 401
    assert ask(app, kind="websocket") == []


def test_a_secret_that_was_rotated_is_taken_without_a_restart(file: Path) -> None:
    app = Guarded(mlflow, file)
    file.write_text(NEW)
    assert ask(app, f"Bearer {NEW}") == [200]
    assert ask(app, f"Bearer {OLD}")[0] == 401


def test_an_empty_secret_is_none(file: Path) -> None:
    file.write_text("")
    with pytest.raises(ValueError, match="at least 32"):
        Guarded(mlflow, file)
