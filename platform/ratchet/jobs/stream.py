"""A job as it happens, as server-sent events: `log`, `metrics`, `job`; the last is the job once it has ended.

However many follow a job, one `Tail` in this process looks at it: at its row, at its log in storage, at MLflow when its
metrics have changed. A follower takes from there what it was not sent yet.

An event's id is the log's cursor, so that a reader who comes back (`Last-Event-ID`) misses nothing of it and sees
nothing of it twice. Metrics and the job's state are sent whole at the start.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from fastapi.concurrency import run_in_threadpool
from fastapi.sse import ServerSentEvent
from sqlalchemy.orm import Session, sessionmaker

from ratchet.clients.ports import Clients, EngineError, Storage
from ratchet.db import now, read_only
from ratchet.errors import NotFound, Unavailable
from ratchet.identity.principals import REMEMBER_S
from ratchet.jobs import live, logfiles, service
from ratchet.jobs.live import Subject
from ratchet.jobs.logfiles import Chunk, Cursor, Index, LogPart, Parsed, Position
from ratchet.jobs.logfilter import LogFilter
from ratchet.jobs.schemas import JobView, LogEntryView, LogUpdate, MetricPointView, MetricsView, SeriesView
from ratchet.logs import logger

log = logger("jobs.stream")

STATE_EVERY_S = 1.0
"""The job's row is looked at this often; its log as often as the storage allows."""
ENTRIES_AT_ONCE = 500
"""In one event."""


@dataclass(frozen=True)
class _Log:
    """A job's log as of one look."""

    storage: Storage
    sizes: Mapping[str, int] = field(default_factory=dict)
    index: Index = field(default_factory=dict)
    newest: Mapping[Chunk, Parsed] = field(default_factory=dict)
    """Each source's last chunk: whoever follows reads there."""
    told: dict[tuple[str, LogFilter], tuple[LogPart, str]] = field(default_factory=dict)

    def load(self, chunk: Chunk) -> Parsed:
        parsed = self.newest.get(chunk)
        return Parsed.of(self.storage.read(chunk.path) or b"") if parsed is None else parsed

    def read(self, cursor: Cursor, wanted: LogFilter) -> tuple[LogPart, str]:
        """What follows a cursor, and the same as the data of an event: made once for all who stand there."""
        key = (str(cursor), wanted)
        if key not in self.told:
            part = logfiles.read(self.load, self.index, cursor, wanted, ENTRIES_AT_ONCE)
            update = LogUpdate(entries=[LogEntryView.of(line) for line in part.lines], cursor=str(part.cursor))
            self.told[key] = part, update.model_dump_json()
        return self.told[key]

    def at_hand(self, cursor: Cursor, wanted: LogFilter) -> bool:
        """Whether what follows can be read without going to the storage."""
        return all(
            cursor.positions.get(source, Position()) >= (chunks[-1].started, chunks[-1].first)
            for source, chunks in self.index.items()
            if wanted.takes(*source)
        )


@dataclass
class Tail:
    """What is known of a job that somebody follows. `look` is called by one thread at a time."""

    sessions: sessionmaker[Session]
    clients: Clients
    public_url: str
    project: str
    job_id: str
    subject: Subject | None = None
    view: JobView | None = None
    state: str = ""
    """The view as JSON, without what changes when nothing has happened."""
    series: dict[str, list[MetricPointView]] = field(default_factory=dict)
    gone: bool = False
    followers: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    """Set, and replaced by another, at each change."""
    _state_at: float = float("-inf")

    def __post_init__(self) -> None:
        self.log = _Log(self.clients.storage)

    def look(self) -> bool:
        """Whether anything is new. Blocks for as long as the database, the storage and MLflow take."""
        state = time.monotonic() - self._state_at >= STATE_EVERY_S and self._look_at_state()
        # After the state: when the job has ended, all that its processes wrote is seen before its end is told.
        return self._look_at_log() or state

    def _look_at_state(self) -> bool:
        self._state_at = time.monotonic()
        try:
            with read_only(self.sessions) as session:
                row = service.get(session, self.project, self.job_id)
                view, subject = JobView.of(row, self.public_url), Subject.of(row, now(session))
        except NotFound:
            self.gone = True
            return True
        if self.view is None or self.view.metrics != view.metrics:
            with suppress(Unavailable):  # they come with the next change, or when the page is opened anew
                self.series = {each.name: each.points for each in live.series(self.clients, subject)}
        # Every look of a reconciler touches updated_at; that alone is no news.
        state = view.model_dump_json(exclude={"updated_at"})
        news = state != self.state or self.subject is None or subject.settled != self.subject.settled
        self.subject, self.view, self.state = subject, view, state
        return news

    def _look_at_log(self) -> bool:
        storage, before = self.clients.storage, self.log
        try:
            sizes = storage.sizes(logfiles.folder(self.job_id))
            if sizes == before.sizes:
                return False
            index = logfiles.index_of(sizes)
            newest = {chunks[-1]: before.load(chunks[-1]) for chunks in index.values()}
        except EngineError:
            return False  # the storage does not answer: what is new is found later
        self.log = _Log(storage, sizes, index, newest)
        return True


@dataclass
class Follower:
    """What one reader was sent so far."""

    tail: Tail
    cursor: Cursor = field(default_factory=Cursor)
    wanted: LogFilter = field(default_factory=LogFilter)
    ended: bool = False
    _state: str = ""
    _points: dict[str, int] = field(default_factory=dict)

    @property
    def may_block(self) -> bool:
        return not self.tail.log.at_hand(self.cursor, self.wanted)

    def take(self) -> list[ServerSentEvent]:
        """What is new since the last time."""
        subject, view, state, log = self.tail.subject, self.tail.view, self.tail.state, self.tail.log
        if subject is None or view is None:
            return []
        part, events = None, list[ServerSentEvent]()
        with suppress(EngineError):
            while part is None or part.more:
                part, data = log.read(self.cursor, self.wanted)
                self.cursor = part.cursor
                if part.lines:
                    events.append(self._event("log", data))
        events += self._curves()
        whole = subject.settled or (part is not None and live.log_complete(subject, part))
        if subject.ended and not whole:
            return events  # its end is told after the last of its log
        self.ended = subject.ended
        if state != self._state:
            self._state = state
            events.append(self._event("job", view.model_dump_json()))
        return events

    def _curves(self) -> Iterator[ServerSentEvent]:
        fresh = []
        for name, points in self.tail.series.items():
            if len(points) > self._points.get(name, 0):
                fresh.append(SeriesView(name=name, points=points[self._points.get(name, 0) :]))
                self._points[name] = len(points)
        if fresh:
            yield self._event("metrics", MetricsView(series=fresh).model_dump_json())

    def _event(self, kind: str, data: str) -> ServerSentEvent:
        return ServerSentEvent(event=kind, raw_data=data, id=str(self.cursor))


class Tails:
    """The jobs that somebody follows through this process."""

    def __init__(self) -> None:
        self._tails: dict[str, tuple[Tail, asyncio.Task[None]]] = {}

    @asynccontextmanager
    async def of(self, job_id: str, make: Callable[[], Tail]) -> AsyncIterator[Tail]:
        if job_id not in self._tails:
            tail = make()
            self._tails[job_id] = tail, asyncio.create_task(_watch(tail))
        tail, task = self._tails[job_id]
        tail.followers += 1
        try:
            yield tail
        finally:
            tail.followers -= 1
            if tail.followers == 0:
                del self._tails[job_id]
                task.cancel()


async def _watch(tail: Tail) -> None:
    """Look until nobody follows any more. A look that fails is no end: the database may be back at the next."""
    while True:
        news = False
        try:
            news = await run_in_threadpool(tail.look)
        except Exception:
            log.exception("job_look_failed", job=tail.job_id)
        if news:
            tail.changed.set()
            tail.changed = asyncio.Event()
        await asyncio.sleep(tail.clients.storage.look_every_s)


async def follow(tail: Tail, cursor: Cursor, wanted: LogFilter) -> AsyncIterator[ServerSentEvent | None]:
    """Events, until the job has ended, and None when nothing happens for a while: see `auth.while_allowed`.

    Async, for a sleeping stream must hold no thread.
    """
    follower = Follower(tail, cursor, wanted)
    while not (follower.ended or tail.gone):
        changed = tail.changed
        for event in await run_in_threadpool(follower.take) if follower.may_block else follower.take():
            yield event
        if not follower.ended:
            with suppress(TimeoutError):
                await asyncio.wait_for(changed.wait(), REMEMBER_S)
            yield None


def cursor_of(last_event_id: str | None) -> Cursor:
    """Where to go on; the start for an id that is not one of ours."""
    try:
        return Cursor.parse(last_event_id) if last_event_id else Cursor()
    except ValueError:
        return Cursor()
