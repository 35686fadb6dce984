"""A reconciler in a process of its own, with engines that live in another; or with a real Ray, when given one.

`DIE_AT`, such as `before jobs.submit`, or a number, is the place at a call where it sends itself SIGKILL.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing.managers import BaseManager
from pathlib import Path
from typing import Any

from ratchet import db
from ratchet.clients.fakes import fake_clients
from ratchet.clients.guard import guarded
from ratchet.clients.ports import Clients
from ratchet.clients.ray_jobs import RayJobsClient
from ratchet.reconciler.__main__ import reconcilers
from ratchet.reconciler.loop import Loop
from ratchet.settings import Settings

PARTS = ("jobs", "serve", "mlflow", "storage")


class Engines(BaseManager):
    """Where the engines are, by the name of each."""


@contextmanager
def engines(address: Path) -> Iterator[Any]:
    """Engines in memory, in a process of their own; whoever knows the address has a part of them by its name."""
    fakes = fake_clients()
    for part in PARTS:
        Engines.register(part, callable=lambda part=part: getattr(fakes, part))
    manager = Engines(address=str(address), authkey=b"chaos")
    manager.start()
    try:
        yield manager
    finally:
        manager.shutdown()


def start(database: str, address: Path, *more: str) -> subprocess.Popen[bytes]:
    """This file as a process; `more` as `main` has it."""
    return subprocess.Popen(
        [sys.executable, __file__, database, str(address), *more],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


class Mortal:
    """An engine whose callers may die at a call."""

    calls = 0

    def __init__(self, part: str, engine: Any, die_at: str) -> None:
        self._part, self._engine, self._die_at = part, engine, die_at

    def __getattr__(self, method: str) -> Any:
        return partial(self._call, method)

    def _call(self, method: str, *args: Any, **named: Any) -> Any:
        self._perhaps_die(f"before {self._part}.{method}")
        answer = getattr(self._engine, method)(*args, **named)
        self._perhaps_die(f"after {self._part}.{method}")
        return answer

    def _perhaps_die(self, place: str) -> None:
        Mortal.calls += 1
        if self._die_at in (place, str(Mortal.calls)):
            os.kill(os.getpid(), signal.SIGKILL)


def main(database: str, address: str, die_at: str = "", ray: str = "", ray_token: str = "", python: str = "") -> None:
    for part in PARTS:
        Engines.register(part)
    manager = Engines(address=address, authkey=b"chaos")
    manager.connect()
    found = {part: getattr(manager, part)() for part in PARTS}
    if ray:
        found["jobs"] = RayJobsClient(ray, lambda: ray_token)
    mortal = {part: Mortal(part, engine, die_at) for part, engine in found.items()}
    sessions = db.session_factory(db.open_engine(database))
    settings = Settings(storage_uri="memory://storage", **({"python": python} if python else {}))
    loop = Loop(sessions, reconcilers(settings, guarded(Clients(**mortal))))  # type: ignore[arg-type]
    signal.signal(signal.SIGTERM, lambda *_: loop.stop())
    if database.startswith("sqlite"):
        loop.take_over()
    loop.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
