"""The writer of Serve's config against a real Serve: what it says of an endpoint is what a caller meets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker
from tests.accounts import token_of
from tests.integration.private_ray import await_value, private_ray
from tests.integration.test_serving import Threshold, register

from ratchet import db
from ratchet.clients.fakes import fake_clients
from ratchet.clients.ray_serve import RayServeClient
from ratchet.endpoints import service
from ratchet.endpoints.reconcile import ServingReconciler
from ratchet.endpoints.schemas import NewEndpoint, NewVariant
from ratchet.endpoints.tables import Endpoint
from ratchet.identity.roles import Role, Scope
from ratchet.projects.service import ensure_default
from ratchet.reconciler.loop import claim, step
from ratchet.settings import Settings

pytestmark = pytest.mark.real


class CountingServe(RayServeClient):
    puts = 0

    def put(self, config: Mapping[str, Any]) -> None:
        self.puts += 1
        super().put(config)


@dataclass
class Platform:
    sessions: sessionmaker[Session]
    reconciler: ServingReconciler
    serve: CountingServe
    token: str

    def change(self, action: Callable[[Session], Any]) -> None:
        with self.sessions() as session:
            action(session)
            session.commit()

    def endpoint(self) -> Endpoint | None:
        with self.sessions() as session:
            return session.scalar(select(Endpoint))

    def await_status(self, *wanted: str) -> Endpoint:
        """Look as often as the reconciler asks for, until the endpoint is so."""

        def reached() -> Endpoint | None:
            self.look()
            row = self.endpoint()
            return row if row is not None and row.status in wanted else None

        return await_value(reached, 150)

    def look(self) -> None:
        with self.sessions() as session:
            claimed = claim(session, self.reconciler, 1)
        for row_id, lease in claimed:
            step(self.sessions, self.reconciler, row_id, lease)

    def predict(self) -> dict[str, Any]:
        url = f"{self.reconciler.settings.serving}/default/limit/predict"
        headers = {"Authorization": f"Bearer {self.token}"}
        answer = httpx2.post(url, json={"inputs": [{"a": 1.0, "b": 2.0}]}, headers=headers, timeout=10)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found


@pytest.fixture
def platform(tmp_path: Path, sqlite_database: str) -> Iterator[Platform]:
    tracking = register(tmp_path, "default.threshold", [Threshold(0), Threshold(5), Threshold(0, works=False)])
    engine = db.open_engine(sqlite_database)
    sessions = db.session_factory(engine)
    with sessions() as session:
        ensure_default(session)
        _, token = token_of(session, "caller", role=Role.VIEWER, scope=Scope.PREDICT)
        service.make_serving_due(session)
        session.commit()
    with private_ray() as ray:
        settings = Settings(
            ray_address=ray.dashboard,
            serve_port=ray.serve_port,
            mlflow_job_url=tracking,
            storage_uri=(tmp_path / "storage").as_uri(),
        )
        serve = CountingServe(ray.dashboard, lambda: ray.token)
        clients = replace(fake_clients(), serve=serve)
        yield Platform(sessions, ServingReconciler(settings, clients), serve, token)
    engine.dispose()


def variant(name: str, version: int, weight: float) -> NewVariant:
    return NewVariant(name=name, model="threshold", version=version, weight=weight)


def test_an_endpoint_from_its_creation_to_its_end(platform: Platform) -> None:
    platform.look()
    assert platform.serve.get().get("applications", {}) == {}
    assert platform.serve.puts == 0

    new = NewEndpoint(name="limit", variants=[variant("a", 1, 1.0)])
    platform.change(lambda session: service.create(session, "default", new, "ann"))
    row = platform.await_status("ready", "failed", "degraded")
    assert (row.status, row.engine_status, row.observed_generation) == ("ready", "RUNNING", 1), row.message
    assert platform.serve.puts == 1
    assert (platform.predict()["variant"], platform.predict()["model"]) == ("a", "default.threshold")

    def replace_by(*variants: NewVariant) -> None:
        platform.change(
            lambda session: service.replace_variants(session, service.get(session, "default", "limit"), variants, "ann")
        )

    replace_by(variant("a", 1, 0.0), variant("b", 2, 1.0))
    row = platform.await_status("ready", "failed", "degraded")
    assert (row.status, row.observed_generation) == ("ready", 2), row.message
    assert platform.serve.puts == 2
    assert (platform.predict()["variant"], platform.predict()["model_version"]) == ("b", 2)

    replace_by(variant("b", 2, 0.5), variant("c", 3, 0.5))
    row = platform.await_status("failed", "degraded", "ready")
    assert (row.status, row.reason, row.observed_generation) == ("degraded", "variant_failed", 2)
    assert "the matrix is singular" in (row.message or "")
    assert platform.predict()["variant"] == "b"

    platform.change(lambda session: service.delete(session, service.get(session, "default", "limit"), "ann"))

    def gone() -> bool | None:
        platform.look()
        return True if platform.endpoint() is None else None

    await_value(gone, 60)
    assert "default.limit" not in platform.serve.get()["applications"]
