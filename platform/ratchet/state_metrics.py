"""What the database says of the platform as a whole, for Prometheus: read when it is scraped."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from ratchet import __version__
from ratchet.db import Base, Leased, now
from ratchet.jobs.status import JobStatus
from ratchet.jobs.tables import Job
from ratchet.reconciler import heartbeat


def registry(session: Session) -> CollectorRegistry:
    """A registry of its own, that holds as long as the session."""
    found = CollectorRegistry()
    found.register(_State(session))
    return found


class _State(Collector):
    def __init__(self, session: Session) -> None:
        self._session = session

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        build = GaugeMetricFamily("ratchet_build_info", "The version that runs.", labels=["version"])
        build.add_metric([__version__], 1)
        yield build
        yield from self._jobs()
        yield self._lag()
        yield from self._reconcilers()

    def _jobs(self) -> Iterator[Metric]:
        found = self._session.execute(select(Job.status, func.count()).group_by(Job.status)).all()
        counts = {status: number for status, number in found}  # noqa: C416 (rows are no pairs to mypy)
        jobs = GaugeMetricFamily("ratchet_jobs", "Jobs by status.", labels=["status"])
        for status in JobStatus:
            jobs.add_metric([status.value], counts.get(status.value, 0))
        yield jobs
        queue = GaugeMetricFamily("ratchet_queue_length", "Jobs that wait.")
        queue.add_metric([], counts.get(JobStatus.QUEUED.value, 0))
        yield queue

    def _lag(self) -> Metric:
        """How long the row that has waited longest for its reconciler is due; 0 where none waits."""
        moment = now(self._session)
        lag = GaugeMetricFamily("ratchet_reconciler_lag_seconds", "The age of the oldest due row.", labels=["table"])
        for mapper in Base.registry.mappers:
            table = mapper.class_
            if issubclass(table, Leased):
                oldest = self._session.scalar(select(func.min(table.due_at)).where(table.due_at <= moment))
                seconds = 0.0 if oldest is None else max(0.0, (moment - oldest).total_seconds())
                lag.add_metric([str(mapper.local_table)], seconds)
        return lag

    def _reconcilers(self) -> Iterator[Metric]:
        living = heartbeat.living(self._session)
        count = GaugeMetricFamily("ratchet_reconcilers", "Reconcilers that have been heard of lately.")
        count.add_metric([], len(living))
        yield count
        if living:
            age = (now(self._session) - max(each.beat_at for each in living)).total_seconds()
            beat = GaugeMetricFamily("ratchet_reconciler_beat_age_seconds", "Since a reconciler was last heard of.")
            beat.add_metric([], max(0.0, age))
            yield beat
