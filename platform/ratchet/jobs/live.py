"""What is read from Ray and MLflow while somebody looks on: curves, trials, logs. No database session is open here."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from ratchet.clients.ports import Clients, EngineRefused, EngineUnavailable, MetricPoint
from ratchet.errors import Unavailable
from ratchet.jobs import logfiles, steps
from ratchet.jobs.logfiles import LogPart
from ratchet.jobs.schemas import MetricPointView, SeriesView, TrialView
from ratchet.jobs.status import JobStatus
from ratchet.jobs.tables import Job


@dataclass(frozen=True)
class Subject:
    """The part of a job's row that is needed to look for it elsewhere."""

    id: str
    run_id: str | None
    experiment_id: str | None
    attempts: tuple[tuple[int, bool], ...]
    """(number, ended) of each."""
    ended: bool
    best_trial: str | None

    @classmethod
    def of(cls, row: Job) -> Subject:
        return cls(
            id=row.id,
            run_id=row.run_id,
            experiment_id=row.experiment_id,
            attempts=tuple((attempt.number, attempt.ended_at is not None) for attempt in row.attempts),
            ended=JobStatus(row.status).ended,
            best_trial=(row.result or {}).get("best_trial"),
        )


def series(clients: Clients, subject: Subject) -> list[SeriesView]:
    """The curve of each metric. `Unavailable` when MLflow does not answer."""
    if subject.run_id is None:
        return []
    with _answered():
        run = clients.mlflow.get_run(subject.run_id)
        names = sorted(run.metrics)[: steps.MAX_METRICS] if run else []
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
            metrics=steps.finite(run.metrics),
            best=run.run_id == subject.best_trial,
        )
        for number, run in enumerate(runs, start=1)
    ]


def log(clients: Clients, subject: Subject, offset: int) -> LogPart:
    """The driver's log from a character on. `Unavailable` when neither Ray nor the storage answers."""
    with _answered():
        return logfiles.read(clients, subject.id, subject.attempts, offset, ended=subject.ended)


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
