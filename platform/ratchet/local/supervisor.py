"""The two processes above a local stack: `python -m ratchet.local.supervisor --home HOME`.

    guard          does nothing but wait; when the supervisor ends, however it ends, it ends all that is left
    └ supervisor   starts the services, keeps them alive, writes state.json
      └ services

Both are subreapers: a service whose parent dies becomes their child, not init's, so nothing below them is ever lost.
The kernel tells the supervisor when the guard is killed. Only when both are killed in one moment do services stay, and
then the next `up` or `down` finds them by the mark in their environment.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import select
import signal
import sys
import threading
import time
import traceback
from dataclasses import replace
from pathlib import Path

from ratchet.local import processes, statefile
from ratchet.local.layout import Layout
from ratchet.local.ports import load
from ratchet.local.processes import Process
from ratchet.local.runner import Runner, spawning
from ratchet.local.services import Service, services, urls
from ratchet.local.statefile import ServiceState, State

TICK_S = 0.2
POLITE_S = 6.0
"""Time for API and reconciler to finish what they do, before Ray and MLflow go."""
GRACE_S = 5.0
"""Time from SIGTERM to SIGKILL for everything."""


class Supervisor:
    """Runs the services until it is told to stop: SIGTERM, SIGINT, or the end of whoever holds the lifeline."""

    def __init__(self, layout: Layout, plan: tuple[Service, ...], links: dict[str, str], guard: Process) -> None:
        self.layout = layout
        # Plain flags: a signal handler that set an `Event` while this thread waits on it would never return.
        self.asked_to_stop = False
        self.asked_to_heal = False
        self._lock = threading.Lock()
        self._dirty = True
        self._ready = {service.name: threading.Event() for service in plan}
        self.runners = {service.name: self._runner(service) for service in plan}
        self.state = State(
            stack=layout.stack,
            home=str(layout.home),
            guard=guard,
            supervisor=statefile.this_process(),
            started_at=time.time(),
            urls=links,
            services=tuple(runner.state for runner in self.runners.values()),
        )

    def _runner(self, service: Service) -> Runner:
        return Runner(
            service,
            stack=self.layout.stack,
            log=self.layout.logs / f"{service.name}.log",
            ready=self._ready[service.name],
            wait_for=tuple(self._ready[name] for name in service.after),
            changed=self._changed,
        )

    def _changed(self, now: ServiceState) -> None:
        with self._lock:
            others = {service.name: service for service in self.state.services}
            self.state = replace(self.state, services=tuple({**others, now.name: now}.values()))
            self._dirty = True

    def _write(self) -> None:
        with self._lock:
            if self._dirty:
                statefile.write(self.state, self.layout.state)
                self._dirty = False

    def run(self, lifeline: int | None) -> None:
        self._write()
        for runner in self.runners.values():
            runner.start()
        while not self.asked_to_stop:
            if lifeline is not None and select.select([lifeline], [], [], 0)[0]:
                say("whoever started this stack in the foreground is gone; stopping")
                break
            if self.asked_to_heal:
                self.asked_to_heal = False
                self._start_failed()
            with spawning:
                processes.reap(apart_from=self._waited_for())
            self._write()
            time.sleep(TICK_S)
        self._shut_down()

    def _waited_for(self) -> frozenset[int]:
        return frozenset(pid for runner in self.runners.values() if (pid := runner.child_pid) is not None)

    def _start_failed(self) -> None:
        for name, runner in list(self.runners.items()):
            if not runner.is_alive() and runner.state.status == "failed":
                say(f"starting {name} again")
                self.runners[name] = self._runner(runner.service)
                self.runners[name].start()

    def on_signal(self, number: int, _: object) -> None:
        if number == signal.SIGHUP:
            self.asked_to_heal = True
        else:
            self.asked_to_stop = True

    def _shut_down(self) -> None:
        say("stopping")
        with self._lock:
            self.state = replace(self.state, stopping=True)
            self._dirty = True
        self._write()
        for runner in self.runners.values():
            runner.stop.set()
        polite = [self.runners[name] for name in ("api", "reconciler") if name in self.runners]
        for runner in polite:
            runner.ask_to_end()
        deadline = time.monotonic() + POLITE_S
        while time.monotonic() < deadline and any(runner.child_alive() for runner in polite):
            time.sleep(0.05)
        killed = processes.sweep(lambda: remains(self.layout.stack, apart_from=self.state.guard.pid), grace_s=GRACE_S)
        say(f"stopped; {killed} processes had to be killed")


def remains(stack: str, *, apart_from: int) -> set[Process]:
    """What of the stack lives still: all that is marked, and all below the caller."""
    below = {process for pid in processes.descendants([os.getpid()]) if (process := processes.identify(pid))}
    return {process for process in below | processes.of_stack(stack).keys() if process.pid != apart_from}


def say(text: str) -> None:
    sys.stderr.write(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {text}\n")
    sys.stderr.flush()


def supervise(layout: Layout, plan: tuple[Service, ...], links: dict[str, str], lifeline: int | None = None) -> None:
    """Become the guard of a new stack, and return when it is over. Raises `BlockingIOError` if it has a guard already.

    `lifeline`: the reading end of a pipe; the stack stops when its other end closes.
    """
    lock = os.open(layout.supervisor_lock, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    processes.become_subreaper()
    guard = statefile.this_process()
    child = os.fork()
    if child == 0:
        os._exit(_as_supervisor(layout, plan, links, guard, lifeline))
    if lifeline is not None:
        os.close(lifeline)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda received, _: _forward(child, received))
    status = _wait_for(child)
    if status != 0:
        say(f"the supervisor died (status {status}); ending all that is left")
    processes.sweep(lambda: remains(layout.stack, apart_from=os.getpid()), grace_s=2.0)
    layout.state.unlink(missing_ok=True)


def _as_supervisor(
    layout: Layout, plan: tuple[Service, ...], links: dict[str, str], guard: Process, lifeline: int | None
) -> int:
    processes.die_with_parent(signal.SIGTERM)
    processes.become_subreaper()
    try:
        supervisor = Supervisor(layout, plan, links, guard)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, supervisor.on_signal)
        if os.getppid() != guard.pid:  # it died before the kernel was asked to tell
            return 1
        supervisor.run(lifeline)
    except BaseException:
        say(traceback.format_exc())
        return 1
    return 0


def _forward(child: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, number)


def _wait_for(child: int) -> int:
    while True:
        pid, status = os.waitpid(-1, 0)
        if pid == child:
            return status


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--lifeline", type=int)
    args = parser.parse_args()
    layout = Layout.at(args.home)
    ports = load(layout.ports)
    if ports is None:
        raise SystemExit(f"{layout.ports} is missing; start the stack with `ratchet up`")
    supervise(layout, services(layout, ports), urls(ports), args.lifeline)


if __name__ == "__main__":
    main()
