"""One service: start it, see it ready, watch it, start it again when it dies."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import shutil
import signal
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from ratchet.local import processes
from ratchet.local.processes import Process
from ratchet.local.services import Probe, Service
from ratchet.local.statefile import ServiceState

LOG_BYTES = 16_000_000
"""A log longer than this is moved aside (one old one is kept) and cut short."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0
CALM_S = 20.0
"""Having run this long, a service is taken for healthy: its next death starts the back-off anew."""
POLL_S = 0.1
PROBE_TIMEOUT_S = 5.0
STARTS = 3
"""A service that was never ready is tried this often; then it has failed, and says why."""

spawning = threading.Lock()
"""Held while a child is born: until its runner knows it, nobody may take it for an orphan and collect it."""

# No proxy: a probe asks this machine, whatever HTTP_PROXY says.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Runner(threading.Thread):
    """Keeps one service alive until `stop` is set. `changed` is told each new state, from this thread."""

    def __init__(
        self,
        service: Service,
        stack: str,
        log: Path,
        ready: threading.Event,
        wait_for: tuple[threading.Event, ...],
        changed: Callable[[ServiceState], None],
    ) -> None:
        super().__init__(name=service.name, daemon=True)
        self.service = service
        self.stack = stack
        self.log = log
        self.ready = ready
        self.wait_for = wait_for
        self.stop = threading.Event()
        self.state = ServiceState(name=service.name, title=service.title, url=service.url)
        self._changed = changed
        self._child: subprocess.Popen[bytes] | None = None
        self._daemons: tuple[Process, ...] = ()
        self._log_from = 0

    @property
    def child_pid(self) -> int | None:
        """A child that this thread itself waits for."""
        child = self._child
        return child.pid if child else None

    def child_alive(self) -> bool:
        child = self._child
        return child is not None and child.poll() is None

    def run(self) -> None:
        try:
            while not all(event.wait(POLL_S) for event in self.wait_for):
                if self.stop.is_set():
                    return
            self._keep_alive()
        except Exception as error:
            self._record(status="failed", message=f"{type(error).__name__}: {error}")
            raise

    def _keep_alive(self) -> None:
        pause, failures = FIRST_PAUSE_S, 0
        while not self.stop.is_set():
            began = time.monotonic()
            trouble = self._start_and_watch()
            if self.stop.is_set() or not trouble:
                return
            if time.monotonic() - began > CALM_S:
                pause, failures = FIRST_PAUSE_S, 0
            self._end_leftovers()
            failures += 1
            if failures >= STARTS and not self.ready.is_set():
                self._record(status="failed", pid=None, message=trouble)
                return
            self._record(status="restarting", pid=None, message=trouble, restarts=self.state.restarts + 1)
            self._note(f"{trouble}; starting it again in {pause:.1f} s")
            self.stop.wait(pause)
            pause = min(2 * pause, LONGEST_PAUSE_S)

    def _start_and_watch(self) -> str:
        """Returns what went wrong; empty when the service is done or is to stop."""
        began = time.monotonic()
        self._spawn()
        self._record(status="starting", pid=self.child_pid, started_at=time.time(), ready_after_s=None)
        if trouble := self._await_ready(began + self.service.timeout_s):
            return trouble
        if self.stop.is_set():
            return ""
        self._record(status="ready", ready_after_s=time.monotonic() - began, message="")
        if self.service.once:
            self._record(pid=None)
        self.ready.set()
        return "" if self.service.once else self._watch()

    def _spawn(self) -> None:
        env = {**os.environ, **self.service.env}
        env[processes.MARK] = self.stack
        env[processes.PART] = self.service.part or self.service.name
        trim_log(self.log)
        with self.log.open("ab") as log, spawning:
            self._log_from = log.tell()
            self._child = subprocess.Popen(  # noqa: S603 - our own list
                self.service.command,
                env=env,
                cwd=self.log.parent,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            os.setpriority(os.PRIO_PROCESS, self._child.pid, self.service.nice)
            # Linux weighs sessions first, and the processes of each against each other only (man 7 sched, autogroup).
            with contextlib.suppress(OSError):
                Path(f"/proc/{self._child.pid}/autogroup").write_text(str(self.service.nice))

    def _await_ready(self, deadline: float) -> str:
        child = self._child
        if child is None:
            raise RuntimeError("not started")
        while not self.stop.is_set():
            code = child.poll()
            if code is not None and not (code == 0 and (self.service.once or self.service.daemons)):
                return f"{self.service.title} ended with {_outcome(code)} before it was ready"
            if self._answers(ended=code is not None):
                return "" if not self.service.daemons else self._find_daemons()
            if time.monotonic() > deadline:
                return f"{self.service.title} was not ready after {self.service.timeout_s:.0f} s"
            self.stop.wait(POLL_S)
        return ""

    def _answers(self, *, ended: bool) -> bool:
        if self.service.once:
            return ended
        if self.service.daemons and not ended:
            return False
        if self.service.probe:
            return answers(self.service.probe)
        with self.log.open("rb") as log:
            log.seek(self._log_from)
            return self.service.says.encode() in log.read()

    def _find_daemons(self) -> str:
        mine = [process for process, part in processes.of_stack(self.stack).items() if part == self.service.name]
        commands = {process: processes.command(process.pid) for process in mine}
        found: list[Process] = []
        for fragment in self.service.daemons:
            daemon = next((process for process, line in commands.items() if fragment in line), None)
            if daemon is None:
                return f"{self.service.title} runs without its {fragment.rpartition('/')[2]}"
            found.append(daemon)
        self._daemons = tuple(found)
        self._record(pid=found[0].pid)
        return ""

    def _watch(self) -> str:
        checked = time.monotonic()
        while not self.stop.wait(POLL_S):
            for fragment, daemon in zip(self.service.daemons, self._daemons, strict=True):
                if not daemon.alive():
                    return f"{self.service.title}'s {fragment.rpartition('/')[2]} died"
            if not self._daemons and self._child is not None and (code := self._child.poll()) is not None:
                return f"{self.service.title} ended with {_outcome(code)}"
            if time.monotonic() - checked > CALM_S:
                trim_log(self.log)
                checked = time.monotonic()
        return ""

    def _end_leftovers(self) -> None:
        """A part starts anew as a whole: what is left of its last life would hold its ports."""
        name = self.service.part or self.service.name

        def mine() -> list[Process]:
            marked = [process for process, part in processes.of_stack(self.stack).items() if part == name]
            return marked + processes.unmarked_children()

        processes.sweep(mine, grace_s=5.0)
        self._daemons = ()

    def ask_to_end(self) -> None:
        """SIGTERM to the service's own process; what it leaves behind the supervisor sweeps up."""
        if self._child is not None and self.child_alive():
            with contextlib.suppress(ProcessLookupError):
                self._child.send_signal(signal.SIGTERM)

    def _note(self, text: str) -> None:
        with self.log.open("a") as log:
            log.write(f"--- {time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} supervisor: {text}\n")

    def _record(self, **changes: Any) -> None:
        self.state = replace(self.state, **changes)
        self._changed(self.state)


def answers(probe: Probe) -> bool:
    """Whether a GET of the probe's address gives 200 now."""
    try:
        headers = {"Authorization": f"Bearer {probe.token_file.read_text().strip()}"} if probe.token_file else {}
        request = urllib.request.Request(probe.url, headers=headers)  # noqa: S310 - http, and our own
        with _opener.open(request, timeout=PROBE_TIMEOUT_S) as answer:
            return bool(answer.status == 200)
    except (OSError, http.client.HTTPException):
        return False


def trim_log(log: Path) -> None:
    """Keep a log under its cap: copied aside, then cut, since the service goes on writing to the same open file."""
    if log.exists() and log.stat().st_size > LOG_BYTES:
        shutil.copyfile(log, log.with_name(log.name + ".1"))
        os.truncate(log, 0)


def tail(log: Path, lines: int = 15) -> str:
    """The last lines of a log, without the colours of a terminal; empty when there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 16_384))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    return "\n".join(re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", text).splitlines()[-lines:])


def _outcome(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"
