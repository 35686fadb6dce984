"""An endpoint on a real Serve behind its real ingress, configured over REST as the platform does it."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx2
import mlflow
import numpy as np
import pandas as pd
import psutil
import pyarrow.dataset as ds
import pytest
from mlflow.models import infer_signature
from tests.integration.private_ray import PrivateRay, await_value, private_ray

pytestmark = pytest.mark.real
TOKEN = "secret-token"
FRAME = pd.DataFrame({"a": [0.5, -2.0], "b": [3.0, 4.0]})


class Threshold(mlflow.pyfunc.PythonModel):
    """Says 1 above its threshold."""

    def __init__(self, threshold: float, works: bool = True) -> None:
        self.threshold = threshold
        self.works = works

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> pd.DataFrame:
        if not self.works:
            raise ValueError("the matrix is singular")
        p = 1 / (1 + np.exp(self.threshold - model_input["a"].to_numpy()))
        return pd.DataFrame({"prediction": (p > 0.5).astype(int), "probability_0": 1 - p, "probability_1": p})


def register(folder: Path, name: str, models: list[Threshold]) -> str:
    """Versions 1, 2, … of a registered model in a database of the test's own; its URI."""
    uri = f"sqlite:///{folder}/mlflow.db"
    mlflow.set_tracking_uri(uri)
    mlflow.set_experiment(experiment_id=mlflow.create_experiment(name, artifact_location=f"file://{folder}/artifacts"))
    signature = infer_signature(FRAME, Threshold(0).predict(None, FRAME))
    for model in models:
        with mlflow.start_run():
            mlflow.pyfunc.log_model(
                name="model",
                python_model=model,
                signature=signature,
                input_example=FRAME,
                registered_model_name=name,
                pip_requirements=[],
            )
    return uri


@dataclass
class Endpoint:
    ray: PrivateRay
    tracking: str
    storage: Path
    name: str = "iris"
    replicas: int = 1
    config: dict[str, Any] = field(default_factory=dict)

    def configure(self, generation: int, *variants: tuple[str, int, float]) -> None:
        self.config = {
            "endpoint": self.name,
            "project": "demo",
            "salt": "salt",
            "variants": [
                {"name": name, "model": {"name": "threshold", "version": version}, "weight": weight}
                for name, version, weight in variants
            ],
            "token_hashes": [sha256(TOKEN.encode()).hexdigest()],
            "generation": generation,
        }
        self.ray.deploy(self.application())

    def application(self) -> dict[str, Any]:
        return {
            "name": f"demo.{self.name}",
            "route_prefix": f"/demo/{self.name}",
            "import_path": "ratchet_pipelines.serving.app:build",
            "runtime_env": {"env_vars": {"MLFLOW_TRACKING_URI": self.tracking}},
            "args": {"storage": f"file://{self.storage}", "project": "demo", "endpoint": self.name},
            "deployments": [
                {
                    "name": "Endpoint",
                    "num_replicas": self.replicas,
                    "max_ongoing_requests": 64,
                    "max_surge_percent": 100,
                    "ray_actor_options": {"num_cpus": 0},
                    "user_config": self.config,
                }
            ],
        }

    @property
    def url(self) -> str:
        return f"{self.ray.serve}/demo/{self.name}"

    def status(self) -> dict[str, Any]:
        answer: dict[str, Any] = httpx2.get(f"{self.url}/status", timeout=10).json()
        return answer

    def predict(self, key: str, **more: Any) -> httpx2.Response:
        body = {"inputs": [{"a": 1.0, "b": 2.0}], "key": key, **more}
        headers = {"Authorization": f"Bearer {TOKEN}"}
        return httpx2.post(f"{self.url}/predict", json=body, headers=headers, timeout=10)

    def pids(self) -> set[int]:
        details = self.ray.status(f"demo.{self.name}")
        return {replica["pid"] for d in details["deployments"].values() for replica in d["replicas"]}

    def await_generation(self, generation: int) -> dict[str, Any]:
        def found() -> dict[str, Any] | None:
            status = self.status()
            return status if status["generation"] == generation else None

        return await_value(found, 60)


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    folder = tmp_path_factory.mktemp("serving")
    tracking = register(folder, "threshold", [Threshold(0), Threshold(5), Threshold(0, works=False)])
    with private_ray() as ray:
        deployed = Endpoint(ray, tracking, folder / "storage")
        deployed.configure(1, ("control", 1, 0.5), ("treatment", 2, 0.5))
        ray.await_running("demo.iris")
        yield deployed


def variants_by_key(endpoint: Endpoint, count: int = 200) -> dict[str, str]:
    answers = {f"user-{n}": endpoint.predict(f"user-{n}").json() for n in range(count)}
    return {key: answer["variant"] for key, answer in answers.items()}


def test_an_endpoint_from_its_first_request_to_its_log(endpoint: Endpoint) -> None:
    """One story, since each station costs seconds of real Serve: split, stick, shift weights, survive a bad model."""
    status = endpoint.await_generation(1)
    assert [(v["name"], v["version"], v["state"]) for v in status["variants"]] == [
        ("control", 1, "ready"),
        ("treatment", 2, "ready"),
    ]

    before = variants_by_key(endpoint)
    assert 60 < Counter(before.values())["control"] < 140
    assert variants_by_key(endpoint) == before

    pids = endpoint.pids()
    failures = shift_weights_under_load(endpoint)
    assert failures == []
    after = variants_by_key(endpoint)
    assert all(after[key] == "control" for key, variant in before.items() if variant == "control")
    assert 150 < Counter(after.values())["control"] < 200

    endpoint.configure(3, ("control", 1, 0.5), ("treatment", 3, 0.5))
    failed = await_value(lambda: next((v for v in endpoint.status()["variants"] if v["state"] == "failed"), None))
    assert failed["version"] == 3
    assert "the matrix is singular" in failed["message"]
    assert endpoint.status()["generation"] == 2
    assert variants_by_key(endpoint, 50) == {key: after[key] for key in list(after)[:50]}
    assert endpoint.pids() == pids

    check_log(endpoint, before)


def shift_weights_under_load(endpoint: Endpoint) -> list[str]:
    """Whatever a client saw go wrong while the weights were changed."""
    failures: list[str] = []
    stop = threading.Event()

    def hammer() -> None:
        while not stop.is_set():
            try:
                response = endpoint.predict("user-1")
            except httpx2.HTTPError as error:
                failures.append(repr(error))
            else:
                if response.status_code != 200:
                    failures.append(f"{response.status_code} {response.text[:200]}")

    thread = threading.Thread(target=hammer)
    thread.start()
    try:
        endpoint.configure(2, ("control", 1, 0.9), ("treatment", 2, 0.1))
        endpoint.await_generation(2)
        endpoint.ray.await_running("demo.iris")
    finally:
        stop.set()
        thread.join(20)
    return failures


def check_log(endpoint: Endpoint, expected: dict[str, str]) -> None:
    folder = endpoint.storage / "predictions" / "demo" / endpoint.name

    def logged() -> pd.DataFrame | None:
        frame = ds.dataset(folder, format="parquet", partitioning="hive").to_table().to_pandas()
        return frame if (frame.generation == 1).sum() >= 2 * len(expected) else None

    frame = await_value(logged, 10)
    first = frame[frame.generation == 1]
    assert dict(zip(first.key, first.variant, strict=True)) == expected
    assert set(first.propensity) == {0.5}
    assert set(first["feature.a"]) == {1.0}
    assert {("control", "1"), ("treatment", "0")} == set(zip(first.variant, first.prediction, strict=True))
    assert str(first.timestamp.dtype) == "datetime64[us, UTC]"


def test_the_request_id_of_the_caller_comes_back_once(endpoint: Endpoint) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}", "X-Request-Id": "mine-1"}
    body = {"inputs": [{"a": 1.0, "b": 2.0}]}
    response = httpx2.post(f"{endpoint.url}/predict", json=body, headers=headers, timeout=10)
    assert response.json()["request_id"] == "mine-1"
    assert response.headers.get_list("x-request-id") == ["mine-1"]
    assert endpoint.predict("user-1", request_id="mine-2").json()["request_id"] == "mine-2"


def _told(endpoint: Endpoint) -> dict[str, Any] | None:
    try:
        return endpoint.status()
    except ValueError:
        return None


def test_a_fresh_endpoint_whose_model_fails_says_so(endpoint: Endpoint) -> None:
    broken = Endpoint(endpoint.ray, endpoint.tracking, endpoint.storage, name="broken")
    broken.config = {**endpoint.config, "endpoint": "broken", "generation": 1}
    broken.config["variants"] = [{"name": "only", "model": {"name": "threshold", "version": 3}, "weight": 1.0}]
    endpoint.ray.deploy(endpoint.application(), broken.application())
    endpoint.ray.await_running("demo.broken")
    status = await_value(lambda: _told(broken), 60)  # the ingress learns of a new route some time after Serve
    assert (status["generation"], status["variants"][0]["state"]) == (0, "failed")
    response = broken.predict("user-1")
    assert response.status_code == 503
    assert response.headers["content-type"] == "application/problem+json"
    assert "the matrix is singular" in response.json()["detail"]


RATE, ASKERS = 50, 5
"""Requests a second, of so many callers in turn."""
KILLED_AT_S = (2.0, 17.0)


def asked(endpoint: Endpoint, for_s: float) -> tuple[int, list[str], set[tuple[str, str, int]]]:
    """Ask at the rate for so long: how often, what went wrong, and whatever variant and version each key was given."""
    deadline = time.monotonic() + for_s

    def ask(caller: int) -> tuple[int, list[str], set[tuple[str, str, int]]]:
        failures, given, number = list[str](), set[tuple[str, str, int]](), 0
        with httpx2.Client(base_url=endpoint.url, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=10) as http:
            due = time.monotonic() + caller / RATE
            while due < deadline:
                key = f"user-{caller}-{number % 40}"
                number += 1
                try:
                    answer = http.post("/predict", json={"inputs": [{"a": 1.0, "b": 2.0}], "key": key})
                    told = answer.raise_for_status().json()
                    given.add((key, told["variant"], told["model_version"]))
                except httpx2.HTTPError as error:
                    failures.append(f"{due - deadline + for_s:.1f} s: {error!r}"[:200])
                due += ASKERS / RATE
                time.sleep(max(0.0, due - time.monotonic()))
        return number, failures, given

    with ThreadPoolExecutor(ASKERS) as pool:
        each = list(pool.map(ask, range(ASKERS)))
    return sum(e[0] for e in each), [f for e in each for f in e[1]], set().union(*(e[2] for e in each))


@pytest.fixture(scope="module")
def pair(endpoint: Endpoint) -> Endpoint:
    """An endpoint of two replicas."""
    made = Endpoint(endpoint.ray, endpoint.tracking, endpoint.storage, name="pair", replicas=2)
    made.configure(1, ("control", 1, 0.5), ("treatment", 2, 0.5))
    made.ray.await_running("demo.pair")
    await_value(lambda: found if (found := _told(made)) and found["generation"] == 1 else None)
    return made


@pytest.mark.parametrize(("what", "lost"), [("replica", 1), ("controller", 0)])
def test_what_serves_is_killed_under_load(pair: Endpoint, what: str, lost: int) -> None:
    """A replica takes with it what it has in hand, and no more."""

    def kill() -> None:
        victims = pair.ray.processes("ServeController") if what == "controller" else [psutil.Process(min(pair.pids()))]
        assert len(victims) == 1
        victims[0].kill()

    _, _, before = asked(pair, 4)
    timers = [threading.Timer(at, kill) for at in KILLED_AT_S]
    for timer in timers:
        timer.start()
    count, failures, meanwhile = asked(pair, KILLED_AT_S[-1] + 15)
    for timer in timers:
        timer.join()
    print(f"two {what}s killed: {len(failures)} of {count} requests failed {failures}")
    assert len(failures) <= lost * len(KILLED_AT_S)
    assert before <= meanwhile
    assert len({key for key, _, _ in meanwhile}) == len(meanwhile), "a key was given another variant or version"
