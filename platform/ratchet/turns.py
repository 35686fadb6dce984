"""Whose turn it is to write to a SQLite file: threads of one process, and processes, wait in line.

SQLite's own waiting is polling with ever longer pauses. Of many writers some starve for seconds, and the other process
starves whenever this one's next thread is quicker to see that the lock is free.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

POLL_S = 0.001


class Turns:
    """Two locks: the threads of a process take `take` … `give_back` around their transactions, one after the other;
    and while a transaction begins, `in_line` holds a file that both processes' next writers want.

    The next in line polls for the database, and everybody else, in either process, for being next.
    """

    def __init__(self, path: str | None, patience_s: float) -> None:
        self._thread = threading.Lock()
        self._path = path
        self._file: int | None = None
        self._patience_s = patience_s

    def take(self) -> bool:
        """False when it did not come in time."""
        return self._thread.acquire(timeout=self._patience_s)

    def give_back(self) -> None:
        self._thread.release()

    @contextmanager
    def in_line(self) -> Iterator[bool]:
        """Whether this process is next; false when it did not come in time. Ask with the turn taken."""
        if self._path is None:
            yield True
            return
        if self._file is None:
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        ends = time.monotonic() + self._patience_s
        while not self._locked(self._file):
            if time.monotonic() > ends:
                yield False
                return
            time.sleep(POLL_S)
        try:
            yield True
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    @staticmethod
    def _locked(file: int) -> bool:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None
