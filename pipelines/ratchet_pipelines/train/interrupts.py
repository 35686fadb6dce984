"""Whether a job was asked to stop, while Ray holds the handler of that signal."""

from __future__ import annotations

import contextlib
import signal
import socket
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Gives a function that says whether SIGINT came; leaves handlers as they were, since Ray replaces SIGINT's.

    In a thread (a Tune trial) there are no handlers, and nothing is ever said to have come.
    """
    try:
        before = signal.getsignal(signal.SIGINT)
        reader, writer = socket.socketpair()
        reader.setblocking(False)
        writer.setblocking(False)
        wakeup = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    except ValueError:
        yield lambda: False
        return

    def interrupted() -> bool:
        with contextlib.suppress(BlockingIOError):
            return signal.SIGINT in reader.recv(4096)
        return False

    try:
        yield interrupted
    finally:
        signal.set_wakeup_fd(wakeup)
        signal.signal(signal.SIGINT, before)
        reader.close()
        writer.close()
