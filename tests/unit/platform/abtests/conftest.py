"""An endpoint with two variants, a prediction log as replicas write it, outcomes, and the reconcilers that decide."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session, sessionmaker

from ratchet.abtests import service
from ratchet.abtests.reconcile import ABTestReconciler
from ratchet.abtests.schemas import NewABTest
from ratchet.abtests.tables import ABTest, ABTestLook
from ratchet.clients.fakes import FakeClients, fake_clients
from ratchet.db import db_now, now
from ratchet.endpoints import service as endpoints
from ratchet.endpoints.schemas import NewEndpoint, NewOutcome, NewVariant
from ratchet.endpoints.tables import Endpoint
from ratchet.models.reconcile import PromotionReconciler
from ratchet.models.schemas import CHAMPION
from ratchet.models.tables import AliasMove, Promotion
from ratchet.reconciler.loop import Reconciler, claim, step
from ratchet.settings import Settings

PROJECT = "default"


@dataclass
class World:
    sessions: sessionmaker[Session]
    clients: FakeClients
    storage: Path
    reconciler: ABTestReconciler
    numbers: Any = field(default_factory=itertools.count)

    def serve(self, **weights: float) -> None:
        """An endpoint whose n-th variant serves version n; version 1 is the champion."""
        mlflow, name = self.clients.mlflow, f"{PROJECT}.cancer"
        mlflow.ensure_registered_model(name)
        for number, _ in enumerate(weights, start=1):
            mlflow.create_version(name, source=f"models:/m-{number}", run_id="", tags={})
        mlflow.set_alias(name, CHAMPION, 1)
        variants = [
            NewVariant(name=name, model="cancer", version=number, weight=weight)
            for number, (name, weight) in enumerate(weights.items(), start=1)
        ]
        with self.sessions() as session:
            endpoints.create(session, PROJECT, NewEndpoint(name="cancer", variants=variants), "ann")
            session.commit()

    def start(self, **changes: Any) -> str:
        given = {"name": "first", "endpoint": "cancer", "control": "old", "treatment": "new", **changes}
        with self.sessions() as session:
            row = service.create(session, project=PROJECT, new=NewABTest(**given), actor="ann")
            session.commit()
            return row.id

    def arrive(self, variant: str, right: int, wrong: int = 0, **more: Any) -> None:
        """Callers whose prediction was right, and callers whose prediction was wrong, all with their outcomes."""
        self.outcomes(self.predict(variant, right, **more), 1)
        self.outcomes(self.predict(variant, wrong, **more), 0)

    def predict(
        self, variant: str, count: int, *, generation: int | None = None, keys: list[str] | None = None
    ) -> list[str]:
        """One file of the log with `count` requests, each predicted 1; returns their ids."""
        ids = [f"r{next(self.numbers)}" for _ in range(count)]
        if not ids:
            return ids
        with self.sessions() as session:
            moment = now(session)
        generation = self.endpoint().generation if generation is None else generation
        table = pa.table(
            {
                "request_id": pa.array(ids),
                "row": pa.array([0] * count, pa.int32()),
                "timestamp": pa.array([moment] * count, pa.timestamp("us", tz="UTC")),
                "variant": pa.array([variant] * count),
                "model": pa.array(["default.cancer"] * count),
                "model_version": pa.array([1] * count, pa.int64()),
                "key": pa.array(keys or [f"caller-{each}" for each in ids]),
                "propensity": pa.array([0.5] * count),
                "prediction": pa.array(["1"] * count),
                "generation": pa.array([generation] * count, pa.int64()),
                "feature.x": pa.array([0.5] * count),
            }
        )
        self._write(table, moment)
        return ids

    def _write(self, table: pa.Table, moment: datetime) -> None:
        folder = self.storage / f"predictions/{PROJECT}/cancer/date={moment:%Y-%m-%d}"
        folder.mkdir(parents=True, exist_ok=True)
        written = moment + timedelta(seconds=1)
        pq.write_table(table, folder / f"{written:%Y%m%dT%H%M%S%fZ}-r1-{next(self.numbers)}.parquet")

    def outcomes(self, request_ids: list[str], value: float | str) -> None:
        if not request_ids:
            return
        given = [NewOutcome(request_id=each, value=value) for each in request_ids]
        with self.sessions() as session:
            endpoints.record_outcomes(session, endpoints.get(session, PROJECT, "cancer"), given)
            session.commit()

    def give_weights(self, **weights: float) -> None:
        with self.sessions() as session:
            endpoints.set_weights(session, endpoints.get(session, PROJECT, "cancer"), weights, "ann")
            session.commit()

    def stop(self, test_id: str) -> None:
        with self.sessions() as session:
            service.stop(session, session.get_one(ABTest, test_id), actor="ann")
            session.commit()

    def gate(self, *, passed: bool, version: int = 2) -> str:
        """A promotion whose gate was evaluated without a move, as the gate step of a pipeline asks for it."""
        with self.sessions() as session:
            row = Promotion(
                id=f"promo-{next(self.numbers)}",
                project=PROJECT,
                model="cancer",
                version=version,
                alias=CHAMPION,
                kind="gate",
                gate={},
                move=False,
                status="passed" if passed else "refused",
                gate_passed=passed,
                previous_version=1,
                evidence={"rules": []},
                actor="ann",
                due_at=None,
            )
            session.add(row)
            session.commit()
            return row.id

    def look(self, reconciler: Reconciler[Any, Any, Any] | None = None) -> None:
        """One step of every row that is not done with, as if all were due and no lease of a crashed step were left."""
        reconciler = reconciler or self.reconciler
        with self.sessions() as session:
            due = update(reconciler.table).where(reconciler.table.due_at.is_not(None))
            session.execute(due.values(due_at=db_now(), lease_until=None))
            session.commit()
            claimed = claim(session, reconciler, 100)
        for row_id, lease in claimed:
            step(self.sessions, reconciler, row_id, lease)

    def move_aliases(self) -> None:
        for _ in range(4):
            self.look(PromotionReconciler(self.clients))

    def test(self, test_id: str) -> ABTest:
        with self.sessions() as session:
            return session.get_one(ABTest, test_id)

    def looks(self) -> int:
        with self.sessions() as session:
            return session.scalar(select(func.count()).select_from(ABTestLook)) or 0

    def endpoint(self) -> Endpoint:
        with self.sessions() as session:
            return endpoints.get(session, PROJECT, "cancer")

    def weights(self) -> dict[str, float]:
        return {variant.name: variant.weight for variant in self.endpoint().variants}

    def champion(self) -> int:
        return self.clients.mlflow.models[f"{PROJECT}.cancer"].aliases[CHAMPION]

    def moves(self) -> list[AliasMove]:
        with self.sessions() as session:
            return list(session.scalars(select(AliasMove).order_by(AliasMove.id)))


@pytest.fixture
def world(sessions: sessionmaker[Session], tmp_path: Path) -> World:
    storage = tmp_path / "storage"
    reconciler = ABTestReconciler(Settings(storage_uri=storage.as_uri()))
    world = World(sessions, fake_clients(), storage, reconciler)
    world.serve(old=0.5, new=0.5)
    return world
