"""The log of a job as it lies in storage: `jobs/<id>/logs/<attempt>/<source>/<started>-<first line>.jsonl`.

Each process of an attempt (a source: `driver`, `rank-0`, …) writes its own while it runs (`ratchet_pipelines.logs`). A
reader keeps a position in each, so that it misses nothing of one that writes late and sees nothing twice.
"""

from __future__ import annotations

import base64
import binascii
import heapq
import json
import re
import zlib
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from ratchet.clients.ports import Clients, Storage
from ratchet.jobs.logfilter import LogFilter
from ratchet.logs import masked
from ratchet_pipelines.logs.entries import Entry, of_text, parse

READ_BYTES = 16 * 1024 * 1024
"""Read for one answer: a search in a large log takes several."""
ENDED = b"[]\n"
"""The last line of a process's last chunk."""
FROM_RAY = 0
"""The start time of what was copied from Ray: a log that its own process never wrote to storage."""
CHUNK_BYTES = 256 * 1024
MAX_RAY_CHARACTERS = 8 * 1024 * 1024
MAX_CURSOR_BYTES = 1024 * 1024
LAST_CHARACTERS = 256 * 1024

PATH = re.compile(r"jobs/[^/]+/logs/(\d{1,6})/([a-z0-9-]{1,100})/(\d{13})-(\d{10})\.jsonl")


class Source(NamedTuple):
    attempt: int
    name: str


class Position(NamedTuple):
    """How far a source was read."""

    started: int = 0
    """When its process started, in ms since 1970: it may be started anew."""
    number: int = 0
    """Of the next line."""
    size: int = 0
    """Bytes of the chunk that was read to its end: as long as it has no more, there is nothing new in it."""
    ended: bool = False
    """The process had said its last there."""


class Chunk(NamedTuple):
    started: int
    first: int
    """The number of its first line."""
    path: str
    size: int


class Line(NamedTuple):
    source: Source
    entry: Entry


@dataclass(frozen=True)
class Parsed:
    entries: list[Entry]
    numbers: list[int]
    size: int
    ended: bool
    """The process has ended: nothing follows."""

    @classmethod
    def of(cls, data: bytes) -> Parsed:
        entries = list(parse(data))
        return cls(entries, [entry.number for entry in entries], len(data), data.endswith(ENDED))


Index = Mapping[Source, list[Chunk]]
Load = Callable[[Chunk], Parsed]


@dataclass(frozen=True)
class Cursor:
    """How far a reader has come in each source."""

    positions: Mapping[Source, Position] = field(default_factory=dict)

    def __str__(self) -> str:
        plain = [[*source, *position] for source, position in sorted(self.positions.items())]
        return base64.urlsafe_b64encode(zlib.compress(json.dumps(plain).encode())).decode().rstrip("=")

    @classmethod
    def parse(cls, text: str) -> Cursor:
        """`ValueError` when it is none."""
        try:
            packed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
            plain = json.loads(zlib.decompressobj().decompress(packed, MAX_CURSOR_BYTES))
            return cls(
                {
                    Source(int(attempt), str(name)): Position(int(started), int(number), int(size), bool(ended))
                    for attempt, name, started, number, size, ended in plain
                }
            )
        except (binascii.Error, zlib.error, ValueError, TypeError, OverflowError, RecursionError) as error:
            raise ValueError("It is not a cursor of a page before.") from error


@dataclass(frozen=True)
class LogPart:
    lines: list[Line]
    cursor: Cursor
    more: bool
    """There is more already: go on at once."""
    ended: bool
    """Every process that wrote has said its last."""


def folder(job_id: str) -> str:
    return f"jobs/{job_id}/logs"


def index(storage: Storage, job_id: str) -> Index:
    return index_of(storage.sizes(folder(job_id)))


def index_of(sizes: Mapping[str, int]) -> Index:
    """Each source's chunks in order. What was copied from Ray counts only where the process itself wrote nothing."""
    found: dict[Source, list[Chunk]] = {}
    for path, size in sizes.items():
        if (match := PATH.fullmatch(path)) is not None:
            attempt, name, started, first = match.groups()
            found.setdefault(Source(int(attempt), name), []).append(Chunk(int(started), int(first), path, size))
    for chunks in found.values():
        chunks.sort()
        if chunks[-1].started != FROM_RAY:
            chunks[:] = [chunk for chunk in chunks if chunk.started != FROM_RAY]
    return found


def loader(storage: Storage) -> Load:
    return lambda chunk: Parsed.of(storage.read(chunk.path) or b"")


@dataclass
class _Budget:
    left: int
    spent: bool = False

    def take(self, size: int) -> bool:
        """Whether another chunk may be read."""
        self.spent = self.spent or self.left <= 0
        self.left -= size
        return not self.spent


class _Step(NamedTuple):
    """An entry on its way to a reader. Ordered by attempt and time: so that the sources can be merged."""

    attempt: int
    time: float
    name: str
    after: Position
    shown: bool
    entry: Entry | None


def read(
    load: Load, found: Index, cursor: Cursor, wanted: LogFilter, limit: int, budget_bytes: int = READ_BYTES
) -> LogPart:
    """The next entries after a cursor, at most `limit`; oldest first over all sources, as far as they have come."""
    positions, lines = dict(cursor.positions), list[Line]()
    budget, mine = _Budget(budget_bytes), [source for source in found if wanted.takes(*source)]
    steps = [_steps(load, source, found[source], positions.get(source, Position()), wanted, budget) for source in mine]
    more = False
    for step in heapq.merge(*steps, key=lambda step: step[:2]):
        if len(lines) == limit and step.entry is not None:
            more = True
            break
        source = Source(step.attempt, step.name)
        positions[source] = step.after
        if step.shown and step.entry is not None:
            lines.append(Line(source, step.entry))
    more = more or budget.spent
    return LogPart(lines, Cursor(positions), more, not more and all(positions[source].ended for source in mine))


def _steps(
    load: Load,
    source: Source,
    chunks: list[Chunk],
    position: Position,
    wanted: LogFilter,
    budget: _Budget,
) -> Iterator[_Step]:
    """A source's entries from a position on. What was dropped from the middle of a log is marked by an entry."""
    begin = max(bisect_right(chunks, position[:2], key=lambda chunk: chunk[:2]) - 1, 0)
    for chunk in chunks[begin:]:
        if chunk.started < position.started or (chunk.first < position.number and chunk.size == position.size):
            continue
        if not budget.take(chunk.size):
            return
        parsed = load(chunk)
        if position.started != chunk.started:
            position = Position(chunk.started)
        fresh = parsed.entries[bisect_left(parsed.numbers, position.number) :]
        for entry, shown in zip(fresh, wanted.choose(fresh), strict=True):
            if entry.number > position.number:
                yield _dropped(source, entry, position, wanted)
            position = Position(chunk.started, entry.following)
            yield _Step(source.attempt, entry.time, source.name, position, shown, entry)
        position = Position(chunk.started, position.number, parsed.size, parsed.ended)
        yield _Step(source.attempt, float("-inf"), source.name, position, False, None)


def _dropped(source: Source, entry: Entry, position: Position, wanted: LogFilter) -> _Step:
    count = entry.number - position.number
    text = f"… {count} line{'s' if count > 1 else ''} left out here: the log is longer, or came faster, than is kept …"
    mark = Entry(position.number, entry.time, "warning", text)
    after = Position(position.started, entry.number)
    return _Step(source.attempt, entry.time, source.name, after, wanted.choose([mark])[0], mark)


def tail(load: Load, found: Index, wanted: LogFilter, limit: int, budget_bytes: int = READ_BYTES) -> LogPart:
    """The last `limit` entries, and the cursor from which the log goes on."""
    lines, positions, ended = list[Line](), dict[Source, Position](), True
    budget = _Budget(budget_bytes)
    for source, chunks in found.items():
        if not wanted.takes(*source):
            continue
        mine: list[Line] = []
        for chunk in reversed(chunks):
            if len(mine) >= limit or not budget.take(chunk.size):
                break
            parsed = load(chunk)
            if source not in positions:
                following = parsed.entries[-1].following if parsed.entries else chunk.first
                positions[source] = Position(chunk.started, following, parsed.size, parsed.ended)
                ended = ended and parsed.ended
            chosen = zip(parsed.entries, wanted.choose(parsed.entries), strict=True)
            mine[:0] = [Line(source, entry) for entry, shown in chosen if shown]
        positions.setdefault(source, Position(chunks[-1].started, chunks[-1].first))
        lines += mine[-limit:]
    lines.sort(key=lambda line: (line.source.attempt, line.entry.time))
    return LogPart(lines[-limit:], Cursor(positions), budget.spent, ended and not budget.spent)


def everything(load: Load, found: Index, wanted: LogFilter) -> Iterator[Line]:
    """All of it, for a download."""
    cursor = Cursor()
    while True:
        part = read(load, found, cursor, wanted, limit=10_000)
        yield from part.lines
        if not part.more:
            return
        cursor = part.cursor


def last_text(clients: Clients, job_id: str, attempt: int) -> str:
    """What the driver of an attempt printed last.

    Where it never wrote to storage (its environment could not be set up, its node had no way there), what Ray has of it
    is copied: so the log outlives the cluster. Empty when nobody has any.
    """
    storage, wanted = clients.storage, LogFilter(attempt=attempt, source="driver")
    part = tail(loader(storage), index(storage, job_id), wanted, 10_000, budget_bytes=LAST_CHARACTERS)
    if not part.lines:
        text = clients.jobs.logs(f"{job_id}-{attempt}") or ""
        _copy(storage, job_id, attempt, of_text(text[-MAX_RAY_CHARACTERS:], 0, masked))
        return masked(text[-LAST_CHARACTERS:])
    return "\n".join(line.entry.text for line in part.lines) + "\n"


def _copy(storage: Storage, job_id: str, attempt: int, entries: Iterable[Entry]) -> None:
    first, data = 0, b""
    for entry in entries:
        data += entry.dump().encode(errors="replace") + b"\n"
        if len(data) > CHUNK_BYTES:
            storage.write(f"{folder(job_id)}/{attempt}/driver/{FROM_RAY:013d}-{first:010d}.jsonl", data)
            first, data = entry.following, b""
    if data or first:
        storage.write(f"{folder(job_id)}/{attempt}/driver/{FROM_RAY:013d}-{first:010d}.jsonl", data + ENDED)
