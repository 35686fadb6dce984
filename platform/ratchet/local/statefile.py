"""What a local stack says of itself: `state.json`, written by its supervisor alone."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from ratchet.local.layout import Layout
from ratchet.local.processes import Process, identify

ServiceStatus = Literal["waiting", "starting", "ready", "restarting", "failed", "stopped"]


@dataclass(frozen=True)
class ServiceState:
    name: str
    title: str
    status: ServiceStatus = "waiting"
    pid: int | None = None
    started_at: float | None = None
    """Seconds since the epoch."""
    ready_after_s: float | None = None
    url: str = ""
    restarts: int = 0
    message: str = ""


@dataclass(frozen=True)
class State:
    stack: str
    home: str
    guard: Process
    supervisor: Process
    started_at: float
    urls: dict[str, str] = field(default_factory=dict)
    """`dashboard`, `api`, `mlflow`, `serving` for people and clients; `ray` for the control plane."""
    services: tuple[ServiceState, ...] = ()
    stopping: bool = False

    @property
    def ready(self) -> bool:
        return bool(self.services) and all(service.status == "ready" for service in self.services)

    def service(self, name: str) -> ServiceState | None:
        return next((service for service in self.services if service.name == name), None)


def write(state: State, file: Path) -> None:
    """Replace the file in one step: a reader sees the old state or the new one, never half of one."""
    fresh = file.with_name(file.name + ".new")
    fresh.write_text(json.dumps(asdict(state), indent=1))
    fresh.chmod(0o600)
    fresh.replace(file)


def read(home: Path) -> State | None:
    """The state of the stack in `home` if it is alive; `None` when no supervisor of it runs."""
    layout = Layout.at(home)
    try:
        state = _parse(json.loads(layout.state.read_text()))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return state if state.supervisor.alive() else None


def _parse(raw: dict[str, Any]) -> State:
    raw["guard"], raw["supervisor"] = Process(**raw["guard"]), Process(**raw["supervisor"])
    raw["services"] = tuple(ServiceState(**service) for service in raw["services"])
    return State(**raw)


def this_process() -> Process:
    found = identify(os.getpid())
    if found is None:
        raise RuntimeError("/proc does not show this process; is /proc mounted?")
    return found


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Hold `file` against every other process of the machine; the kernel lets go when the holder dies."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
