"""Processes by /proc: who they are, whose they are, what they weigh, and how to end them.

A pid alone is no identity, since the kernel reuses it: a process here is its pid and its start time together.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
MARK = "RATCHET_STACK"
PART = "RATCHET_PART"
"""Environment variables that every process of a stack inherits: the stack's id, and the part it belongs to."""

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36


@dataclass(frozen=True)
class Process:
    pid: int
    start: int
    """Clock ticks since boot."""

    def alive(self) -> bool:
        """Whether this very process runs; a zombie does not."""
        found = _stat(self.pid)
        return found is not None and found.start == self.start and found.state not in "ZX"

    def signal(self, number: int) -> None:
        """Send a signal; nothing happens when the process is gone, or its pid is another's by now."""
        try:
            handle = os.pidfd_open(self.pid)
        except OSError:
            return
        try:
            # The handle is bound to one process: the check after it was opened can no longer go stale.
            if self.alive():
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    signal.pidfd_send_signal(handle, number)
        finally:
            os.close(handle)


@dataclass(frozen=True)
class _Stat:
    state: str
    parent: int
    start: int


def _stat(pid: int) -> _Stat | None:
    try:
        text = (PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    fields = text[text.rindex(")") + 2 :].split()  # the name may hold spaces and brackets
    return _Stat(state=fields[0], parent=int(fields[1]), start=int(fields[19]))


def identify(pid: int) -> Process | None:
    found = _stat(pid)
    return Process(pid, found.start) if found else None


def pids() -> Iterator[int]:
    return (int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit())


def environment(pid: int) -> dict[str, str]:
    """The environment a process was started with; empty when it is gone or another user's."""
    try:
        raw = (PROC / str(pid) / "environ").read_bytes()
    except OSError:
        return {}
    pairs = (item.partition("=") for item in raw.decode(errors="replace").split("\0") if "=" in item)
    return {name: value for name, _, value in pairs}


def command(pid: int) -> str:
    try:
        return (PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


def descendants(roots: Iterable[int]) -> set[int]:
    """All processes below `roots`, the roots left out."""
    children: dict[int, list[int]] = {}
    for pid in pids():
        found = _stat(pid)
        if found:
            children.setdefault(found.parent, []).append(pid)
    below: set[int] = set()
    todo = list(roots)
    while todo:
        for child in children.get(todo.pop(), []):
            if child not in below:
                below.add(child)
                todo.append(child)
    return below


def of_stack(stack: str) -> dict[Process, str]:
    """Every living process of a stack, with its part.

    Some programs overwrite their environment with a title (Ray's dashboard modules do), so what descends from a
    marked process belongs to the stack too, by the part of its nearest marked ancestor.
    """
    parents = {pid: found.parent for pid in pids() if (found := _stat(pid))}
    environments = {pid: environment(pid) for pid in parents}
    parts: dict[int, str] = {}
    for pid in parents:
        ancestor = pid
        while ancestor in parents and MARK not in environments[ancestor]:
            ancestor = parents[ancestor]
        if environments.get(ancestor, {}).get(MARK) == stack:
            parts[pid] = environments[ancestor].get(PART, "")
    return {process: part for pid, part in parts.items() if (process := identify(pid)) and process.alive()}


def unmarked_children() -> list[Process]:
    """Own children without a mark: they overwrote it, and came here when their parent died."""
    me = os.getpid()
    return [
        Process(pid, found.start)
        for pid in pids()
        if (found := _stat(pid)) and found.parent == me and found.state not in "ZX" and MARK not in environment(pid)
    ]


def sweep(find: Callable[[], Iterable[Process]], *, grace_s: float) -> int:
    """End the processes that `find` gives, and those they start meanwhile: SIGTERM, then SIGKILL after `grace_s`.

    Returns how many had to be killed. The caller itself is never among them.
    """
    me = os.getpid()
    deadline = time.monotonic() + grace_s
    asked: set[Process] = set()
    killed: set[Process] = set()
    while living := {process for process in find() if process.pid != me and process.alive()}:
        late = time.monotonic() >= deadline
        for process in living:
            if late:
                process.signal(signal.SIGKILL)
                killed.add(process)
            elif process not in asked:
                process.signal(signal.SIGTERM)
                asked.add(process)
        if time.monotonic() >= deadline + 10:
            break  # in uninterruptible sleep: no signal reaches it
        reap()
        time.sleep(0.05)
    return len(killed)


def reap(*, apart_from: frozenset[int] = frozenset()) -> None:
    """Collect own children that ended, orphans given to this process among them, but for those waited for elsewhere."""
    me = os.getpid()
    for pid in list(pids()):
        found = _stat(pid)
        if found and found.parent == me and found.state == "Z" and pid not in apart_from:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)


def become_subreaper() -> None:
    """From now on an orphan below this process becomes its child, not init's: none can slip away."""
    _prctl(PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent(number: int) -> None:
    """Have the kernel send `number` to this process when its parent ends, however it ends."""
    _prctl(PR_SET_PDEATHSIG, number)


def _prctl(option: int, value: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, value, 0, 0, 0) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


def proportional_bytes(pid: int) -> int:
    """Proportional set size: shared pages are divided among those that share them, so that a sum is a true sum."""
    try:
        lines = (PROC / str(pid) / "smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)
