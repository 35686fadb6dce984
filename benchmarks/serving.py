"""How fast an endpoint answers, beside the same model behind a bare FastAPI, measured in turns in the same minute.

    python -m benchmarks.serving [--seconds 5] [--clients 8] [--rounds 3]

Starts a private Ray with Serve behind its ingress, deploys one endpoint over REST, and a FastAPI app on uvicorn that
loads the same model and calls its `predict_rows`: no token, no signature check, no assignment, no log. Each server is
asked one row at a time over kept connections, by one client for latency and by several for throughput. Clients run on
the same machine and take their share of it, the same for both.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from http.client import HTTPConnection
from pathlib import Path

import mlflow
import mlflow.pyfunc
import numpy as np
import pandas as pd
import torch
from mlflow.models import infer_signature
from sklearn.datasets import load_breast_cancer
from tests.integration.private_ray import await_value, free_ports, private_ray

from ratchet_pipelines.data.features import Features
from ratchet_pipelines.data.tables import Kind
from ratchet_pipelines.data.targets import Classes
from ratchet_pipelines.models import NetSpec, TabularModel
from ratchet_pipelines.nets import build

TOKEN = "benchmark"


@dataclass(frozen=True)
class Target:
    name: str
    port: int
    path: str


@dataclass(frozen=True)
class Figures:
    p50_ms: float
    p99_ms: float
    per_second: float


def bare_app() -> object:
    """What a person would write: FastAPI around the model. Served by uvicorn as a factory."""
    from fastapi import FastAPI
    from pydantic import BaseModel

    torch.set_num_threads(1)
    model = mlflow.pyfunc.load_model(os.environ["BENCHMARK_MODEL"]).get_raw_model()
    app = FastAPI()

    class Asked(BaseModel):
        inputs: list[dict[str, float]]

    async def predict(asked: Asked) -> dict[str, list[dict[str, float]]]:
        return {"predictions": model.predict_rows(asked.inputs)}

    predict.__annotations__ = {"asked": Asked}
    app.post("/predict", response_model=None)(predict)
    return app


def log_model(folder: Path) -> tuple[str, str, dict[str, float]]:
    """An untrained net of the tabular recipe on a real table: tracking URI, model URI, one row."""
    frame = load_breast_cancer(as_frame=True).data
    features = Features.fit(frame, dict.fromkeys(frame.columns, Kind.NUMBER))
    net = NetSpec("mlp", {"inputs": features.width, "outputs": 2, "hidden": [64, 64], "dropout": 0.1})
    model = TabularModel(features, Classes(["0", "1"]), net, build(net.name, net.arguments).state_dict())
    tracking = f"sqlite:///{folder}/mlflow.db"
    mlflow.set_tracking_uri(tracking)
    mlflow.set_experiment(experiment_id=mlflow.create_experiment("b", artifact_location=f"file://{folder}/artifacts"))
    saved = folder / "saved"
    saved.mkdir()
    model.save(saved)
    with mlflow.start_run():
        mlflow.pyfunc.log_model(
            name="model",
            loader_module="ratchet_pipelines.models",
            data_path=str(saved),
            signature=infer_signature(frame, model.predict(frame.head(2))),
            input_example=frame.head(2),
            registered_model_name="benchmark",
            pip_requirements=[],
        )
    return tracking, "models:/benchmark/1", frame.iloc[0].to_dict()


def application(folder: Path, tracking: str) -> dict[str, object]:
    config = {
        "endpoint": "bench",
        "project": "demo",
        "salt": "s",
        "variants": [
            {"name": name, "model": {"name": "benchmark", "version": 1}, "weight": 0.5} for name in ("a", "b")
        ],
        "token_hashes": [sha256(TOKEN.encode()).hexdigest()],
        "generation": 1,
    }
    deployment = {"name": "Endpoint", "num_replicas": 1, "max_ongoing_requests": 64, "user_config": config}
    return {
        "name": "demo.bench",
        "route_prefix": "/demo/bench",
        "import_path": "ratchet_pipelines.serving.app:build",
        "runtime_env": {"env_vars": {"MLFLOW_TRACKING_URI": tracking}},
        "args": {"storage": f"file://{folder}/storage", "project": "demo", "endpoint": "bench"},
        "deployments": [{**deployment, "ray_actor_options": {"num_cpus": 0}}],
    }


@contextmanager
def fastapi(model: str, tracking: str) -> Iterator[Target]:
    port = free_ports(1)[0]
    command = [sys.executable, "-m", "uvicorn", "--factory", "benchmarks.serving:bare_app", f"--port={port}"]
    environment = {**os.environ, "BENCHMARK_MODEL": model, "MLFLOW_TRACKING_URI": tracking, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([*command, "--no-access-log", "--log-level=warning"], env=environment)
    try:
        await_value(lambda: _listens(port), 60)
        yield Target("FastAPI on uvicorn", port, "/predict")
    finally:
        process.terminate()
        process.wait(10)


def _listens(port: int) -> bool | None:
    with socket.socket() as probe:
        return True if probe.connect_ex(("127.0.0.1", port)) == 0 else None


def client(target: Target, body: bytes, seconds: float) -> list[float]:
    """Ask over and over on one connection; the seconds that each answer took."""
    connection = HTTPConnection("127.0.0.1", target.port, timeout=30)
    connection.connect()
    connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    taken: list[float] = []
    end = time.perf_counter() + seconds
    while (started := time.perf_counter()) < end:
        connection.request("POST", target.path, body=body, headers=headers)
        response = connection.getresponse()
        answer = response.read()
        if response.status != 200:
            raise AssertionError(f"{target.name}: {response.status} {answer[:500]!r}")
        taken.append(time.perf_counter() - started)
    return taken


def measure(target: Target, body: bytes, seconds: float, clients: int) -> Figures:
    with multiprocessing.get_context("fork").Pool(clients) as pool:
        runs = pool.starmap(client, [(target, body, seconds)] * clients)
    taken = np.array([one for run in runs for one in run])
    p50, p99 = np.percentile(taken, [50, 99]) * 1000
    return Figures(float(p50), float(p99), len(taken) / seconds)


def compare(targets: list[Target], body: bytes, seconds: float, clients: int, rounds: int) -> None:
    """Print each target's median over the rounds, in which they take turns, and the first one's ratio to the last."""
    found: dict[str, list[Figures]] = {target.name: [] for target in targets}
    for _ in range(rounds):
        for target in targets:
            found[target.name].append(measure(target, body, seconds, clients))

    def median(name: str, of: Callable[[Figures], float]) -> float:
        return statistics.median(of(figures) for figures in found[name])

    columns: list[Callable[[Figures], float]] = [lambda f: f.p50_ms, lambda f: f.p99_ms, lambda f: f.per_second]
    print(
        f"\n{clients} client{'s' if clients > 1 else ''}, one row a request, median of {rounds} rounds of {seconds:g} s"
    )
    print(f"{'':24}{'p50 ms':>10}{'p99 ms':>10}{'requests/s':>12}")
    rows = {target.name: [median(target.name, of) for of in columns] for target in targets}
    for name, (p50, p99, rate) in rows.items():
        print(f"{name:24}{p50:10.2f}{p99:10.2f}{rate:12.0f}")
    first, last = rows[targets[0].name], rows[targets[-1].name]
    ratios = [a / b for a, b in zip(first, last, strict=True)]
    print(f"{'ratio':24}{ratios[0]:10.2f}{ratios[1]:10.2f}{ratios[2]:12.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, private_ray() as ray:
        folder = Path(name)
        tracking, model, row = log_model(folder)
        body = json.dumps({"inputs": [row]}).encode()
        ray.deploy(application(folder, tracking))
        ray.await_running("demo.bench")
        with fastapi(model, tracking) as bare:
            targets = [Target("Ratchet endpoint", ray.serve_port, "/demo/bench/predict"), bare]
            for target in targets:
                client(target, body, 1)
            for clients in (1, options.clients):
                compare(targets, body, options.seconds, clients, options.rounds)
        log = pd.read_parquet(folder / "storage" / "predictions")
        print(f"\nPredictions logged by the endpoint meanwhile: {len(log)}")


if __name__ == "__main__":
    main()
