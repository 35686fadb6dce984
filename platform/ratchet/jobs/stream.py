"""A job as it happens, as server-sent events: `log`, `metrics`, `job`; the last is the job once it has ended.

An event's id holds how far the log was sent, so that a reader who comes back (`Last-Event-ID`) misses nothing of it and
sees nothing of it twice. Metrics and the job's state are sent whole at the start.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from fastapi.sse import ServerSentEvent
from sqlalchemy.orm import Session, sessionmaker

from ratchet.clients.ports import Clients
from ratchet.db import read_only
from ratchet.errors import Unavailable
from ratchet.jobs import live, service
from ratchet.jobs.live import Subject
from ratchet.jobs.schemas import JobView, MetricsView, SeriesView

LOOK_EVERY_S = 1.0


@dataclass
class Follower:
    """What one reader was sent so far."""

    sessions: sessionmaker[Session]
    clients: Clients
    public_url: str
    project: str
    job_id: str
    offset: int = 0
    ended: bool = False
    _sent: str = ""
    _metrics: dict[str, float | None] | None = None
    _points: dict[str, int] = field(default_factory=dict)

    def look(self) -> list[ServerSentEvent]:
        """What is new. Blocks for as long as the database, Ray and MLflow take."""
        with read_only(self.sessions) as session:
            row = service.get(session, self.project, self.job_id)
            view, subject = JobView.of(row, self.public_url), Subject.of(row)
        try:
            events = [*self._log(subject), *self._curves(view, subject)]
        except Unavailable:
            if not subject.ended:
                return self._state(view)  # its engine_status tells that Ray or MLflow does not answer
            events = []
        self.ended = subject.ended
        return [*events, *self._state(view)]

    def _log(self, subject: Subject) -> Iterator[ServerSentEvent]:
        while True:
            part = live.log(self.clients, subject, self.offset)
            if not part.text:
                return
            self.offset = part.next_offset
            yield self._event("log", {"text": part.text, "next_offset": part.next_offset})

    def _curves(self, view: JobView, subject: Subject) -> Iterator[ServerSentEvent]:
        if view.metrics == self._metrics:
            return
        fresh = []
        for each in live.series(self.clients, subject):
            points = each.points[self._points.get(each.name, 0) :]
            self._points[each.name] = len(each.points)
            if points:
                fresh.append(SeriesView(name=each.name, points=points))
        self._metrics = view.metrics
        if fresh:
            yield self._event("metrics", MetricsView(series=fresh))

    def _state(self, view: JobView) -> list[ServerSentEvent]:
        # Every look of a reconciler touches updated_at; that alone is no news.
        state = view.model_dump_json(exclude={"updated_at"})
        if state == self._sent:
            return []
        self._sent = state
        return [self._event("job", view)]

    def _event(self, kind: str, data: object) -> ServerSentEvent:
        return ServerSentEvent(event=kind, data=data, id=str(self.offset))


def offset_of(last_event_id: str | None) -> int:
    """Where to go on; the start for an id that is not one of ours."""
    return int(last_event_id) if last_event_id and last_event_id.isascii() and last_event_id.isdigit() else 0
