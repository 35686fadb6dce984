"""A program in a process group of its own: its output passed on, its group ended with it, however it ends."""

from __future__ import annotations

import codecs
import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil

TAIL_CHARACTERS = 64 * 1024
LOOK_EVERY_S = 0.05
PR_SET_CHILD_SUBREAPER = 36
"""From <linux/prctl.h>."""
# Ends the group when the process that holds the other end of its input is gone, even by SIGKILL. It ignores the
# signals that Ray sends to all processes of a job.
GUARD = 'trap "" INT TERM; read _; kill -s KILL -- "-$1"'


@dataclass(frozen=True)
class Ended:
    status: int
    """Its exit status; minus the signal's number where one ended it."""
    tail: str
    """The end of its output, at most `TAIL_CHARACTERS`."""
    asked: bool
    """Whether it ended after `stop` had said that it should."""


def run(
    command: Sequence[str],
    *,
    folder: Path,
    env: Mapping[str, str],
    grace_s: float,
    stop: Callable[[], bool] = lambda: False,
    stop_grace_s: float = 0.0,
) -> Ended:
    """Run `command` in `folder` to its end, and leave no process that came of it.

    When `stop` becomes true the group gets SIGINT, once, and what lives after `stop_grace_s` SIGKILL. On SIGINT to this
    process (a `KeyboardInterrupt`) it waits for `grace_s` alone: Ray has sent the signal to every process of the job,
    and a second one would break off the first one's handling. Raises `OSError` when the program can't be started.
    """
    mine = {child.pid for child in psutil.Process().children()}
    _adopt_orphans(True)
    process = subprocess.Popen(  # noqa: S603 - the user's program is what is wanted
        command,
        cwd=folder,
        env=dict(env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    assert process.stdout is not None
    relay = Relay(process.stdout)
    asked = False
    with _guarded(process.pid) as guard:
        try:
            while not _ended(process.pid, LOOK_EVERY_S):
                if not asked and stop():
                    asked = True
                    os.killpg(process.pid, signal.SIGINT)
                    _ended(process.pid, stop_grace_s)
                    break
        except KeyboardInterrupt:
            _ended(process.pid, grace_s)
            raise
        finally:
            # The first process is not reaped yet, so that its number, and the group's, is still its own.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            status = process.wait()
            _kill_descendants(mine | {guard})
            _adopt_orphans(False)
            relay.join()
    return Ended(status, relay.tail, asked)


class Relay:
    """Passes a stream on to standard output, and keeps its end."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.tail = ""
        self._thread = threading.Thread(target=self._pass_on, args=(stream,), name="output", daemon=True)
        self._thread.start()

    def join(self) -> None:
        """Wait until it has ended; it has when nothing that could write to it lives."""
        self._thread.join(5)

    def _pass_on(self, stream: IO[bytes]) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        while block := os.read(stream.fileno(), 65_536):
            self._write(decoder.decode(block))
        self._write(decoder.decode(b"", final=True))

    def _write(self, text: str) -> None:
        self.tail = (self.tail + text)[-TAIL_CHARACTERS:]
        sys.stdout.write(text)
        sys.stdout.flush()


def _adopt_orphans(adopt: bool) -> None:
    """Make this process the parent of those below it whose own parent has gone: whoever daemonises stays in sight."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, int(adopt), 0, 0, 0)


def _kill_descendants(but: Set[int]) -> None:
    """End what left the group by opening a session of its own. Until none is there: each may start others."""
    while left := [child for child in psutil.Process().children() if child.pid not in but]:
        for child in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
        psutil.wait_procs(left, timeout=5)


@contextlib.contextmanager
def _guarded(group: int) -> Iterator[int]:
    guard = subprocess.Popen(  # noqa: S603
        ["/bin/sh", "-c", GUARD, "guard", str(group)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield guard.pid
    finally:
        guard.kill()
        guard.wait()


def _ended(pid: int, patience_s: float) -> bool:
    """Whether the process has ended, after waiting for that for at most `patience_s`. It is not reaped."""
    deadline = time.monotonic() + patience_s
    while True:
        if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None:
            return True
        left = deadline - time.monotonic()
        if left <= 0:
            return False
        time.sleep(min(LOOK_EVERY_S, left))
