"""The two ways to put a request on the network: blocking, and on an event loop."""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx2

CHUNK_BYTES = 256 * 1024


class Wire(ABC):
    """What differs between them. The client of each is made with the same options."""

    blocking: bool
    http: httpx2.Client | httpx2.AsyncClient

    @abstractmethod
    async def send(self, request: httpx2.Request, *, stream: bool = False) -> httpx2.Response: ...

    @abstractmethod
    def file(self, path: Path) -> Any:
        """The bytes of a file in parts, as the client wants a body that is not held in memory."""

    @abstractmethod
    def events(self, response: httpx2.Response) -> AsyncIterator[httpx2.ServerSentEvent]: ...

    @abstractmethod
    def text(self, response: httpx2.Response) -> AsyncIterator[str]: ...

    @abstractmethod
    async def read(self, response: httpx2.Response) -> None: ...

    @abstractmethod
    async def end(self, response: httpx2.Response) -> None: ...

    @abstractmethod
    async def sleep(self, seconds: float) -> None: ...

    @abstractmethod
    async def close(self) -> None: ...


class BlockingWire(Wire):
    """Safe to share between threads. Its coroutines never suspend."""

    blocking = True

    def __init__(self, transport: httpx2.BaseTransport | None = None, **options: Any) -> None:
        self.http: httpx2.Client = httpx2.Client(transport=transport, **options)

    async def send(self, request: httpx2.Request, *, stream: bool = False) -> httpx2.Response:
        return self.http.send(request, stream=stream)

    def file(self, path: Path) -> Iterator[bytes]:
        with path.open("rb") as opened:
            while chunk := opened.read(CHUNK_BYTES):
                yield chunk

    async def events(self, response: httpx2.Response) -> AsyncIterator[httpx2.ServerSentEvent]:
        for event in httpx2.EventSource(response):
            yield event

    async def text(self, response: httpx2.Response) -> AsyncIterator[str]:
        for part in response.iter_text():
            yield part

    async def read(self, response: httpx2.Response) -> None:
        response.read()

    async def end(self, response: httpx2.Response) -> None:
        response.close()

    async def sleep(self, seconds: float) -> None:
        time.sleep(seconds)  # noqa: ASYNC251  it blocks: that is what it is for

    async def close(self) -> None:
        self.http.close()


class AsyncWire(Wire):
    """For the event loop that first uses it."""

    blocking = False

    def __init__(self, transport: httpx2.AsyncBaseTransport | None = None, **options: Any) -> None:
        self.http: httpx2.AsyncClient = httpx2.AsyncClient(transport=transport, **options)

    async def send(self, request: httpx2.Request, *, stream: bool = False) -> httpx2.Response:
        return await self.http.send(request, stream=stream)

    async def file(self, path: Path) -> AsyncIterator[bytes]:
        opened = await asyncio.to_thread(path.open, "rb")
        try:
            while chunk := await asyncio.to_thread(opened.read, CHUNK_BYTES):
                yield chunk
        finally:
            opened.close()

    async def events(self, response: httpx2.Response) -> AsyncIterator[httpx2.ServerSentEvent]:
        async for event in httpx2.EventSource(response):
            yield event

    async def text(self, response: httpx2.Response) -> AsyncIterator[str]:
        async for part in response.aiter_text():
            yield part

    async def read(self, response: httpx2.Response) -> None:
        await response.aread()

    async def end(self, response: httpx2.Response) -> None:
        await response.aclose()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def close(self) -> None:
        await self.http.aclose()
