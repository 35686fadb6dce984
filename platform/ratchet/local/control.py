"""Start, find and stop a local stack."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ratchet.local import ports, processes, runner
from ratchet.local.layout import Layout
from ratchet.local.statefile import ServiceState, State, locked, read

if TYPE_CHECKING:
    from ratchet.local.services import Service

POLL_S = 0.1
START_S = 180.0
"""Upper limit for a whole start; each service has its own, shorter one."""
STOP_S = 40.0


class Console(Protocol):
    """What is used of `rich.console.Console`."""

    @property
    def is_terminal(self) -> bool: ...
    def print(self, *objects: Any, **options: Any) -> None: ...
    def status(self, status: Any) -> AbstractContextManager[Any]: ...


class StackError(Exception):
    """A part did not start or stop. `hint` says what to do, `log` is the end of what the part wrote."""

    def __init__(self, message: str, *, hint: str = "", log: str = "") -> None:
        super().__init__(message)
        self.hint = hint
        self.log = log


@dataclass(frozen=True)
class Launch:
    """How the supervisor of a stack is started; tests start one with services of their own."""

    command: tuple[str, ...] = (sys.executable, "-m", "ratchet.local.supervisor")


def up(
    home: Path,
    *,
    port: int | None,
    detach: bool,
    console: Console,
    launch: Launch | None = None,
    on_ready: Callable[[State], None] | None = None,
) -> State:
    """Start the stack in `home`, or find it, and wait until all of it is ready.

    `port`: the API's; by default that of last time, else 8470 or the next free one. With `detach` it returns once all
    is ready; without, and if the stack is not another's, it stays until Ctrl-C, SIGTERM or the end of the stack, which
    stops with it. `on_ready` is told as soon as all is ready, before it stays. Raises `StackError`.
    """
    if sys.platform != "linux":
        raise StackError(
            f"`ratchet up` runs on Linux; this is {sys.platform}.",
            hint="Run it in a Linux container or virtual machine, or point `ratchet` at a server (`ratchet config`).",
        )
    layout = Layout.at(home)
    with locked(layout.lock):
        found = _await_settled(layout)
        if found:
            state = _find(layout, found, port, console)
            if on_ready is not None:
                on_ready(state)
            return state
        lifeline = None if detach else os.pipe()
        state = _start(layout, port, console, launch or Launch(), lifeline)
    if on_ready is not None:
        on_ready(state)
    if lifeline:
        _hold(layout, state, console)
        os.close(lifeline[1])
    return state


def _find(layout: Layout, found: State, port: int | None, console: Console) -> State:
    if port is not None and not found.urls.get("api", "").startswith(f"http://127.0.0.1:{port}/"):
        console.print(f"The stack keeps its port; for another, stop it first: ratchet down && ratchet up --port {port}")
    if not healthy(found):
        console.print("The stack in", str(layout.home), "runs, but not all of it; healing what is missing.")
        found.supervisor.signal(signal.SIGHUP)
        return _await_ready(layout, console, found.supervisor.alive, seen=_ready_names(found))
    console.print("Already up:", str(layout.home))
    for service in found.services:
        console.print(_line(service), highlight=False, soft_wrap=True)
    return found


def _await_settled(layout: Layout) -> State | None:
    """The living stack; `None` once it is sure that there is none. One that is stopping is waited for."""
    deadline = time.monotonic() + STOP_S
    while time.monotonic() < deadline:
        found = read(layout.home)
        if found and not found.stopping:
            return found
        if not found and not _guarded(layout):
            return None
        time.sleep(POLL_S)
    raise StackError(f"The stack in {layout.home} neither runs nor stops.", hint="`ratchet down` ends what is left.")


def _guarded(layout: Layout) -> bool:
    if not layout.supervisor_lock.exists():
        return False
    handle = os.open(layout.supervisor_lock, os.O_RDWR)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def _start(
    layout: Layout, port: int | None, console: Console, launch: Launch, lifeline: tuple[int, int] | None
) -> State:
    try:
        layout.prepare()
        _sweep_leftovers(layout)
        ports.choose(layout.ports, port, lambda text: console.print(text, highlight=False))
    except OSError as error:
        raise StackError(str(error), hint="`ratchet doctor` checks ports, disk and permissions.") from error
    prune_sessions(layout.ray)
    layout.state.unlink(missing_ok=True)
    command = [*launch.command, "--home", str(layout.home)]
    if lifeline:
        command += ["--lifeline", str(lifeline[0])]
    runner.trim_log(layout.logs / "supervisor.log")
    with (layout.logs / "supervisor.log").open("ab") as log:
        guard = subprocess.Popen(  # noqa: S603 - our own command
            command,
            env={**os.environ, processes.MARK: layout.stack, processes.PART: "supervisor"},
            cwd=layout.home,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            pass_fds=(lifeline[0],) if lifeline else (),
        )
    if lifeline:
        os.close(lifeline[0])
    try:
        return _await_ready(layout, console, lambda: guard.poll() is None, seen=frozenset())
    except BaseException:
        # Half a stack is of no use to anyone, and after Ctrl-C nobody asked for it.
        guard.send_signal(signal.SIGTERM)
        guard.wait(STOP_S)
        raise


def _sweep_leftovers(layout: Layout) -> None:
    """End what a stack left whose guard and supervisor were killed in one moment."""
    processes.sweep(lambda: processes.of_stack(layout.stack), grace_s=3.0)


def prune_sessions(ray: Path, keep: int = 3) -> None:
    """Ray leaves a folder of logs from each start; the newest few are kept."""
    sessions = sorted(path for path in ray.glob("session_2*") if path.is_dir())
    for old in sessions[:-keep]:
        shutil.rmtree(old, ignore_errors=True)


def _await_ready(layout: Layout, console: Console, alive: Callable[[], bool], seen: frozenset[str]) -> State:
    deadline = time.monotonic() + START_S
    spinner: Any = console.status("Starting") if console.is_terminal else nullcontext()
    told = set(seen)
    with spinner as status:
        while time.monotonic() < deadline:
            state = read(layout.home)
            for service in state.services if state else ():
                if service.status == "ready" and service.name not in told:
                    told.add(service.name)
                    console.print(_line(service), highlight=False, soft_wrap=True)
                if service.status == "failed":
                    raise _failure(layout, service)
            if state and healthy(state):
                return state
            if not alive():
                log = runner.tail(layout.logs / "supervisor.log")
                raise StackError("The stack stopped while it was starting.", hint="See the log above.", log=log)
            if status is not None and state:
                status.update(_waiting_for(state))
            time.sleep(POLL_S)
    raise StackError(f"The stack was not ready after {START_S:.0f} s.", hint=f"See the logs in {layout.logs}.")


def healthy(state: State) -> bool:
    """All services are ready, and the processes that the supervisor takes for alive are so still."""
    return state.ready and all(
        service.pid is None or ((found := processes.identify(service.pid)) is not None and found.alive())
        for service in state.services
    )


def _ready_names(state: State) -> frozenset[str]:
    return frozenset(service.name for service in state.services if service.status == "ready")


def _waiting_for(state: State) -> str:
    now = time.time()
    waits = [
        f"{service.title} ({now - service.started_at:.0f} s)" if service.started_at else service.title
        for service in state.services
        if service.status in ("starting", "restarting")
    ]
    return "Starting " + ", ".join(waits)


def _failure(layout: Layout, service: ServiceState) -> StackError:
    plan: tuple[Service, ...] = ()
    if chosen := ports.load(layout.ports):
        from ratchet.local.services import services

        plan = services(layout, chosen)
    remedy = next((part.remedy for part in plan if part.name == service.name), "")
    log = layout.logs / f"{service.name}.log"
    return StackError(
        f"{service.title} did not start: {service.message}.",
        hint=remedy or f"See {log}; `ratchet doctor` checks what it needs.",
        log=runner.tail(log),
    )


def _line(service: ServiceState) -> str:
    took = f"{service.ready_after_s:5.1f} s" if service.ready_after_s is not None else ""
    title = f"{service.title} {_version(service.name)}".strip()
    return f"✓ {title:<18} {took:>8}   {service.url}".rstrip()


def _version(name: str) -> str:
    package = {"ray": "ray", "mlflow": "mlflow", "api": "ratchet"}.get(name)
    if package is None:
        return ""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _hold(layout: Layout, state: State, console: Console) -> None:
    """Stay in the foreground until Ctrl-C or the end of the stack."""
    console.print("Ctrl-C stops it.")
    try:
        while state.supervisor.alive():
            time.sleep(POLL_S)
    except KeyboardInterrupt:
        console.print("Stopping.")
        down(layout.home)


def down(home: Path) -> bool:
    """Stop the stack in `home` and all its processes, and wait until they are gone. False when there were none.

    Raises `StackError` when something cannot be ended.
    """
    layout = Layout.at(home)
    found = read(home)
    if found:
        found.guard.signal(signal.SIGTERM)
        found.supervisor.signal(signal.SIGTERM)
    deadline = time.monotonic() + STOP_S
    while time.monotonic() < deadline and ((found and found.supervisor.alive()) or _guarded(layout)):
        time.sleep(POLL_S)
    if not layout.home.exists():
        return False
    with locked(layout.lock):
        left = bool(processes.of_stack(layout.stack))
        if left and not _guarded(layout):
            _sweep_leftovers(layout)
        if remaining := processes.of_stack(layout.stack):
            names = ", ".join(f"{process.pid} {processes.command(process.pid)[:60]}" for process in remaining)
            raise StackError(f"Some processes do not end: {names}.", hint="They wait on the disk or on a device.")
        layout.clear_private()
    return found is not None or left
