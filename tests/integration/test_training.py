"""Jobs on a real Ray, submitted over REST as the platform does it, into a real MLflow server."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import mlflow
import pandas as pd
import pytest
from mlflow import MlflowClient
from tests.integration.private_ray import PrivateRay, await_value, free_ports, private_ray

from ratchet_pipelines.spec import ExitCode

pytestmark = pytest.mark.real
ENDED = {"SUCCEEDED", "FAILED", "STOPPED"}


@dataclass
class Job:
    id: str
    run_id: str
    cluster: Cluster

    def info(self) -> dict[str, Any]:
        return self.cluster.rays("GET", f"/api/jobs/{self.id}-1").json()  # type: ignore[no-any-return]

    def log(self) -> str:
        return str(self.cluster.rays("GET", f"/api/jobs/{self.id}-1/logs").json()["logs"])

    def ended(self) -> dict[str, Any]:
        return await_value(lambda: info if (info := self.info())["status"] in ENDED else None, 150)

    def succeeded(self) -> mlflow.entities.Run:
        assert self.ended()["status"] == "SUCCEEDED", self.log()
        return self.run()

    def run(self) -> mlflow.entities.Run:
        return self.cluster.mlflow.get_run(self.run_id)


@dataclass
class Cluster:
    ray: PrivateRay
    mlflow: MlflowClient
    mlflow_url: str
    experiment: str
    storage: str

    def rays(self, method: str, path: str, body: dict[str, Any] | None = None) -> httpx2.Response:
        headers = {"Authorization": f"Bearer {self.ray.token}"}
        return httpx2.request(method, f"{self.ray.dashboard}{path}", json=body, headers=headers, timeout=30)

    def submit(self, spec: dict[str, Any]) -> Job:
        job = Job(f"job-{uuid.uuid4().hex[:12]}", self.mlflow.create_run(self.experiment).info.run_id, self)
        envelope = {
            "job": job.id,
            "attempt": 1,
            "project": "demo",
            "run_id": job.run_id,
            "storage": self.storage,
            "spec": spec,
        }
        variables = {
            "RATCHET_JOB": json.dumps(envelope),
            "MLFLOW_TRACKING_URI": self.mlflow_url,
            "RAY_JOB_STOP_SIGNAL": "SIGINT",
            "RAY_JOB_STOP_WAIT_TIME_S": "20",
        }
        body = {
            "entrypoint": f"{sys.executable} -m ratchet_pipelines.run",
            "submission_id": f"{job.id}-1",
            "runtime_env": {"env_vars": variables},
        }
        self.rays("POST", "/api/jobs/", body).raise_for_status()
        return job


@contextlib.contextmanager
def mlflow_server(folder: Path) -> Iterator[str]:
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += [
        "--backend-store-uri",
        f"sqlite:///{folder}/mlflow.db",
        "--artifacts-destination",
        f"{folder}/artifacts",
    ]
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    process = subprocess.Popen(command, env=environment, start_new_session=True)

    def answers() -> bool | None:
        assert process.poll() is None
        with contextlib.suppress(httpx2.HTTPError):
            return True if httpx2.get(f"{url}/health", timeout=5).status_code == 200 else None
        return None

    try:
        await_value(answers, 90)
        yield url
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(20)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("training")
    with mlflow_server(folder) as url, private_ray() as ray:
        mlflow.set_tracking_uri(url)
        client = MlflowClient(url)
        yield Cluster(ray, client, url, client.create_experiment("demo"), (folder / "storage").as_uri())


@pytest.fixture(scope="module")
def trained(cluster: Cluster) -> mlflow.entities.Run:
    spec = {"kind": "train", "data": {"uri": "sklearn://breast_cancer"}, "resources": {"workers": 2}, "seed": 5}
    return cluster.submit(spec).succeeded()


def test_two_workers_train_a_model_that_is_logged_with_all_it_was_made_of(
    cluster: Cluster, trained: mlflow.entities.Run, tmp_path: Path
) -> None:
    data, run_id = trained.data, trained.info.run_id
    assert trained.info.status == "FINISHED"
    assert data.params["params.epochs"] == "30"
    assert data.params["resources.workers"] == "2"
    losses = cluster.mlflow.get_metric_history(run_id, "val/loss")
    assert [point.step for point in losses] == list(range(1, len(losses) + 1))
    assert len(losses) > 10
    assert data.metrics["test/accuracy"] > 0.9
    assert data.tags["ratchet.primary_metric"] == "test/accuracy"
    assert data.tags["mlflow.source.git.commit"]

    model = mlflow.pyfunc.load_model(data.tags["ratchet.model_uri"])
    assert cluster.mlflow.get_logged_model(model.metadata.model_id).source_run_id == run_id
    example = model.input_example
    answers = model.predict(example)
    assert list(answers.columns) == ["prediction", "probability_0", "probability_1"]
    assert model.get_raw_model().predict_rows(example.to_dict("records")) == answers.to_dict("records")

    folder = Path(cluster.mlflow.download_artifacts(run_id, "", str(tmp_path)))
    facts = json.loads((folder / "data.json").read_text())
    assert facts["hash"] == data.tags["ratchet.data_hash"]
    assert json.loads((folder / "spec.json").read_text())["seed"] == 5
    assert "torch==" in (folder / "requirements.txt").read_text()
    profile = pd.read_parquet(folder / "reference" / "profile.parquet")
    assert len(profile) == facts["split"]["train"]
    assert {"mean radius", "target", "prediction"} <= set(profile.columns)


def test_versions_are_measured_on_the_same_rows(cluster: Cluster, trained: mlflow.entities.Run) -> None:
    client = cluster.mlflow
    uri = trained.data.tags["ratchet.model_uri"]
    client.create_registered_model("demo.cancer")
    for _ in range(2):
        client.create_model_version("demo.cancer", uri, trained.info.run_id, model_id=uri.removeprefix("models:/"))
    models = [{"name": "demo.cancer", "version": version} for version in (1, 2)]
    data = {"uri": "sklearn://breast_cancer"}
    run = cluster.submit({"kind": "evaluate", "data": data, "models": models}).succeeded()
    for version in (1, 2):
        for metric in ("accuracy", "f1_macro", "log_loss", "roc_auc"):
            measured = run.data.metrics[f"v{version}/{metric}"]
            assert measured == pytest.approx(trained.data.metrics[f"test/{metric}"])
    assert run.data.metrics["test/rows"] > 50
    assert run.data.tags["ratchet.data_hash"] == trained.data.tags["ratchet.data_hash"]
    assert run.data.tags["ratchet.greater_is_better"] == "true"

    other = {**data, "test_fraction": 0.3}
    refused = cluster.submit({"kind": "evaluate", "data": other, "models": models[:1]})
    assert refused.ended()["driver_exit_code"] == ExitCode.USER_ERROR
    assert "another split" in refused.run().data.tags["ratchet.message"]


SWEEP = {
    "kind": "sweep",
    "data": {"uri": "sklearn://wine"},
    "search": {"learning_rate": {"kind": "uniform", "low": 1e-5, "high": 3e-2, "log": True}},
    "grace_period": 2,
}


def test_a_trial_of_a_sweep_may_have_workers(cluster: Cluster) -> None:
    half = {"workers": 2, "cpus_per_worker": 0.5}
    run = cluster.submit({**SWEEP, "params": {"epochs": 4}, "trials": 2, "resources": half}).succeeded()
    children = cluster.mlflow.search_runs([cluster.experiment], f"tags.`mlflow.parentRunId` = '{run.info.run_id}'")
    best = {child.info.run_id: child.data.metrics["best/val/loss"] for child in children}
    assert run.data.tags["ratchet.best_trial"] == min(best, key=lambda run_id: best[run_id])
    assert run.data.metrics["val/loss"] == pytest.approx(min(best.values()))


def test_a_sweep_keeps_its_trials_as_children_and_the_model_of_the_best(cluster: Cluster) -> None:
    run = cluster.submit({**SWEEP, "params": {"epochs": 12}, "trials": 4}).succeeded()
    children = cluster.mlflow.search_runs([cluster.experiment], f"tags.`mlflow.parentRunId` = '{run.info.run_id}'")
    assert len(children) == 4
    assert {child.info.status for child in children} == {"FINISHED"}
    best = {child.info.run_id: child.data.metrics["best/val/loss"] for child in children}
    assert run.data.tags["ratchet.best_trial"] == min(best, key=lambda run_id: best[run_id])
    assert run.data.metrics["val/loss"] == pytest.approx(min(best.values()))
    rate = next(c for c in children if c.info.run_id == run.data.tags["ratchet.best_trial"]).data.params
    model = mlflow.pyfunc.load_model(run.data.tags["ratchet.model_uri"])
    logged = cluster.mlflow.get_logged_model(model.metadata.model_id)
    assert logged.params["learning_rate"] == rate["params.learning_rate"]
    epochs = [len(cluster.mlflow.get_metric_history(c.info.run_id, "val/loss")) for c in children]
    assert max(epochs) == 12
    assert min(epochs) < 12, "ASHA stopped none"


@pytest.mark.parametrize(
    ("spec", "code", "says"),
    [
        ({"kind": "train", "data": {"uri": "file:///nowhere.csv"}}, ExitCode.DATA_ERROR, "nothing at"),
        (
            {"kind": "train", "data": {"uri": "sklearn://wine"}, "params": {"epoch": 1}},
            ExitCode.USER_ERROR,
            "Did you mean 'epochs'?",
        ),
    ],
)
def test_a_job_that_can_not_be_done_says_why(cluster: Cluster, spec: dict[str, Any], code: ExitCode, says: str) -> None:
    job = cluster.submit(spec)
    ended = job.ended()
    assert (ended["status"], ended["driver_exit_code"]) == ("FAILED", code)
    run = job.run()
    assert run.info.status == "FAILED"
    assert says in run.data.tags["ratchet.message"]
    assert says in job.log().strip().splitlines()[-1]


def test_a_job_that_is_stopped_while_it_trains_ends_its_run(cluster: Cluster) -> None:
    spec = {
        "kind": "train",
        "data": {"uri": "sklearn://digits"},
        "params": {"epochs": 10_000, "patience": 10_000},
    }
    job = cluster.submit(spec)
    await_value(lambda: job.run().data.metrics.get("val/loss"), 90)
    cluster.rays("POST", f"/api/jobs/{job.id}-1/stop").raise_for_status()
    assert job.ended()["status"] == "STOPPED"
    assert job.run().info.status == "KILLED"
    assert "ratchet.model_uri" not in job.run().data.tags
