"""Turns what this process prints, and what its children print, over to a shipper of its own."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from ratchet_pipelines.spec import ENVELOPE_VARIABLE

LAST_WORD_S = 15.0
"""How long the end of a process waits for its last lines to be stored."""
PIPE_BYTES = 1024 * 1024
SHIPPER = Path(__file__).with_name("ship.py")


@contextlib.contextmanager
def captured(source: str, *, echo: bool) -> Iterator[None]:
    """While open, the process's output goes to the job's log as `source`: `driver`, `rank-3`.

    `echo` also writes it where it would have gone, with secrets masked. When the block is left all of it is stored;
    when the process is killed instead, the shipper lives on for as long as that takes. Outside a job nothing happens.
    """
    told = os.environ.get(ENVELOPE_VARIABLE)
    if told is None:
        yield
        return
    job = json.loads(told)
    folder = f"{job['storage']}/jobs/{job['job']}/logs/{job['attempt']}/{source}"
    capture = _Capture(folder, echo)
    try:
        yield
    finally:
        capture.close()


class _Capture:
    def __init__(self, folder: str, echo: bool) -> None:
        _flush()
        self._before = [os.dup(1), os.dup(2)]
        self._control, theirs = socket.socketpair()
        output, pipe = os.pipe()
        with contextlib.suppress(OSError, AttributeError):
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        root = str(SHIPPER.parents[2])
        arguments = [sys.executable, "-P", str(SHIPPER), folder, str(theirs.fileno()), "echo" if echo else ""]
        # It leaves at once for a session of its own, so that neither a signal to this process's group nor Ray, which
        # kills the children of a worker that died, takes the last lines with them.
        self._shipper = subprocess.Popen(  # noqa: S603
            arguments,
            stdin=output,
            pass_fds=[theirs.fileno()],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))},
        )
        self._shipper.wait()
        os.dup2(pipe, 1)
        os.dup2(pipe, 2)
        os.close(pipe)
        os.close(output)
        theirs.close()

    def close(self) -> None:
        _flush()
        for fd, before in enumerate(self._before, start=1):
            os.dup2(before, fd)
            os.close(before)
        self._control.shutdown(socket.SHUT_WR)
        self._control.settimeout(LAST_WORD_S)
        with contextlib.suppress(TimeoutError):
            self._control.recv(1)  # its end is closed when all is stored
        self._control.close()


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(ValueError, OSError):
            stream.flush()
