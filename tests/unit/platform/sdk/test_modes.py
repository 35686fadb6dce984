"""One implementation, two clients: what is awaited in the one is done at once in the other."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx2
import pytest

from ratchet.sdk import AsyncClient, Client, NotFound
from ratchet.sdk.modes import Async, Called, Sync, operation, stream


class Counter(Called[Any]):
    def __init__(self, *, blocking: bool) -> None:
        self._blocking = blocking
        self.closed = False

    @operation
    async def one(self, plus: int = 0) -> int:
        """One, and more."""
        return 1 + plus

    @operation
    async def two(self) -> int:
        return await self.one(plus=await self.one())

    @operation
    async def fails(self) -> int:
        raise KeyError("x")

    @operation
    async def suspends(self) -> None:
        await asyncio.sleep(0)

    @stream
    async def up_to(self, n: int) -> AsyncIterator[int]:
        try:
            for i in range(n):
                yield i
        finally:
            self.closed = True


def test_a_blocking_call_gives_the_answer_and_an_awaited_one_a_coroutine() -> None:
    assert Counter(blocking=True).two() == 2
    assert asyncio.run(Counter(blocking=False).two()) == 2


def test_an_error_comes_out_as_it_is() -> None:
    with pytest.raises(KeyError):
        Counter(blocking=True).fails()
    with pytest.raises(KeyError):
        asyncio.run(Counter(blocking=False).fails())


def test_a_stream_is_iterated_over_and_closed_when_it_is_left() -> None:
    counter = Counter(blocking=True)
    items = counter.up_to(3)
    assert isinstance(items, Iterator)
    assert list(items) == [0, 1, 2]
    counter._awaiting.closed = False

    async def leave() -> bool:  # in a running loop, which would else close it some time later
        left = counter.up_to(3)
        assert next(left) == 0
        left.close()
        return counter._awaiting.closed

    assert asyncio.run(leave())


def test_a_blocking_call_that_would_wait_for_a_loop_is_a_fault_of_the_program() -> None:
    with pytest.raises(RuntimeError, match="event loop"):
        Counter(blocking=True).suspends()


def test_a_blocking_call_works_inside_a_running_loop() -> None:
    async def main() -> list[int]:
        return list(Counter(blocking=True).up_to(2))

    assert asyncio.run(main()) == [0, 1]


def test_a_call_keeps_its_name_its_text_and_its_parameters() -> None:
    for blocking in (True, False):
        call = Counter(blocking=blocking).one
        assert (call.__name__, call.__doc__) == ("one", "One, and more.")
        assert list(inspect.signature(call).parameters) == ["plus"]


def test_both_clients_have_the_same_calls() -> None:
    blocking, awaited = Client("http://ratchet.test", "t"), AsyncClient("http://ratchet.test", "t")
    parts = {name: type(part) for name, part in vars(blocking).items() if isinstance(part, Called)}
    assert parts == {name: type(part) for name, part in vars(awaited).items() if isinstance(part, Called)}
    assert len(parts) > 8
    for kind in parts.values():
        calls = [name for name, _ in inspect.getmembers(kind, callable) if not name.startswith("_")]
        assert calls == ["resource"] * ("resource" in calls), f"{kind.__name__} has calls that are not written once"
    assert (Sync, Async) == (Client.__orig_bases__[0].__args__[0], AsyncClient.__orig_bases__[0].__args__[0])  # type: ignore[attr-defined]


@pytest.fixture
def recorded() -> list[httpx2.Request]:
    return []


def answer(request: httpx2.Request) -> httpx2.Response:
    path = request.url.path
    if path.endswith("/events"):
        text = f"id: 1\nevent: job\ndata: {json.dumps({'id': 'job-1', 'status': 'succeeded'})}\n\n"
        return httpx2.Response(200, text=text, headers={"content-type": "text/event-stream"})
    if path.endswith("/jobs") and request.method == "GET":
        last = request.url.params.get("page_token") == "n"
        return httpx2.Response(200, json={"items": [{"id": "job-1"}], "next_page_token": "" if last else "n"})
    if path.endswith("/none"):
        return httpx2.Response(404, json={"detail": "There is none."})
    return httpx2.Response(200, json={"id": "job-1", "status": "succeeded"})


def test_both_clients_send_the_same(recorded: list[httpx2.Request]) -> None:
    def handler(request: httpx2.Request) -> httpx2.Response:
        recorded.append(request)
        return answer(request)

    with Client("http://ratchet.test", "t", transport=httpx2.MockTransport(handler)) as blocking:
        blocking.jobs.submit({"kind": "train"}, idempotency_key="k")
        assert [job.id for job in blocking.jobs.list(filter='status = "failed"', order_by="created_at")] == [
            "job-1"
        ] * 2
        assert len(list(blocking.jobs.list(limit=1))) == 1
        assert blocking.jobs.wait("job-1").ended
        assert [update.kind for update in blocking.jobs.follow("job-1")] == ["job"]
        with pytest.raises(NotFound):
            blocking.jobs.get("none")
    first = [(request.method, str(request.url), request.content) for request in recorded]
    recorded.clear()

    async def main() -> None:
        async with AsyncClient("http://ratchet.test", "t", transport=httpx2.MockTransport(handler)) as awaited:
            await awaited.jobs.submit({"kind": "train"}, idempotency_key="k")
            listed = awaited.jobs.list(filter='status = "failed"', order_by="created_at")
            assert [job.id async for job in listed] == ["job-1"] * 2
            assert len([job async for job in awaited.jobs.list(limit=1)]) == 1
            assert (await awaited.jobs.wait("job-1")).ended
            assert [update.kind async for update in awaited.jobs.follow("job-1")] == ["job"]
            with pytest.raises(NotFound):
                await awaited.jobs.get("none")

    asyncio.run(main())
    assert [(request.method, str(request.url), request.content) for request in recorded] == first
    assert "page_size=1" in first[3][1]
