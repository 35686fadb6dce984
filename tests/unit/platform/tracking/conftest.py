"""MLflow in miniature behind the API: two projects with an experiment, a run and a model each."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import httpx2
import pytest

from ratchet.tracking.owners import Owners

EXPERIMENTS = {"1": "default", "2": "other", "3": "default/side", "0": "Default"}
RUNS = {
    # run: (experiment, parent run)
    "mine": ("1", ""),
    "child": ("1", "mine"),
    "neighbour": ("1", ""),
    "theirs": ("2", ""),
}
MODELS = {"m-mine": ("1", "mine"), "m-neighbour": ("1", "neighbour"), "m-theirs": ("2", "theirs")}
REGISTERED = ["default.cancer", "other.cancer", "defaultish.cancer"]


@dataclass
class Mlflow:
    seen: list[tuple[str, str, Any]] = field(default_factory=list)
    """Method, path and query or body of every call that was let through."""

    def answer(self, request: httpx2.Request) -> httpx2.Response:
        path = request.url.path.removeprefix("/mlflow")
        asked = dict(request.url.params)
        short = path.removeprefix("/api/2.0/mlflow/")
        body = request.content
        self.seen.append((request.method, path, json.loads(body) if body[:1] == b"{" else asked))
        if short == "experiments/get":
            name = EXPERIMENTS.get(asked["experiment_id"])
            return _found(name, {"experiment": {"experiment_id": asked["experiment_id"], "name": name}})
        if short == "runs/get":
            found = RUNS.get(asked.get("run_id", ""))
            experiment, parent = found or ("", "")
            tags = [{"key": "mlflow.parentRunId", "value": parent}] if parent else []
            info = {"run_id": asked.get("run_id"), "experiment_id": experiment}
            return _found(found, {"run": {"info": info, "data": {"tags": tags}}})
        if short.startswith("logged-models/") and request.method == "GET":
            experiment, run = MODELS.get(short.removeprefix("logged-models/"), ("", ""))
            return _found(run, {"model": {"info": {"experiment_id": experiment, "source_run_id": run}}})
        if short == "experiments/search":
            return httpx2.Response(200, json={"experiments": [{"name": name} for name in EXPERIMENTS.values()]})
        if short == "registered-models/search":
            return httpx2.Response(200, json={"registered_models": [{"name": name} for name in REGISTERED]})
        if short == "model-versions/search":
            return httpx2.Response(200, json={"model_versions": [{"name": name} for name in REGISTERED]})
        return httpx2.Response(200, json={"let": "through"})


def _found(there: Any, body: dict[str, Any]) -> httpx2.Response:
    missing = {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": ""}
    return httpx2.Response(200, json=body) if there else httpx2.Response(404, json=missing)


@pytest.fixture
def mlflow(api: Any) -> Mlflow:
    fake = Mlflow()
    url = "http://mlflow.test/mlflow"
    state = api.http.app.state
    state.mlflow_upstream = httpx2.AsyncClient(base_url=url, transport=httpx2.MockTransport(fake.answer))
    quiet = Mlflow()  # what the proxy itself looks up is no call of the caller's
    state.mlflow_owners = Owners(httpx2.AsyncClient(base_url=url, transport=httpx2.MockTransport(quiet.answer)))
    return fake
