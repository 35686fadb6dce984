from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx2
import pytest

from ratchet.sdk.client import Client

Answer = httpx2.Response | Exception


@dataclass
class Server:
    """An API of answers given in advance, in order; it keeps what it was asked."""

    answers: list[Answer] = field(default_factory=list)
    requests: list[httpx2.Request] = field(default_factory=list)

    def will(self, status: int, body: Any = None, **headers: str) -> None:
        content = {"json": body} if body is not None else {}
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        self.answers.append(httpx2.Response(status, headers=names, **content))

    def will_fail(self, error: Exception) -> None:
        self.answers.append(error)

    def will_stream(self, text: str, then: Exception | None = None) -> None:
        self.answers.append(
            httpx2.Response(200, headers={"content-type": "text/event-stream"}, stream=Stream(text, then))
        )

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


class Stream(httpx2.SyncByteStream):
    """A body that ends, or breaks, after its text."""

    def __init__(self, text: str, then: Exception | None) -> None:
        self._text, self._then = text, then

    def __iter__(self) -> Iterator[bytes]:
        yield self._text.encode()
        if self._then is not None:
            raise self._then


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that the client made; none takes time."""
    return []


@pytest.fixture
def client(server: Server, slept: list[float], monkeypatch: pytest.MonkeyPatch) -> Client:
    for name in ("RATCHET_URL", "RATCHET_TOKEN", "RATCHET_TOKEN_FILE", "RATCHET_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    made = Client("http://ratchet.test", "secret", transport=httpx2.MockTransport(server))

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(made._transport.wire, "sleep", sleep)
    return made
