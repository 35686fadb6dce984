"""What is read from MLflow and storage while somebody looks on: curves, trials, logs. No session is open here."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ratchet.clients.ports import Clients, EngineRefused, EngineUnavailable, MetricPoint
from ratchet.errors import Unavailable
from ratchet.jobs import logfiles
from ratchet.jobs.logfiles import Cursor, Line, LogPart
from ratchet.jobs.logfilter import LogFilter
from ratchet.jobs.results import MAX_METRICS, finite
from ratchet.jobs.schemas import LogEntryView, LogView, MetricPointView, SeriesView, TrialView
from ratchet.jobs.status import JobStatus
from ratchet.jobs.tables import Job

SETTLES_IN = timedelta(seconds=5)
LINES_AT_ONCE = 1_000


@dataclass(frozen=True)
class Subject:
    """The part of a job's row that is needed to look for it elsewhere."""

    id: str
    run_id: str | None
    experiment_id: str | None
    ended: bool
    settled: bool
    """It ended long enough ago: what a process of it that was killed printed last is in storage."""
    logs_deleted_at: datetime | None
    best_trial: str | None

    @classmethod
    def of(cls, row: Job, moment: datetime) -> Subject:
        """As of a moment of the database's clock."""
        return cls(
            id=row.id,
            run_id=row.run_id,
            experiment_id=row.experiment_id,
            ended=JobStatus(row.status).ended,
            settled=row.ended_at is not None and row.ended_at < moment - SETTLES_IN,
            logs_deleted_at=row.logs_deleted_at,
            best_trial=(row.result or {}).get("best_trial"),
        )


def series(clients: Clients, subject: Subject) -> list[SeriesView]:
    """The curve of each metric. `Unavailable` when MLflow does not answer."""
    if subject.run_id is None:
        return []
    with _answered():
        run = clients.mlflow.get_run(subject.run_id)
        names = sorted(run.metrics)[:MAX_METRICS] if run else []
        return [
            SeriesView(name=name, points=[_point(each) for each in clients.mlflow.metric_history(subject.run_id, name)])
            for name in names
        ]


def trials(clients: Clients, subject: Subject) -> list[TrialView]:
    """A sweep's trials, oldest first."""
    if subject.run_id is None or subject.experiment_id is None:
        return []
    with _answered():
        runs = clients.mlflow.children(subject.experiment_id, subject.run_id)
    return [
        TrialView(
            number=number,
            run_id=run.run_id,
            params=run.params,
            status=run.status.lower(),
            metrics=finite(run.metrics),
            best=run.run_id == subject.best_trial,
        )
        for number, run in enumerate(runs, start=1)
    ]


def log(
    clients: Clients, subject: Subject, cursor: Cursor, wanted: LogFilter, limit: int, *, tail: bool = False
) -> LogView:
    """A page of the log: after a cursor, or its end. `Unavailable` when the storage does not answer."""
    with _answered():
        found, load = logfiles.index(clients.storage, subject.id), logfiles.loader(clients.storage)
        last = tail and not cursor.positions
        part = logfiles.tail(load, found, wanted, limit) if last else logfiles.read(load, found, cursor, wanted, limit)
    return LogView(
        entries=[LogEntryView.of(line) for line in part.lines],
        cursor=str(part.cursor),
        complete=log_complete(subject, part),
        sources=sorted({source.name for source in found}, key=_natural),
        deleted_at=subject.logs_deleted_at,
    )


def log_complete(subject: Subject, part: LogPart) -> bool:
    return subject.ended and not part.more and (part.ended or subject.settled)


def log_file(clients: Clients, subject: Subject, wanted: LogFilter) -> Iterator[bytes]:
    """The whole log as text, a part at a time: time, level, source and text of each entry."""
    with _answered():
        found = logfiles.index(clients.storage, subject.id)
    lines: list[str] = []
    for line in logfiles.everything(logfiles.loader(clients.storage), found, wanted):
        lines.append(_written(line))
        if len(lines) >= LINES_AT_ONCE:
            yield "".join(lines).encode()
            lines = []
    yield "".join(lines).encode()


def _written(line: Line) -> str:
    (attempt, name), entry = line
    moment = datetime.fromtimestamp(entry.time, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return f"{moment} {entry.level:7} {attempt}/{name} | " + entry.text.replace("\n", "\n    ") + "\n"


def _natural(name: str) -> tuple[str, int]:
    """`rank-2` before `rank-10`."""
    head, _, number = name.rpartition("-")
    return (head, int(number)) if number.isdecimal() else (name, -1)


@contextmanager
def _answered() -> Iterator[None]:
    try:
        yield
    except (EngineUnavailable, EngineRefused) as error:
        raise Unavailable(error.message, hint="The job itself is not affected. Try again in a few seconds.") from error


def _point(point: MetricPoint) -> MetricPointView:
    value = point.value if math.isfinite(point.value) else None
    moment = datetime.fromtimestamp(point.timestamp_ms / 1000, UTC)
    return MetricPointView(step=point.step, value=value, timestamp=moment)
