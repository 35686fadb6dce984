"""Jobs through the platform's own reconcilers, with a real Ray and a real MLflow; and the clients against both."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from pydantic import TypeAdapter
from sqlalchemy.orm import Session, sessionmaker
from tests.integration.private_ray import await_value, private_ray
from tests.integration.test_training import mlflow_server

from ratchet import db
from ratchet.clients import connect
from ratchet.clients.ports import Clients, EngineRefused
from ratchet.jobs import live, service
from ratchet.jobs.cluster import ClusterReconciler
from ratchet.jobs.live import Subject
from ratchet.jobs.logfiles import Cursor
from ratchet.jobs.logfilter import LogFilter
from ratchet.jobs.reconcile import JobReconciler
from ratchet.jobs.status import JobStatus
from ratchet.jobs.tables import CLUSTER, Cluster, Job
from ratchet.projects.service import ensure_default
from ratchet.queue.reconcile import QueueReconciler
from ratchet.reconciler.loop import Loop
from ratchet.settings import Settings
from ratchet_pipelines.spec import JobSpec, RunTag

pytestmark = pytest.mark.real
SPECS: TypeAdapter[JobSpec] = TypeAdapter(JobSpec)
TRAIN = {"kind": "train", "data": {"uri": "sklearn://breast_cancer"}, "params": {"epochs": 3}, "model": "cancer"}


@dataclass
class Platform:
    sessions: sessionmaker[Session]
    clients: Clients

    def submit(self, **changes: Any) -> str:
        with self.sessions() as session:
            spec = SPECS.validate_python({**TRAIN, **changes})
            row = service.submit(session, project="default", spec=spec, actor="ann")
            session.commit()
            return row.id

    def job(self, job_id: str) -> Job:
        with self.sessions() as session:
            return session.get_one(Job, job_id)

    def cancel(self, job_id: str) -> None:
        with self.sessions() as session:
            service.cancel(session, session.get_one(Job, job_id), actor="ann")
            session.commit()

    def ended(self, job_id: str) -> Job:
        return await_value(lambda: row if JobStatus((row := self.job(job_id)).status).ended else None, 150)


@contextmanager
def running_platform(folder: Path, **changes: Any) -> Iterator[Platform]:
    """All of it in `folder`; `changes` are settings."""
    with mlflow_server(folder) as mlflow_url, private_ray() as ray:
        settings = Settings(
            database_url=f"sqlite:///{folder}/ratchet.db",
            storage_uri=(folder / "storage").as_uri(),
            ray_address=ray.dashboard,
            ray_token=ray.token,  # type: ignore[arg-type] - pydantic makes a secret of it
            mlflow_url=mlflow_url,
            mlflow_job_url=mlflow_url,
            **changes,
        )
        db.upgrade(settings.database)
        sessions, clients = db.session_factory(db.open_engine(settings.database)), connect(settings)
        with sessions() as session:
            ensure_default(session)
            service.ensure_cluster(session)
            session.commit()
        loop = Loop(sessions, [ClusterReconciler(clients), QueueReconciler(settings), JobReconciler(settings, clients)])
        thread = Thread(target=loop.run)
        thread.start()
        yield Platform(sessions, clients)
        loop.stop()
        thread.join(60)


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    with running_platform(tmp_path_factory.mktemp("jobs")) as platform:
        yield platform


def test_a_training_becomes_a_version_under_candidate(platform: Platform) -> None:
    started = time.monotonic()
    job_id = platform.submit(resources={"workers": 2})
    job = platform.ended(job_id)
    assert job.status == "succeeded", (job.message, platform.clients.jobs.logs(f"{job_id}-1"))
    print(f"submitted to registered: {time.monotonic() - started:.1f} s")
    assert (job.model_name, job.model_version) == ("default.cancer", 1)
    assert job.result is not None
    assert job.result["primary_metric"] == "test/accuracy"
    assert job.metrics["val/loss"] is not None
    mlflow = platform.clients.mlflow
    model = mlflow.get_registered_model("default.cancer")
    assert model is not None
    assert model.aliases == {"candidate": 1}
    version = mlflow.get_version("default.cancer", 1)
    assert version is not None
    assert (version.run_id, version.tags[RunTag.JOB]) == (job.run_id, job_id)
    assert mlflow.find_version("default.cancer", job.run_id or "") == version
    assert [each.name for each in mlflow.list_registered_models("default.")] == ["default.cancer"]
    run = mlflow.get_run(job.run_id or "")
    assert run is not None
    assert run.status == "FINISHED"
    assert mlflow.get_artifact(run.run_id, "data.json")
    assert mlflow.get_artifact(run.run_id, "no.json") is None
    subject = Subject.of(job, datetime.now(UTC))
    curves = {each.name: len(each.points) for each in live.series(platform.clients, subject)}
    assert curves["val/loss"] == 3
    log = live.log(platform.clients, subject, Cursor(), LogFilter(), 1_000)
    assert log.sources == ["driver", "rank-0", "rank-1"]
    by_source = {each: [entry.text for entry in log.entries if entry.source == each] for each in log.sources}
    assert any(line.startswith("Done in") for line in by_source["driver"])
    assert any(line.startswith("Epoch 3 of 3") for line in by_source["rank-0"])
    assert log.complete


def test_data_that_cannot_be_read_is_a_failed_job_that_says_so(platform: Platform) -> None:
    job = platform.ended(platform.submit(data={"uri": "file:///nowhere.parquet"}))
    assert (job.status, job.reason) == ("failed", "data_error")
    assert "/nowhere.parquet" in job.message
    assert len(job.attempts) == 1


def test_a_running_job_is_cancelled_and_its_run_is_killed(platform: Platform) -> None:
    job_id = platform.submit(params={"epochs": 10_000, "patience": 10_000})
    await_value(lambda: row if "val/loss" in (row := platform.job(job_id)).metrics else None, 120)
    platform.cancel(job_id)
    job = platform.ended(job_id)
    assert (job.status, job.message) == ("cancelled", "ann asked for it to stop.")
    run = platform.clients.mlflow.get_run(job.run_id or "")
    assert run is not None
    assert run.status == "KILLED"
    log = live.log(platform.clients, Subject.of(job, datetime.now(UTC)), Cursor(), LogFilter(source="driver"), 1_000)
    assert f"Stopped: {job_id}." in [entry.text for entry in log.entries]


def test_a_training_makes_room_at_a_checkpoint_and_goes_on_from_there(platform: Platform) -> None:
    long = {"epochs": 10_000, "patience": 10_000}
    low = platform.submit(params=long, resources={"workers": 2}, preemptible=True, priority=-1, model=None)
    await_value(lambda: row if "val/loss" in (row := platform.job(low)).metrics else None, 120)
    high = platform.submit(resources={"workers": 2}, model=None)
    assert platform.ended(high).status == "succeeded"
    attempts = platform.job(low).attempts
    assert (attempts[0].status, attempts[0].reason) == ("lost", "preempted")

    def steps() -> list[int]:
        history = platform.clients.mlflow.metric_history(platform.job(low).run_id or "", "val/loss")
        return [point.step for point in history]

    saved = len(steps())
    await_value(lambda: len(steps()) > saved or None, 150)
    platform.cancel(low)
    assert platform.ended(low).attempt == 2
    assert steps() == list(range(1, len(steps()) + 1)), "an epoch was lost, or trained twice"


def test_the_clients_against_the_real_engines(platform: Platform) -> None:
    with platform.sessions() as session:
        cluster = session.get_one(Cluster, CLUSTER)
        assert (cluster.status, cluster.cpus, cluster.gpus) == ("ready", 2, 0)
        assert cluster.memory_bytes > 100_000_000
    jobs, mlflow = platform.clients.jobs, platform.clients.mlflow
    for _ in range(2):  # the second time Ray answers 500: the id is there
        jobs.submit("job-x-1", entrypoint="echo hello", env={}, metadata={"job": "x"})
    info = await_value(lambda: found if (found := jobs.get("job-x-1")) and found.status.terminal else None)
    assert (info.status, info.exit_code) == ("SUCCEEDED", 0)
    assert "hello" in (jobs.logs("job-x-1") or "")
    jobs.stop("job-x-1")
    assert jobs.get("job-y-1") is None
    jobs.stop("job-y-1")

    experiment = mlflow.ensure_experiment("other")
    assert mlflow.ensure_experiment("other") == experiment
    assert mlflow.find_run(experiment, RunTag.JOB, "job-x") is None
    run = mlflow.create_run(experiment, "x", {str(RunTag.JOB): "job-x"})
    child = mlflow.create_run(experiment, "t", {"mlflow.parentRunId": run.run_id})
    found = mlflow.find_run(experiment, RunTag.JOB, "job-x")
    assert found is not None
    assert (found.run_id, found.status, found.name) == (run.run_id, "RUNNING", "x")
    assert [each.run_id for each in mlflow.children(experiment, run.run_id)] == [child.run_id]
    mlflow.set_tags(run.run_id, {"a": "b"})
    mlflow.end_run(run.run_id, "KILLED")
    found = mlflow.get_run(run.run_id)
    assert found is not None
    assert (found.status, found.tags["a"], found.ended) == ("KILLED", "b", True)
    mlflow.resume_run(run.run_id)
    found = mlflow.get_run(run.run_id)
    assert found is not None
    assert not found.ended
    assert mlflow.get_run("0" * 32) is None

    assert mlflow.get_registered_model("other.m") is None
    mlflow.ensure_registered_model("other.m")
    mlflow.ensure_registered_model("other.m")
    assert mlflow.get_version("other.m", 1) is None
    with pytest.raises(EngineRefused):
        mlflow.set_alias("other.m", "champion", 1)
    mlflow.delete_alias("other.m", "champion")
