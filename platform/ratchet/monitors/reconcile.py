"""Makes a check of every tick, a job of every check, and an alert of every check that found drift."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from ratchet import events
from ratchet.clients.ports import Clients, EngineError
from ratchet.cron import next_tick
from ratchet.db import now
from ratchet.endpoints import service as endpoints
from ratchet.endpoints.tables import Endpoint
from ratchet.errors import RatchetError
from ratchet.jobs import service as jobs
from ratchet.jobs.status import JobStatus
from ratchet.jobs.tables import Job
from ratchet.models.service import registered_name
from ratchet.monitors import service
from ratchet.monitors.status import CheckStatus, MonitorStatus, Verdict
from ratchet.monitors.tables import Check, Monitor
from ratchet.reconciler.loop import Reconciler
from ratchet.settings import Settings
from ratchet_pipelines.spec import DriftCheck, ModelVersion

LOOK_EVERY = timedelta(seconds=0.5)


class MonitorReconciler(Reconciler[Monitor, datetime, None]):
    """Due at its next tick."""

    table = Monitor

    def __init__(self, settings: Settings) -> None:
        self.storage = settings.storage

    def load(self, session: Session, row: Monitor) -> datetime | None:
        return row.next_check_at if row.status == MonitorStatus.ACTIVE else None

    def act(self, seen: datetime) -> None:
        return None

    def record(self, session: Session, row: Monitor, seen: datetime, found: None) -> timedelta | None:
        moment = now(session)
        if row.status != MonitorStatus.ACTIVE or row.next_check_at is None:
            return None
        if row.next_check_at <= moment:
            tick = row.next_check_at
            service.start_check(session, row, storage=self.storage, scheduled_for=tick, actor=events.SYSTEM)
            row.next_check_at = next_tick(row.schedule, moment)
        return row.next_check_at - moment


@dataclass(frozen=True)
class Seen:
    status: CheckStatus
    job_status: JobStatus | None
    job_message: str
    run_id: str | None


@dataclass(frozen=True)
class Found:
    """`result` is None when there is nothing yet; `missing` when the job has ended well without writing one."""

    result: dict[str, Any] | None = None
    missing: bool = False


class CheckReconciler(Reconciler[Check, Seen, Found]):
    """pending: submit the job. running: wait for it, then read its verdict from MLflow."""

    table = Check

    def __init__(self, settings: Settings, clients: Clients) -> None:
        self.storage = settings.storage
        self.clients = clients

    def load(self, session: Session, row: Check) -> Seen | None:
        if row.status not in {CheckStatus.PENDING, CheckStatus.RUNNING}:
            return None
        job = session.get(Job, row.job_id) if row.job_id else None
        return Seen(
            status=CheckStatus(row.status),
            job_status=JobStatus(job.status) if job else None,
            job_message=job.message if job else "",
            run_id=job.run_id if job else None,
        )

    def act(self, seen: Seen) -> Found:
        if seen.job_status is not JobStatus.SUCCEEDED or seen.run_id is None:
            return Found()
        try:
            written = self.clients.mlflow.get_artifact(seen.run_id, "drift.json")
        except EngineError:
            return Found()
        return Found(missing=True) if written is None else Found(json.loads(written))

    def record(self, session: Session, row: Check, seen: Seen, found: Found) -> timedelta | None:
        if seen.status is CheckStatus.PENDING:
            return self._submit(session, row)
        if seen.job_status in {JobStatus.FAILED, JobStatus.CANCELLED}:
            service.move_check(session, row, CheckStatus.FAILED, message=seen.job_message)
            return None
        if found.missing:
            message = f"The job {row.job_id} has ended well and wrote no drift.json."
            service.move_check(session, row, CheckStatus.FAILED, message=message)
            return None
        if found.result is None:
            return LOOK_EVERY
        row.verdict, row.result = found.result["verdict"], found.result
        service.move_check(session, row, CheckStatus.SUCCEEDED, message=_in_words(found.result))
        if row.verdict == Verdict.DRIFT:
            service.raise_alert(session, session.get_one(Monitor, row.monitor_id), row)
        return None

    def _submit(self, session: Session, row: Check) -> timedelta | None:
        monitor = session.get_one(Monitor, row.monitor_id)
        try:
            endpoint = endpoints.get(session, row.project, monitor.endpoint)
            spec = self._spec(monitor, row, endpoint)
            job = jobs.submit(session, project=row.project, spec=spec, actor=events.SYSTEM)
        except RatchetError as error:
            service.move_check(session, row, CheckStatus.FAILED, message=error.detail)
            return None
        row.job_id = job.id
        service.move_check(session, row, CheckStatus.RUNNING)
        return LOOK_EVERY

    def _spec(self, monitor: Monitor, row: Check, endpoint: Endpoint) -> DriftCheck:
        """Measured against the training data of the version that has most of the traffic."""
        resolved = [variant for variant in endpoint.variants if variant.version is not None]
        if not resolved:
            raise RatchetError(f"Endpoint {endpoint.name!r} serves no model version yet: there is no reference.")
        main = max(resolved, key=lambda variant: variant.weight)
        assert main.version is not None
        return DriftCheck(
            predictions=f"{self.storage}/predictions/{row.project}/{endpoint.name}",
            model=ModelVersion(name=registered_name(row.project, main.model), version=main.version),
            since=row.since.isoformat(),
            until=row.until.isoformat(),
            max_rows=monitor.max_rows,
            min_rows=monitor.min_rows,
            alpha=monitor.alpha,
            report=row.report,
        )


def _in_words(found: dict[str, Any]) -> str:
    rows, columns = found["rows"], found.get("columns", [])
    if found["verdict"] == Verdict.INSUFFICIENT_DATA:
        return f"Only {rows['current']:,} requests in the window: nothing is said of drift."
    drifted = [column["column"] for column in columns if column["drifted"]]
    against = f"{rows['current']:,} requests against {rows['reference']:,} rows of training data"
    chance = f"a check without drift says so with probability at most {found['alpha']:g}"
    if not drifted:
        return f"No drift in {len(columns)} columns: {against}."
    named = ", ".join(drifted[:5]) + (", …" if len(drifted) > 5 else "")
    return f"Drift in {len(drifted)} of {len(columns)} columns ({named}): {against}; {chance}."
