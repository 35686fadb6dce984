"""Pipelines over the reconcilers that do their steps, with fakes; jobs and A/B tests are ended by the test."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session, sessionmaker

from ratchet import events
from ratchet.abtests import service as abtests
from ratchet.abtests.status import ABTestStatus
from ratchet.abtests.tables import ABTest
from ratchet.clients.fakes import FakeClients, fake_clients
from ratchet.db import db_now, now, read_only
from ratchet.endpoints import service as endpoints
from ratchet.endpoints.reconcile import ServingReconciler
from ratchet.endpoints.schemas import NewEndpoint, NewVariant
from ratchet.endpoints.tables import Endpoint
from ratchet.jobs import service as jobs
from ratchet.jobs.tables import Job
from ratchet.models.reconcile import PromotionReconciler
from ratchet.models.schemas import CHAMPION
from ratchet.models.tables import AliasMove
from ratchet.pipelines import service
from ratchet.pipelines.reconcile import PipelineReconciler, PipelineRunReconciler
from ratchet.pipelines.schemas import NewPipeline
from ratchet.pipelines.tables import Pipeline, PipelineRun, PipelineStep
from ratchet.reconciler.loop import Reconciler, claim, step
from ratchet.settings import Settings

PROJECT = "default"
DATA = {"uri": "sklearn://breast_cancer"}
MODEL = f"{PROJECT}.cancer"


@dataclass
class Replicas:
    """What the replicas say: that they serve what Serve was given, but for the variants that can't be loaded."""

    clients: FakeClients
    failing: dict[str, str] = field(default_factory=dict)
    """Messages by variant."""
    loaded: dict[str, Any] = field(default_factory=dict)

    def status(self, path: str, replicas: int) -> dict[str, Any]:
        config = next(app for app in self.clients.serve.config["applications"] if app["route_prefix"] == path)
        config = config["deployments"][0]["user_config"]
        if not any(each["name"] in self.failing for each in config["variants"]):
            self.loaded = config
        return {
            "generation": self.loaded["generation"],
            "variants": [
                {
                    **{"name": each["name"], "weight": each["weight"]},
                    **{"model": each["model"]["name"], "version": each["model"]["version"]},
                    "state": "failed" if each["name"] in self.failing else "ready",
                    "message": self.failing.get(each["name"], ""),
                }
                for each in config["variants"]
            ],
        }


@dataclass
class World:
    sessions: sessionmaker[Session]
    clients: FakeClients
    replicas: Replicas
    runner: PipelineRunReconciler = field(default_factory=PipelineRunReconciler)
    numbers: Any = field(default_factory=itertools.count)

    @property
    def workers(self) -> list[Reconciler[Any, Any, Any]]:
        """Who does the work of the steps, beside the cluster."""
        settings = Settings(storage_uri="memory://storage")
        return [PromotionReconciler(self.clients), ServingReconciler(settings, self.clients, self.replicas)]

    def create(self, name: str = "retrain", **changes: Any) -> str:
        new = NewPipeline.model_validate(
            {
                "name": name,
                "train": {"kind": "train", "data": DATA, "model": "cancer"},
                "gate": {"metric": "accuracy", "minimum": 0.9, "data": DATA},
                "endpoint": "cancer",
                **changes,
            }
        )
        with self.sessions() as session:
            row = service.create(session, project=PROJECT, new=new, actor="ann")
            session.commit()
            return row.id

    def start(self, name: str = "retrain") -> str:
        with self.sessions() as session:
            pipeline = service.get(session, PROJECT, name)
            run = service.start(session, pipeline, trigger_kind="manual", trigger_ref="ann", actor="ann")
            session.commit()
            return run.id

    def cancel(self, run_id: str) -> None:
        with self.sessions() as session:
            service.cancel(session, session.get_one(PipelineRun, run_id), actor="ann")
            session.commit()

    # -- time passes

    def look(self, reconciler: Reconciler[Any, Any, Any] | None = None) -> None:
        """One step of every row that is due at some time, as if it were now and no lease of a crashed one were left."""
        reconciler = reconciler or self.runner
        table = reconciler.table
        with read_only(self.sessions) as session:
            if session.scalar(select(table.id).where(table.due_at.is_not(None)).limit(1)) is None:
                return
        with self.sessions() as session:
            due = update(table).where(table.due_at.is_not(None))
            session.execute(due.values(due_at=db_now(), lease_until=None))
            session.commit()
            claimed = claim(session, reconciler, 100)
        for row_id, lease in claimed:
            step(self.sessions, reconciler, row_id, lease)

    def work(self, rounds: int = 4) -> None:
        """The workers go on: in four rounds as far as they can without a job or an A/B test ending."""
        for _ in range(rounds):
            for worker in self.workers:
                self.look(worker)

    def reach(self, run_id: str, step_name: str) -> None:
        """Until the step has begun; each step before it goes well."""
        self.look_until(run_id, lambda: self.steps(run_id)[step_name] != "pending")
        assert self.steps(run_id)[step_name] == "running"

    def finish(self, run_id: str) -> PipelineRun:
        self.look_until(run_id, lambda: self.run(run_id).status != "running")
        return self.run(run_id)

    def look_until(self, run_id: str, reached: Callable[[], bool], looks: int = 25) -> None:
        for _ in range(looks):
            if reached():
                return
            self.go_well()
            self.work(rounds=2)
            self.look()
        assert reached(), (self.run(run_id).message, self.steps(run_id))

    def go_well(self) -> None:
        """What runs of the pipeline on the cluster and on the traffic now ends well."""
        self.end_job("train")
        self.end_job("evaluate")
        self.decide("promote", "better")

    # -- what a test does to the world

    def end_job(self, kind: str, status: str = "succeeded", message: str = "", accuracy: float = 0.97) -> None:
        """The job of this kind that has not ended does; a train job has made a version, an evaluate job its metrics."""
        with self.sessions() as session:
            job = session.scalar(select(Job).where(Job.kind == kind, Job.ended_at.is_(None)))
            if job is None:
                return
            run = self.clients.mlflow.create_run("1", job.id, {})
            job.status, job.run_id, job.message, job.ended_at = status, run.run_id, message, now(session)
            job.reason = None if status == "succeeded" else "user_error"
            if status == "succeeded" and kind == "train":
                source = f"models:/m-{next(self.numbers)}"
                job.model_version = self.clients.mlflow.create_version(MODEL, source=source, run_id="", tags={})
            if status == "succeeded" and kind == "evaluate":
                for model in job.spec["models"]:
                    value = 0.95 if model["version"] == 1 else accuracy
                    self.clients.mlflow.log(run.run_id, {f"v{model['version']}/accuracy": [value]})
            session.commit()

    def decide(self, decision: str, reason: str, message: str = "A verdict.") -> None:
        """The pipeline's A/B test is decided."""
        with self.sessions() as session:
            query = select(ABTest).where(ABTest.status == "running", ABTest.created_by == events.SYSTEM)
            test = session.scalar(query)
            if test is not None:
                abtests.end(session, test, ABTestStatus.DECIDED, decision, reason, message, events.SYSTEM)
            session.commit()

    def stop_abtest(self) -> None:
        with self.sessions() as session:
            abtests.stop(session, session.scalars(select(ABTest).where(ABTest.status == "running")).one(), actor="ann")
            session.commit()

    def set_weights(self, **weights: float) -> None:
        with self.sessions() as session:
            endpoints.set_weights(session, endpoints.get(session, PROJECT, "cancer"), weights, "ann")
            session.commit()

    def tick_was(self, pipeline_id: str, ago: timedelta) -> datetime:
        """As if the pipeline's next tick had been so long ago; returns that tick."""
        with self.sessions() as session:
            tick = now(session) - ago
            row = session.get_one(Pipeline, pipeline_id)
            row.next_run_at = row.due_at = tick
            session.commit()
            return tick

    def look_at_schedules(self) -> None:
        self.look(PipelineReconciler())

    # -- what there is

    def run(self, run_id: str) -> PipelineRun:
        with self.sessions() as session:
            return session.get_one(PipelineRun, run_id)

    def runs(self) -> list[PipelineRun]:
        with self.sessions() as session:
            return list(session.scalars(select(PipelineRun).order_by(PipelineRun.id)))

    def steps(self, run_id: str) -> dict[str, str]:
        return {row.name: row.status for row in self.step_rows(run_id)}

    def step_rows(self, run_id: str) -> list[PipelineStep]:
        with self.sessions() as session:
            return service.steps(session, session.get_one(PipelineRun, run_id))

    def pipeline(self, pipeline_id: str) -> Pipeline:
        with self.sessions() as session:
            return session.get_one(Pipeline, pipeline_id)

    def jobs(self, kind: str) -> list[Job]:
        with self.sessions() as session:
            return list(session.scalars(select(Job).where(Job.kind == kind).order_by(Job.id)))

    def abtests(self) -> list[ABTest]:
        with self.sessions() as session:
            return list(session.scalars(select(ABTest).order_by(ABTest.id)))

    def weights(self) -> dict[str, float]:
        with self.sessions() as session:
            return {row.name: row.weight for row in endpoints.get(session, PROJECT, "cancer").variants}

    def aliases(self) -> dict[str, int]:
        return self.clients.mlflow.models[MODEL].aliases

    def champion_moves(self) -> list[AliasMove]:
        with self.sessions() as session:
            return list(session.scalars(select(AliasMove).where(AliasMove.alias == CHAMPION).order_by(AliasMove.id)))

    def begin_anew(self) -> None:
        """A world with nothing but version 1 as champion, that has all the traffic."""
        self.clients.mlflow.models.clear()
        self.replicas.failing.clear()
        self.clients.mlflow.ensure_registered_model(MODEL)
        self.clients.mlflow.create_version(MODEL, source="models:/m-first", run_id="", tags={})
        self.clients.mlflow.set_alias(MODEL, CHAMPION, 1)
        first = NewVariant(name="first", model="cancer", version=1)
        with self.sessions() as session:
            for table in (PipelineStep, PipelineRun, Pipeline, ABTest, Job, AliasMove, Endpoint):
                session.execute(delete(table))
            jobs.ensure_cluster(session)
            endpoints.create(session, PROJECT, NewEndpoint(name="cancer", variants=[first]), "ann")
            session.commit()
        self.work()


@pytest.fixture
def world(sessions: sessionmaker[Session]) -> World:
    clients = fake_clients()
    world = World(sessions, clients, Replicas(clients))
    world.begin_anew()
    return world
