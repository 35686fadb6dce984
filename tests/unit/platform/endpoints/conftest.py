"""The part of the control plane that serves: the database, fakes of Serve and MLflow, and replicas in miniature."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session, sessionmaker

from ratchet.clients.fakes import FakeClients, FakeRayServe, fake_clients
from ratchet.db import db_now
from ratchet.endpoints import service
from ratchet.endpoints.reconcile import ServingReconciler
from ratchet.endpoints.schemas import NewEndpoint, NewVariant
from ratchet.endpoints.tables import Endpoint, Serving
from ratchet.events import Event
from ratchet.reconciler.loop import claim, step
from ratchet.settings import Settings

PROJECT = "default"


@dataclass
class Replicas:
    """What the replicas behind the ingress say: of what Serve was given, unless a test says otherwise."""

    serve: FakeRayServe
    says: dict[str, dict[str, Any] | None] = field(default_factory=dict)
    """By path, over the default."""

    def status(self, path: str, replicas: int) -> dict[str, Any] | None:
        if path in self.says:
            return self.says[path]
        config = next(app for app in self.serve.config["applications"] if app["route_prefix"] == path)
        config = config["deployments"][0]["user_config"]
        return {"generation": config["generation"], "variants": [self.row(each) for each in config["variants"]]}

    @staticmethod
    def row(variant: dict[str, Any], state: str = "ready", message: str = "") -> dict[str, Any]:
        model = variant["model"]
        return {
            **{"name": variant["name"], "model": model["name"], "version": model["version"]},
            **{"weight": variant["weight"], "state": state, "message": message},
        }


@dataclass
class World:
    sessions: sessionmaker[Session]
    clients: FakeClients
    settings: Settings
    replicas: Replicas
    reconciler: ServingReconciler

    def register(self, model: str, versions: int, **aliases: int) -> None:
        name, mlflow = f"{PROJECT}.{model}", self.clients.mlflow
        mlflow.ensure_registered_model(name)
        for number in range(versions):
            mlflow.create_version(name, source=f"models:/m-{number}", run_id="", tags={})
        for alias, version in aliases.items():
            mlflow.set_alias(name, alias, version)

    def create(self, name: str = "cancer", variants: Sequence[dict[str, Any]] | None = None, **more: Any) -> None:
        new = NewEndpoint(name=name, variants=variants or [variant("a", 1)], **more)
        with self.sessions() as session:
            service.create(session, PROJECT, new, "ann")
            session.commit()

    def change(self, action: Callable[[Session, Endpoint], Any], name: str = "cancer") -> None:
        with self.sessions() as session:
            action(session, service.get(session, PROJECT, name))
            session.commit()

    def replace(self, *variants: dict[str, Any], name: str = "cancer") -> None:
        new = [NewVariant(**each) for each in variants]
        self.change(lambda session, row: service.replace_variants(session, row, new, "ann"), name)

    def endpoint(self, name: str = "cancer") -> Endpoint:
        with self.sessions() as session:
            return service.get(session, PROJECT, name)

    def names(self) -> list[str]:
        with self.sessions() as session:
            return list(session.scalars(select(Endpoint.name)))

    def serving(self) -> Serving:
        with self.sessions() as session:
            return session.get_one(Serving, "serving")

    def actions(self, name: str = "cancer") -> list[str]:
        row = self.endpoint(name)
        with self.sessions() as session:
            return list(session.scalars(select(Event.action).where(Event.target_id == row.id).order_by(Event.id)))

    def configs(self) -> dict[str, dict[str, Any]]:
        """The `user_config` that Serve has, by application."""
        applications = self.clients.serve.config["applications"]
        return {app["name"]: app["deployments"][0]["user_config"] for app in applications}

    def look(self, times: int = 1) -> None:
        """A look at what is served, as if it were due and no lease of a crashed one were left."""
        for _ in range(times):
            with self.sessions() as session:
                session.execute(update(Serving).values(due_at=db_now(), lease_until=None))
                session.commit()
                claimed = claim(session, self.reconciler, 1)
            for row_id, lease in claimed:
                step(self.sessions, self.reconciler, row_id, lease)


def variant(name: str, version: int | None = None, weight: float = 1.0, **more: Any) -> dict[str, Any]:
    return {"name": name, "model": "cancer", "version": version, "weight": weight, **more}


@pytest.fixture
def world(sessions: sessionmaker[Session]) -> World:
    clients = fake_clients()
    settings = Settings(storage_uri="file:///srv/storage", serve_port=8123, mlflow_job_url="http://mlflow:5000")
    replicas = Replicas(clients.serve)
    with sessions() as session:
        service.make_serving_due(session)
        session.commit()
    return World(sessions, clients, settings, replicas, ServingReconciler(settings, clients, replicas))
