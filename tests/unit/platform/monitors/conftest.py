"""Monitors over a served endpoint: the database, a fake MLflow, and drift-check jobs that a test ends."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session, sessionmaker

from ratchet.clients.fakes import FakeClients, fake_clients
from ratchet.db import db_now, now
from ratchet.endpoints import service as endpoints
from ratchet.endpoints.schemas import NewEndpoint, NewVariant
from ratchet.jobs import service as jobs
from ratchet.jobs.tables import Job
from ratchet.monitors import service
from ratchet.monitors.reconcile import CheckReconciler, MonitorReconciler
from ratchet.monitors.schemas import NewMonitor
from ratchet.monitors.status import MonitorStatus
from ratchet.monitors.tables import Alert, Check, Monitor
from ratchet.pipelines import service as pipelines
from ratchet.pipelines.schemas import NewPipeline
from ratchet.pipelines.tables import PipelineRun
from ratchet.reconciler.loop import Reconciler, claim, step
from ratchet.settings import Settings

PROJECT = "default"
DATA = {"uri": "sklearn://breast_cancer"}


@dataclass
class World:
    sessions: sessionmaker[Session]
    clients: FakeClients
    settings: Settings

    @property
    def ticks(self) -> MonitorReconciler:
        return MonitorReconciler(self.settings)

    @property
    def checking(self) -> CheckReconciler:
        return CheckReconciler(self.settings, self.clients)

    def serve(self, *variants: tuple[str, int | None, float]) -> None:
        new = [
            NewVariant(name=name, model="cancer", version=version, alias=None if version else "champion", weight=weight)
            for name, version, weight in variants
        ]
        with self.sessions() as session:
            endpoints.create(session, PROJECT, NewEndpoint(name="cancer", variants=new), "ann")
            session.commit()

    def add_pipeline(self) -> None:
        new = NewPipeline.model_validate(
            {
                "name": "retrain",
                "train": {"kind": "train", "data": DATA, "model": "cancer"},
                "gate": {"metric": "accuracy", "data": DATA},
                "endpoint": "cancer",
            }
        )
        with self.sessions() as session:
            pipelines.create(session, project=PROJECT, new=new, actor="ann")
            session.commit()

    def watch(self, **changes: Any) -> str:
        new = NewMonitor(**{"name": "drift", "endpoint": "cancer", "schedule": "0 * * * *", **changes})
        with self.sessions() as session:
            row = service.create(session, project=PROJECT, new=new, actor="ann")
            session.commit()
            return row.id

    def set_status(self, monitor_id: str, status: MonitorStatus) -> None:
        with self.sessions() as session:
            service.set_status(session, session.get_one(Monitor, monitor_id), status, actor="ann")
            session.commit()

    def hours_pass(self, monitor_id: str, hours: float = 1) -> datetime:
        """As if its next tick had been so many hours ago; returns that tick."""
        with self.sessions() as session:
            tick = now(session) - timedelta(hours=hours)
            row = session.get_one(Monitor, monitor_id)
            row.next_check_at = row.due_at = tick
            session.commit()
            return tick

    def check_now(self, monitor_id: str) -> str:
        with self.sessions() as session:
            row = service.start_check(
                session,
                session.get_one(Monitor, monitor_id),
                storage=self.settings.storage,
                scheduled_for=now(session),
                actor="ann",
            )
            session.commit()
            return row.id

    def look(self, reconciler: Reconciler[Any, Any, Any]) -> None:
        """One step of every row that is due at some time, as if it were now, whoever had claimed it."""
        with self.sessions() as session:
            due = update(reconciler.table).where(reconciler.table.due_at.is_not(None))
            session.execute(due.values(due_at=db_now(), lease_until=None))
            session.commit()
            claimed = claim(session, reconciler, 100)
        for row_id, lease in claimed:
            step(self.sessions, reconciler, row_id, lease)

    def end_jobs(self, status: str = "succeeded", result: dict[str, Any] | None = None, message: str = "") -> None:
        """Every job that has not ended does, having written `result` when there is one."""
        with self.sessions() as session:
            for job in session.scalars(select(Job).where(Job.ended_at.is_(None))):
                run = self.clients.mlflow.create_run("1", job.id, {})
                if result is not None:
                    self.clients.mlflow.artifacts[run.run_id, "drift.json"] = json.dumps(result).encode()
                job.status, job.run_id, job.message, job.ended_at = status, run.run_id, message, now(session)
            session.commit()

    def finish_checks(self, result: dict[str, Any]) -> None:
        self.look(self.checking)
        self.end_jobs(result=result)
        self.look(self.checking)

    def monitor(self, monitor_id: str) -> Monitor:
        with self.sessions() as session:
            return session.get_one(Monitor, monitor_id)

    def checks(self) -> list[Check]:
        return list(self._all(Check))

    def jobs(self) -> list[Job]:
        return list(self._all(Job))

    def alerts(self) -> list[Alert]:
        return list(self._all(Alert))

    def runs(self) -> list[PipelineRun]:
        return list(self._all(PipelineRun))

    def _all(self, table: Any) -> Iterable[Any]:
        with self.sessions() as session:
            return session.scalars(select(table).order_by(table.id)).all()


@pytest.fixture
def world(sessions: sessionmaker[Session], tmp_path: Path) -> World:
    with sessions() as session:
        jobs.ensure_cluster(session)
        session.commit()
    world = World(sessions, fake_clients(), Settings(storage_uri=(tmp_path / "storage").as_uri()))
    world.serve(("old", 3, 0.8), ("new", 4, 0.2))
    return world
