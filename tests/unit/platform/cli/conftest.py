from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest
from typer.testing import CliRunner, Result

from ratchet.cli import context
from ratchet.cli.main import app
from ratchet.sdk.client import Client


@dataclass
class FakeApi:
    """Answers by method and path below `/api/v1/projects/default`; keeps what it was sent."""

    answers: dict[tuple[str, str], tuple[int, Any]] = field(default_factory=dict)
    sent: list[tuple[str, str, Any]] = field(default_factory=list)
    queries: list[dict[str, str]] = field(default_factory=list)
    down: bool = False

    def will(self, method: str, path: str, body: Any, status: int = 200) -> None:
        self.answers[method, path] = (status, body)

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        if self.down:
            raise httpx2.ConnectError("refused")
        path = request.url.path.removeprefix("/api/v1").removeprefix("/projects/default")
        self.queries.append(dict(request.url.params))
        self.sent.append((request.method, path, _body(request)))
        status, body = self.answers.get((request.method, path), (404, {"detail": f"No {path} here."}))
        if isinstance(body, str):
            return httpx2.Response(status, text=body, headers={"content-type": "text/event-stream"})
        return httpx2.Response(status, json=body)

    def body(self, method: str, path: str) -> Any:
        return next(body for sent, at, body in reversed(self.sent) if (sent, at) == (method, path))


def _body(request: httpx2.Request) -> Any:
    """What a request holds: JSON, or the bytes of an upload."""
    content = request.read()
    if request.headers.get("content-type") == "application/octet-stream":
        return content
    return json.loads(content) if content else None


async def no_sleep(seconds: float) -> None:
    pass


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeApi:
    for name in ("RATCHET_URL", "RATCHET_TOKEN", "RATCHET_TOKEN_FILE", "RATCHET_PROJECT", "RATCHET_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RATCHET_HOME", str(tmp_path / "home"))
    fake = FakeApi()

    def make(chosen: context.Options, **limits: Any) -> Client:
        client = Client("http://ratchet.test", "secret", chosen.project, transport=httpx2.MockTransport(fake), **limits)
        monkeypatch.setattr(client._transport.wire, "sleep", no_sleep)
        return client

    monkeypatch.setattr(context, "make_client", make)
    return fake


@pytest.fixture
def ratchet(api: FakeApi) -> Callable[..., Result]:
    """Runs the command line as a program would: no terminal."""

    def run(*arguments: str, input: str | None = None) -> Result:
        return CliRunner().invoke(app, list(arguments), input=input, prog_name="ratchet")

    return run
