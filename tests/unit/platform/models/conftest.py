"""The part of the control plane that moves aliases: the database, a fake MLflow, and evaluate jobs that a test ends."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session, sessionmaker

from ratchet.clients.fakes import FakeClients, fake_clients
from ratchet.db import db_now
from ratchet.events import Event
from ratchet.jobs.status import JobStatus
from ratchet.jobs.tables import Job
from ratchet.models import service
from ratchet.models.reconcile import PromotionReconciler
from ratchet.models.schemas import CHAMPION, Gate
from ratchet.models.tables import AliasMove, Promotion
from ratchet.reconciler.loop import claim, step

PROJECT = "default"
GATE = Gate.model_validate({"metric": "accuracy", "minimum": 0.9, "data": {"uri": "sklearn://breast_cancer"}})


@dataclass
class World:
    sessions: sessionmaker[Session]
    clients: FakeClients
    reconciler: PromotionReconciler
    numbers: Any = field(default_factory=itertools.count)

    def register(self, versions: int, *, champion: int | None = None, model: str = "cancer") -> None:
        name = service.registered_name(PROJECT, model)
        self.clients.mlflow.ensure_registered_model(name)
        for number in range(versions):
            self.clients.mlflow.create_version(name, source=f"models:/m-{number}", run_id=f"{number:032x}", tags={})
        if champion is not None:
            self.clients.mlflow.set_alias(name, CHAMPION, champion)

    def aliases(self, model: str = "cancer") -> dict[str, int]:
        return self.clients.mlflow.models[service.registered_name(PROJECT, model)].aliases

    def ask(self, version: int, *, gate: Gate = GATE, move: bool = True, model: str = "cancer") -> str:
        with self.sessions() as session:
            row = service.request_promotion(session, PROJECT, model, version, CHAMPION, gate, "ann", move)
            session.commit()
            return row.id

    def row(self, promotion_id: str) -> Promotion:
        with self.sessions() as session:
            return session.get_one(Promotion, promotion_id)

    def moves(self, model: str = "cancer") -> list[AliasMove]:
        with self.sessions() as session:
            return list(session.scalars(select(AliasMove).where(AliasMove.model == model).order_by(AliasMove.id)))

    def actions(self, target: str) -> list[str]:
        with self.sessions() as session:
            return list(session.scalars(select(Event.action).where(Event.target_id == target).order_by(Event.id)))

    def jobs(self, promotion_id: str) -> list[Job]:
        with self.sessions() as session:
            return list(session.scalars(select(Job).where(Job.name == promotion_id).order_by(Job.id)))

    def look(self, *, only: str | None = None) -> None:
        """One step of every promotion, as if all were due and no lease of a crashed step were left."""
        with self.sessions() as session:
            due = update(Promotion).values(due_at=db_now(), lease_until=None)
            session.execute(due.where(Promotion.id == only) if only else due.where(Promotion.due_at.is_not(None)))
            session.commit()
            claimed = claim(session, self.reconciler, 100)
        for row_id, lease in claimed:
            step(self.sessions, self.reconciler, row_id, lease)

    def look_until(self, reached: Callable[[], bool], looks: int = 12) -> None:
        for _ in range(looks):
            if reached():
                return
            self.look()
        assert reached(), "not reached"

    def end_job(self, promotion_id: str, metrics: Mapping[str, float], status: JobStatus = JobStatus.SUCCEEDED) -> None:
        """The newest evaluate job of a promotion ends, having logged `metrics`."""
        mlflow = self.clients.mlflow
        run = mlflow.create_run("1", promotion_id, {"ratchet.data_hash": "abc"})
        mlflow.log(run.run_id, {name: [value] for name, value in metrics.items()})
        with self.sessions() as session:
            job = session.get_one(Job, self.jobs(promotion_id)[-1].id)
            job.status, job.run_id, job.message = (
                status.value,
                run.run_id,
                "" if status is JobStatus.SUCCEEDED else "No.",
            )
            session.commit()

    def decide(self, promotion_id: str, metrics: Mapping[str, float]) -> Promotion:
        """Take a promotion from its request to its end."""
        self.look_until(lambda: bool(self.jobs(promotion_id)))
        self.end_job(promotion_id, metrics)
        self.look_until(lambda: self.row(promotion_id).decided_at is not None)
        return self.row(promotion_id)


@pytest.fixture
def world(sessions: sessionmaker[Session]) -> World:
    clients = fake_clients()
    return World(sessions, clients, PromotionReconciler(clients))
