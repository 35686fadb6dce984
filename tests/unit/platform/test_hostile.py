"""Requests that mean harm: names that lead elsewhere, bodies that are deep, and callers that take their time."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from typing import Any
from urllib.parse import quote

import pytest
import uvicorn
from fastapi import FastAPI, Request
from tests.integration.private_ray import await_value, free_ports

from ratchet import middleware, serve_api
from ratchet.serve_api import Protocol
from ratchet.settings import Settings

JOBS = "/api/v1/projects/default/jobs"
LEAD_OUT = [
    "..%2f..%2fetc%2fpasswd",
    "..%252f..%252fetc%252fpasswd",
    "%2e%2e%5cboot.ini",
    "%00",
    "a%00.txt",
    "..%e2%88%95..%e2%88%95etc",
    "%ef%bc%8e%ef%bc%8e%ef%bc%8fetc",
    "%ff%fe",
    "file:%2f%2f%2fetc%2fpasswd",
    "'%20OR%20'1'='1",
    "a" * 3_000,
]
"""Encoded once, twice, with backslashes, NUL, look-alikes of Unicode, not UTF-8, and too long."""


@pytest.mark.slow
@pytest.mark.parametrize("name", LEAD_OUT, ids=lambda name: name[:30])
def test_a_name_that_leads_out_of_its_place_is_not_found(api: Any, known: dict[str, str], name: str) -> None:
    """Wherever a path holds a name: each of them in turn, of every address that can be read or deleted."""
    asked = 0
    for path, operations in api.http.app.openapi()["paths"].items():
        for method in operations.keys() & {"get", "delete"}:
            for parameter in [each for each in known if f"{{{each}}}" in path]:
                values = {key: quote(value, safe="") for key, value in known.items()} | {parameter: name}
                answer = api.http.request(method, path.format_map(values), headers=api.headers())
                assert answer.status_code in (404, 405, 422), f"{method} {path} {parameter}: {answer.status_code}"
                asked += 1
    assert asked > 50


def test_json_that_is_deep_is_refused(api: Any) -> None:
    for body in (b"[" * 100_000, b'{"a":' * 100_000, b'{"spec":' + b"[" * 50_000 + b"]" * 50_000 + b"}"):
        headers = {**api.headers(), "Content-Type": "application/json"}
        answer = api.http.post(JOBS, content=body, headers=headers)
        assert answer.status_code in (400, 422)
        assert answer.headers["Content-Type"] == "application/problem+json"


UNSTORABLE = {
    "half a surrogate pair": rb'"\ud800"',
    "half a surrogate pair, raw": b'"\xed\xa0\x80"',
    "not UTF-8": b'"\xff"',
    "NUL": rb'"a\u0000b"',
    "not a number": b"NaN",
    "infinite": b"Infinity",
    "more than a double": b"1e999",
    "more than 64 bits": b"1" + b"0" * 400,
    "more than Python reads": b"1" + b"0" * 5_000,
}
TRAIN = {"kind": "train", "data": {"uri": "sklearn://wine"}}
SWEEP = {"kind": "sweep", "data": {"uri": "sklearn://wine"}}
RATE = {"kind": "uniform", "low": 1e-5, "high": 1e-2}
PROJECT = "/api/v1/projects/default"
PLACES = [
    (JOBS, {**TRAIN, "params": {"hidden": ["@"]}}),
    (JOBS, {**TRAIN, "params": {"learning_rate": "@"}}),
    (JOBS, {**TRAIN, "params": {"@": 1}}),
    (JOBS, {**TRAIN, "recipe": "@"}),
    (JOBS, {**SWEEP, "search": {"learning_rate": {**RATE, "high": "@"}}}),
    (JOBS, {**SWEEP, "search": {"hidden": {"kind": "choice", "values": ["@"]}}}),
    (JOBS, {**SWEEP, "search": {"learning_rate": RATE}, "reduction_factor": "@"}),
    (JOBS, {**SWEEP, "search": {"learning_rate": RATE}, "grace_period": "@"}),
    (JOBS, {"kind": "batch_prediction", "input": "sklearn://wine", "model": {"name": "wine", "version": "@"}}),
    (f"{PROJECT}/monitors", {"name": "m", "endpoint": "cancer", "min_rows": "@"}),
    (f"{PROJECT}/endpoints/cancer/outcomes", {"outcomes": [{"request_id": "a", "value": "@"}]}),
    (f"{PROJECT}/models/wine/promotions", {"version": 1, "gate": {"metric": "accuracy", "minimum": "@"}}),
]


@pytest.mark.parametrize("text", UNSTORABLE.values(), ids=UNSTORABLE)
def test_what_no_database_stores_is_refused(api_on_each: Any, text: bytes) -> None:
    headers = {**api_on_each.headers(), "Content-Type": "application/json"}
    for path, body in PLACES:
        place = b'"@": 1' if b'"@": 1' in json.dumps(body).encode() else b'"@"'
        content = json.dumps(body).encode().replace(place, text + place[3:])
        answer = api_on_each.http.post(path, content=content, headers=headers)
        assert answer.status_code in (400, 404, 422), f"{path} {body}: {answer.status_code}"
        assert answer.headers["Content-Type"] == "application/problem+json"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The port of a real server with our protocol and middleware, which waits for a fifth of a second."""
    monkeypatch.setattr(serve_api, "HEAD_S", 0.2)
    monkeypatch.setattr(middleware, "BODY_S", 0.2)
    app = FastAPI()

    @app.get("/")
    async def root() -> str:
        return "here"

    @app.post("/")
    async def post(request: Request) -> int:
        return len(await request.body())

    @app.post("/slow")
    async def slow(request: Request) -> bool:
        await request.body()
        with suppress(TimeoutError):
            async with asyncio.timeout(0.4):
                await request.receive()
        return True

    middleware.install(app, Settings(allowed_hosts=["127.0.0.1"]))
    port = free_ports(1)[0]
    config = uvicorn.Config(app, port=port, http=Protocol, log_level="error", timeout_keep_alive=60)
    running = uvicorn.Server(config)
    thread = threading.Thread(target=running.run)
    thread.start()
    try:
        await_value(lambda: running.started or None, 20)
        yield port
    finally:
        running.should_exit = True
        thread.join()


def answer_to(port: int, *parts: bytes, pause_s: float = 0) -> bytes:
    """What comes back until the server closes the connection."""
    with closing(socket.create_connection(("127.0.0.1", port), timeout=20)) as connection:
        for part in parts:
            connection.sendall(part)
            time.sleep(pause_s)
        taken = b""
        while more := connection.recv(65_536):
            taken += more
    return taken


HEAD = b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 4\r\n"


@pytest.mark.parametrize("begun", [(), (b"P",), (HEAD,)], ids=["nothing", "a letter", "all but its end"])
def test_a_head_that_does_not_come_closes_the_connection(server: int, begun: tuple[bytes, ...]) -> None:
    assert answer_to(server, *begun) == b""


def test_a_body_that_does_not_come_is_answered_and_cut(server: int) -> None:
    head, _, body = answer_to(server, HEAD + b"\r\n12").partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 408 ")
    assert b"connection: close" in head.lower()
    assert json.loads(body)["code"] == "request_timeout"


def test_a_connection_may_rest_between_two_requests(server: int) -> None:
    last = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
    taken = answer_to(server, HEAD + b"\r\n1234", last, pause_s=0.4)
    assert taken.count(b"HTTP/1.1 200 OK") == 2


def test_an_answer_may_take_longer_than_a_body(server: int) -> None:
    """What an application receives after the body is that the caller left."""
    asked = HEAD.replace(b"/ ", b"/slow ") + b"Connection: close\r\n\r\n1234"
    assert answer_to(server, asked).startswith(b"HTTP/1.1 200 OK")
