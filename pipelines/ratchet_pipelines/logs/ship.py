"""The shipper: reads one process's output, and writes it to the job's log in chunks, within a second.

A process of its own, so that it outlives a crash of the other and never holds it up. A chunk is written whole and
again, as it grows, until it is full: a log of N MiB is some 4 N files, and a reader never sees half a line.
"""

from __future__ import annotations

import codecs
import contextlib
import os
import select
import socket
import sys
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ratchet_pipelines.logs.entries import MAX_LINE, Entry, Grouper, Line, cleaned
from ratchet_pipelines.logs.redact import Redactor

LOCAL_FLUSH_S, REMOTE_FLUSH_S = 0.1, 0.5
"""Between two writes: more where each is paid for."""
GATHER_S = 0.02
"""After a silence: the lines that come together are written together."""
CHUNK_BYTES = 256 * 1024
CAP_BYTES = 64 * 1024 * 1024
"""Of one process's log: its first half and its last are kept."""
BURST_BYTES = 2 * 1024 * 1024
"""Between two writes: of what comes faster the newest is kept."""
UNSENT_BYTES = 32 * 1024 * 1024
"""While the storage does not answer: of what is more the newest is kept."""
HOLD_S = 1.0
"""How long a traceback that has not ended is waited for."""
RETRY_S = 5.0
GIVE_UP_S = 12.0
"""At the end, when the storage does not answer."""
ENDED = b"[]\n"
"""The last line of a process's last chunk."""


class Store:
    """A folder by URI. fsspec is imported only for what is no folder of this machine: it costs memory."""

    def __init__(self, uri: str) -> None:
        self._local = Path(uri.removeprefix("file://")) if uri.startswith("file://") else None
        self.flush_s = REMOTE_FLUSH_S if self._local is None else LOCAL_FLUSH_S
        self._fs: Any = None
        self._uri = uri

    def write(self, name: str, data: bytes) -> None:
        if self._local is not None:
            self._local.mkdir(parents=True, exist_ok=True)
            part = self._local / f"{name}.part"
            part.write_bytes(data)
            part.replace(self._local / name)
            return
        files, root = self._opened()
        files.makedirs(root, exist_ok=True)
        files.pipe_file(f"{root}/{name}", data)

    def delete(self, name: str) -> None:
        if self._local is not None:
            (self._local / name).unlink(missing_ok=True)
            return
        files, root = self._opened()
        files.rm_file(f"{root}/{name}")

    def _opened(self) -> tuple[Any, str]:
        if self._fs is None:
            import fsspec

            self._fs = fsspec.core.url_to_fs(self._uri)
        return self._fs  # type: ignore[no-any-return]


@dataclass
class Chunk:
    name: str
    lines: list[bytes] = field(default_factory=list)
    size: int = 0
    stored: int = 0
    """Bytes of it that are in the storage."""


class Chunks:
    """The chunks of one process's log: added to, written, and taken out of the middle when there are too many."""

    def __init__(self, store: Store, started: float) -> None:
        self._store = store
        self._started = int(started * 1000)
        self._unsent: deque[Chunk] = deque()
        self._tail: deque[Chunk] = deque()
        self._head_bytes = self._tail_bytes = 0

    def add(self, entry: Entry) -> None:
        line = entry.dump().encode(errors="replace") + b"\n"
        if not self._unsent or self._unsent[-1].size + len(line) > CHUNK_BYTES:
            # Sorted by name they are in order, also after the process was started anew.
            self._unsent.append(Chunk(f"{self._started:013d}-{entry.number:010d}.jsonl"))
        self._append(line)

    def end(self) -> None:
        if not self._unsent:
            self._unsent.append(Chunk(f"{self._started:013d}-{0:010d}.jsonl"))
        self._append(ENDED)

    def write(self) -> None:
        """Write what is new. `Exception` of the storage's: what was not written is kept, and written next time."""
        while self._unsent:
            chunk = self._unsent[0]
            if chunk.stored < chunk.size:
                self._store.write(chunk.name, b"".join(chunk.lines))
                chunk.stored = chunk.size
            if len(self._unsent) == 1:
                return  # it may still grow
            self._unsent.popleft()
            chunk.lines = []
            self._keep(chunk)

    def _append(self, line: bytes) -> None:
        chunk = self._unsent[-1]
        chunk.lines.append(line)
        chunk.size += len(line)
        while len(self._unsent) > 2 and sum(each.size for each in self._unsent) > UNSENT_BYTES:
            del self._unsent[0]

    def _keep(self, chunk: Chunk) -> None:
        if self._head_bytes < CAP_BYTES // 2:
            self._head_bytes += chunk.size
            return
        self._tail.append(chunk)
        self._tail_bytes += chunk.size
        while self._tail_bytes > CAP_BYTES // 2:
            dropped = self._tail.popleft()
            self._tail_bytes -= dropped.size
            self._store.delete(dropped.name)


class Shipper:
    def __init__(self, store: Store, redactor: Redactor, echo: int | None) -> None:
        self._chunks = Chunks(store, time.time())
        self.flush_s = store.flush_s
        self._redactor, self._echo = redactor, echo
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._partial = ""
        self._lines: deque[Line] = deque()
        self._bytes = self._number = 0
        self._grouper, self._grouped_at = Grouper(), 0.0
        self._pause, self._next_try = 0.0, 0.0

    @property
    def waits(self) -> bool:
        """Whether something is to be written."""
        return bool(self._lines) or self._grouper.holds or self._pause > 0

    def take(self, data: bytes, *, final: bool = False) -> None:
        """Cheap, so that a process that prints much is not held up: what is dropped anyway is never looked at."""
        *lines, self._partial = (self._partial + self._decoder.decode(data, final)).split("\n")
        if final and self._partial:
            lines.append(self._partial)
            self._partial = ""
        if len(self._partial) > 2 * MAX_LINE:
            # A progress bar that redraws itself never ends its line; of anything else the start is kept.
            last = self._partial.rpartition("\r")[2]
            self._partial = last[: 2 * MAX_LINE]
        now = time.time()
        for text in lines:
            self._lines.append(Line(self._number, now, text))
            self._number += 1
            self._bytes += len(text)
        while self._bytes > BURST_BYTES and len(self._lines) > 1:
            self._bytes -= len(self._lines.popleft().text)

    def flush(self, *, final: bool = False) -> None:
        """Write what has come. Raises nothing of the storage's: it is tried again, later each time."""
        now = time.monotonic()
        self._make_entries(now, final)
        if final:
            self._chunks.end()
        if not final and now < self._next_try:
            return
        try:
            self._chunks.write()
            self._pause = 0.0
        except Exception as error:
            if self._pause == 0.0:
                _complain(f"The log can't be stored: {error}. It is kept and tried again.")
            self._pause = min(2 * self._pause or self.flush_s, RETRY_S)
            self._next_try = now + self._pause
            if final:
                raise

    def insist(self) -> None:
        """The last word: tried again for `GIVE_UP_S`."""
        give_up = time.monotonic() + GIVE_UP_S
        try:
            self.flush(final=True)
        except Exception:
            while time.monotonic() < give_up:
                time.sleep(self._pause or self.flush_s)
                try:
                    return self._chunks.write()
                except Exception as error:
                    last = error
            _complain(f"The end of the log was not stored: {last}")

    def _make_entries(self, now: float, final: bool) -> None:
        lines, self._lines, self._bytes = self._lines, deque(), 0
        said = []
        for line in lines:
            line.text = self._redactor.line(cleaned(line.text))
            said.append(line.text)
            for entry in self._grouper.take(line):
                self._chunks.add(entry)
        if lines:
            self._grouped_at = now
        if self._grouper.holds and (final or now - self._grouped_at > HOLD_S):
            for entry in self._grouper.flush():
                self._chunks.add(entry)
        if said:
            self._say("\n".join(said) + "\n")

    def _say(self, text: str) -> None:
        if self._echo is not None:
            try:
                data = text.encode(errors="replace")
                while data:
                    data = data[os.write(self._echo, data) :]
            except OSError:
                self._echo = None  # nobody reads there any more


def run(shipper: Shipper, output: int, control: socket.socket) -> None:
    """Until the output ends, or the process says that it has said all."""
    watched: list[Any] = [output, control]
    flush_at, flushed_at = float("inf"), 0.0
    while True:
        timeout = max(0.0, flush_at - time.monotonic()) if flush_at != float("inf") else None
        ready, _, _ = select.select(watched, [], [], timeout)
        if control in ready:
            # Closed by the process, or with it. Children of it may hold the output open for ever.
            while select.select([output], [], [], 0.05)[0] and (data := os.read(output, 1 << 20)):
                shipper.take(data)
            break
        if output in ready:
            data = os.read(output, 1 << 20)
            if not data:
                break
            shipper.take(data)
        if time.monotonic() >= flush_at:
            shipper.flush()
            flush_at, flushed_at = float("inf"), time.monotonic()
        if flush_at == float("inf") and shipper.waits:
            flush_at = max(flushed_at + shipper.flush_s, time.monotonic() + GATHER_S)
    shipper.take(b"", final=True)
    shipper.insist()


def _complain(text: str) -> None:
    """To where the process's output would go: Ray's log of it."""
    with contextlib.suppress(OSError):
        os.write(2, f"{text}\n".encode())


def main() -> None:
    folder, control, echo = sys.argv[1:4]
    if os.fork():
        os._exit(0)
    os.setsid()
    said = os.dup(1) if echo else None
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    shipper = Shipper(Store(folder), Redactor.of_process(), said)
    with socket.socket(fileno=int(control)) as ours:
        try:
            run(shipper, 0, ours)
        except Exception as error:
            # Whatever happens here, the job must not lose its output and block, or die of a closed pipe.
            _complain(f"The log is no longer stored: {error!r}")
            while data := os.read(0, 1 << 20):
                os.write(said or 2, data)


if __name__ == "__main__":
    main()
