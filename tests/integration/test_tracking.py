"""Real MLflow behind the API, asked by its own client: as a member, as a stranger, as a job."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import mlflow
import pytest
import uvicorn
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from requests import HTTPError
from sqlalchemy.orm import Session, sessionmaker
from tests.accounts import token_of
from tests.integration.private_ray import await_value, free_ports

from ratchet import db
from ratchet.app import create_app
from ratchet.clients.fakes import fake_clients
from ratchet.identity import jobtokens
from ratchet.identity.jobtokens import JobClaim
from ratchet.identity.roles import Role
from ratchet.jobs.tables import Attempt, Job
from ratchet.projects.tables import Project
from ratchet.settings import Settings

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

SECRET = "x" * 40


@dataclass
class Tracking:
    url: str
    mlflow: str
    settings: Settings
    sessions: sessionmaker[Session]
    tokens: dict[str, str]
    patch: pytest.MonkeyPatch

    def as_(self, who: str) -> MlflowClient:
        """MLflow takes the token of the environment at each call."""
        self.patch.setenv("MLFLOW_TRACKING_TOKEN", self.tokens[who])
        mlflow.set_tracking_uri(self.url)
        return MlflowClient(self.url)


@contextlib.contextmanager
def served(app: Any) -> Iterator[str]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        runner = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
        thread = threading.Thread(target=runner.run, args=([listener],))
        thread.start()
        await_value(lambda: runner.started or None, 30)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/mlflow"
        runner.should_exit = True
        thread.join(15)


@contextlib.contextmanager
def tracking_server(folder: Path) -> Iterator[str]:
    (port,) = free_ports(1)
    (folder / "mlflow.token").write_text(SECRET)
    command = [sys.executable, "-m", "ratchet_pipelines.tracking_server", f"--port={port}"]
    command += [f"--artifacts={(folder / 'artifacts').as_uri()}", f"--token-file={folder / 'mlflow.token'}"]
    environment = {**os.environ, "MLFLOW_BACKEND_STORE_URI": f"sqlite:///{folder}/mlflow.db"}
    process = subprocess.Popen(command, env=environment, start_new_session=True)
    url = f"http://127.0.0.1:{port}/mlflow"

    def answers() -> bool | None:
        assert process.poll() is None
        with contextlib.suppress(httpx2.HTTPError):
            # Not /health: the first to ask for anything else waits while the schema is made.
            search, known = (
                f"{url}/api/2.0/mlflow/experiments/search?max_results=1",
                {"Authorization": f"Bearer {SECRET}"},
            )
            return True if httpx2.get(search, headers=known, timeout=60).status_code == 200 else None
        return None

    try:
        await_value(answers, 90)
        yield url
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(20)


@pytest.fixture(scope="module")
def tracking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tracking]:
    folder: Path = tmp_path_factory.mktemp("tracking")
    with tracking_server(folder) as upstream, pytest.MonkeyPatch.context() as patch:
        for name, value in {"MAX_RETRIES": "0", "TIMEOUT": "30"}.items():
            patch.setenv(f"MLFLOW_HTTP_REQUEST_{name}", value)
        settings = Settings(
            home=folder,
            database_url=f"sqlite:///{folder}/ratchet.db",
            storage_uri=(folder / "storage").as_uri(),
            mlflow_url=upstream,
            mlflow_token_file=folder / "mlflow.token",
        )
        db.upgrade(settings.database)
        app = create_app(settings, fake_clients())
        with served(app) as url, app.state.sessions() as session:
            session.add(Project(name="other"))
            session.flush()
            tokens = {
                "editor": token_of(session, "editor", role=Role.EDITOR)[1],
                "viewer": token_of(session, "viewer", role=Role.VIEWER)[1],
                "stranger": token_of(session, "stranger", role=Role.ADMIN, project="other")[1],
            }
            session.commit()
            yield Tracking(url, upstream, settings, app.state.sessions, tokens, patch)


def refused(call: Callable[[], Any], code: str) -> None:
    with pytest.raises((MlflowException, HTTPError)) as error:  # of its API, of a file
        call()
    assert code in str(error.value)


class Twice(mlflow.pyfunc.PythonModel):
    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        return model_input * 2


def test_mlflow_itself_is_closed(tracking: Tracking) -> None:
    search = f"{tracking.mlflow}/api/2.0/mlflow/experiments/search?max_results=1"
    assert httpx2.get(search).status_code == 401
    assert httpx2.get(search, headers={"Authorization": f"Bearer {'y' * 40}"}).status_code == 401
    assert httpx2.get(search, headers={"Authorization": f"Bearer {SECRET}"}).status_code == 200


def test_a_member_works_with_the_plain_client(tracking: Tracking) -> None:
    tracking.as_("editor")
    mlflow.set_experiment("default")
    with mlflow.start_run() as run:
        mlflow.log_param("a", 1)
        mlflow.log_metrics({"loss": 0.5}, step=1)
        mlflow.log_dict({"b": 2}, "facts/b.json")
        with mlflow.start_run(nested=True):
            mlflow.log_metric("loss", 0.4)
        info = mlflow.pyfunc.log_model(name="model", python_model=Twice(), pip_requirements=[])
    version = mlflow.register_model(info.model_uri, "default.twice")
    assert [each.name for each in mlflow.search_experiments()] == ["default"]

    client = tracking.as_("viewer")
    assert client.get_run(run.info.run_id).data.metrics == {"loss": 0.5}
    assert mlflow.artifacts.load_dict(f"runs:/{run.info.run_id}/facts/b.json") == {"b": 2}
    assert len(mlflow.search_runs(experiment_names=["default"])) == 2
    assert mlflow.pyfunc.load_model(f"models:/default.twice/{version.version}").predict(2) == 4
    refused(lambda: client.log_metric(run.info.run_id, "loss", 0.1), "PERMISSION_DENIED")

    client = tracking.as_("stranger")
    assert mlflow.search_experiments() == []
    assert client.search_registered_models() == []
    refused(lambda: client.get_run(run.info.run_id), "RESOURCE_DOES_NOT_EXIST")
    refused(lambda: client.get_registered_model("default.twice"), "RESOURCE_DOES_NOT_EXIST")
    refused(lambda: client.download_artifacts(run.info.run_id, "facts/b.json"), "RESOURCE_DOES_NOT_EXIST")
    refused(lambda: client.create_experiment("default/x"), "RESOURCE_DOES_NOT_EXIST")


def test_a_job_logs_into_its_own_run_until_it_ends(tracking: Tracking) -> None:
    client = tracking.as_("editor")
    mlflow.set_experiment("default")
    experiment = mlflow.get_experiment_by_name("default")
    assert experiment is not None
    own, neighbour = (client.create_run(experiment.experiment_id).info.run_id for _ in range(2))
    with tracking.sessions() as session:
        row = {"kind": "train", "name": "j", "spec": {}, "created_by": "ann", "cpus": 1, "gpus": 0}
        session.add(Job(id="job-1", project="default", **row))
        session.flush()
        session.add(Attempt(job_id="job-1", number=1, submission_id="job-1-1"))
        session.commit()
    claim = JobClaim("job-1", 1, experiment.experiment_id, own)
    tracking.tokens["job"] = jobtokens.sign(tracking.settings.secret_key, claim)
    client = tracking.as_("job")
    with mlflow.start_run(run_id=own):
        mlflow.log_metric("loss", 0.3)
        mlflow.log_dict({"b": 2}, "b.json")
        mlflow.pyfunc.log_model(name="model", python_model=Twice(), pip_requirements=[])
        with mlflow.start_run(nested=True):
            mlflow.log_metric("loss", 0.2)
    refused(lambda: client.log_metric(neighbour, "loss", 1.0), "PERMISSION_DENIED")
    refused(lambda: client.log_dict(neighbour, {"b": 2}, "b.json"), "PERMISSION_DENIED")
    refused(lambda: client.create_registered_model("default.mine"), "PERMISSION_DENIED")
    with tracking.sessions() as session:
        attempt = session.get_one(Attempt, ("job-1", 1))
        attempt.ended_at = db.now(session)
        session.commit()
    await_value(lambda: dead(client, own) or None, 5)


def dead(client: MlflowClient, run_id: str) -> bool:
    try:
        client.get_run(run_id)
    except MlflowException as error:
        return "401" in str(error)
    return False
