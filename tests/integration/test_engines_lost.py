"""Ray's head, or MLflow, is killed or stopped under a training of the whole stack. The API answers all the while.

Without Ray the job is `unknown` within five seconds, and afterwards the training goes on; from its last checkpoint,
where it has to be started anew. Without MLflow the training goes on, and its metrics are there afterwards, once each.
"""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.integration.private_ray import await_value
from tests.integration.test_stack import _importable, everyone, start

from ratchet.local import down, processes
from ratchet.local.processes import Process
from ratchet.local.statefile import State
from ratchet_pipelines.train.checkpoints import DIGEST
from ratchet_pipelines.train.launch import CHECKPOINT_INTERVAL_S

pytestmark = [pytest.mark.real, pytest.mark.timeout(400)]
__all__ = ["_importable"]

UNKNOWN_WITHIN_S = 5.0
CLIENT_TIMEOUT_S = 5.0
AWAY_S = 12.0
"""Ray; longer than every time-out of the platform's calls to it."""
MLFLOW_AWAY_S = float(os.environ.get("RATCHET_TEST_MLFLOW_AWAY_S", "10"))
GCS, HEAD = ("/gcs_server",), ("/gcs_server", "/raylet/raylet", "/dashboard/dashboard.py")
EPOCHS, LONG = 500, 10_000


Curve = list[tuple[int, float]]


@dataclass
class Stack:
    home: Path
    state: State
    http: httpx2.Client

    def get(self, path: str) -> Any:
        return self.http.get(path).raise_for_status().json()

    def submit(self, epochs: int) -> str:
        spec = {"kind": "train", "data": {"uri": "sklearn://digits"}, "params": {"epochs": epochs, "patience": epochs}}
        return str(self.http.post("jobs", json=spec).raise_for_status().json()["id"])

    def cancel(self, job_id: str) -> None:
        self.http.post(f"jobs/{job_id}:cancel").raise_for_status()
        self.reach(job_id, "cancelled")

    def training(self) -> str:
        """A job that has been training for long enough to have a checkpoint."""
        job_id = self.submit(EPOCHS)
        saved = self.home / "storage" / "jobs" / job_id / "ray"
        await_value(lambda: next(saved.glob(f"**/{DIGEST}"), None), 120)
        assert self.job(job_id)["status"] == "running"
        return job_id

    def job(self, job_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.get(f"jobs/{job_id}")
        return found

    def reach(self, job_id: str, status: str, limit_s: float = 120) -> dict[str, Any]:
        return await_value(lambda: job if (job := self.job(job_id))["status"] == status else None, limit_s)

    def unknown_at(self, job_id: str) -> float | None:
        """When the database noted that nobody can say how the job is: by its own clock, which is this machine's."""
        events = self.get(f"events?target={job_id}&action=job.unknown")["items"]
        return datetime.fromisoformat(events[0]["at"]).timestamp() if events else None

    def curves(self, job_id: str) -> dict[str, Curve]:
        """Each point that MLflow has of each metric: its epoch, and when it was logged."""
        series = self.get(f"jobs/{job_id}/metrics")["series"]
        return {
            each["name"]: [(at["step"], datetime.fromisoformat(at["timestamp"]).timestamp()) for at in each["points"]]
            for each in series
        }

    def processes(self, *parts: str) -> list[Process]:
        commands = {process: processes.command(process.pid) for process in everyone(self.home)}
        return [process for process, line in commands.items() if any(part in line for part in parts)]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    home = tmp_path_factory.mktemp("head") / "home"
    try:
        state = start(home)
        headers = {"Authorization": f"Bearer {(home / 'token').read_text()}"}
        base = f"{state.urls['api']}/projects/default"
        with httpx2.Client(base_url=base, headers=headers, timeout=30) as http:
            yield Stack(home, state, http)
    finally:
        down(home)


@contextmanager
def asked_all_the_while(stack: Stack, job_id: str, within_s: float = CLIENT_TIMEOUT_S) -> Iterator[None]:
    """The API answers each caller in time: what it has, or that MLflow or Ray is away (503), and never a 500."""
    paths = [f"jobs/{job_id}{part}" for part in ("", "/logs", "/logs?tail=true", "/wait", "/metrics", "/trials")]
    paths += ["jobs", "jobs?status=unknown", "queue", "events", f"{stack.state.urls['api']}/info"]
    over: list[bool] = []

    def ask(path: str) -> tuple[float, Counter[int]]:
        slowest, answers = 0.0, Counter[int]()
        with httpx2.Client(base_url=stack.http.base_url, headers=stack.http.headers, timeout=within_s) as http:
            while not over:
                asked = time.monotonic()
                try:
                    answer = http.get(path)
                except httpx2.TimeoutException:
                    raise AssertionError(f"no answer to {path} within {within_s} s") from None
                slowest = max(slowest, round(time.monotonic() - asked, 2))
                answers[answer.status_code] += 1
                if answer.status_code == 503:
                    assert answer.headers["Content-Type"] == "application/problem+json"
                    assert answer.headers["Retry-After"]
                time.sleep(0.5)
        return slowest, answers

    with ThreadPoolExecutor(len(paths)) as pool:
        asking = [pool.submit(ask, path) for path in paths]
        try:
            yield
        finally:
            over.append(True)
    slowest = {path: each.result()[0] for path, each in zip(paths, asking, strict=True)}
    answers = sum((each.result()[1] for each in asking), Counter[int]())
    print(f"asked meanwhile: {dict(answers)}, the slowest answers (s): {slowest}")
    assert set(answers) <= {200, 503}


def lose(stack: Stack, job_id: str, parts: tuple[str, ...], number: int) -> None:
    """Send the head's processes a signal, and see the job `unknown`."""
    head = stack.processes(*parts)
    assert len(head) == len(parts)
    lost_at = time.time()
    for process in head:
        process.signal(number)
    with asked_all_the_while(stack, job_id):
        time.sleep(AWAY_S)
    found = stack.unknown_at(job_id)
    assert found is not None
    print(f"{', '.join(parts)} got {signal.Signals(number).name}: unknown after {found - lost_at:.2f} s")
    assert 0 <= found - lost_at <= UNKNOWN_WITHIN_S
    job = stack.job(job_id)
    assert (job["status"], job["engine_status"]) == ("unknown", "unreachable")
    assert job["reason"] == "waiting_for_cluster"


def test_a_stopped_head_holds_nobody_up_and_its_job_goes_on(stack: Stack) -> None:
    """Every connection stays open, and nothing comes of it."""
    job_id = stack.training()
    lose(stack, job_id, HEAD, signal.SIGSTOP)
    for process in stack.processes(*HEAD):
        process.signal(signal.SIGCONT)
    job = stack.reach(job_id, "running", 30)
    assert len(job["attempts"]) == 1
    stack.cancel(job_id)


def test_a_killed_head_costs_an_attempt_and_the_epochs_since_the_last_checkpoint(stack: Stack) -> None:
    """Its store of state alone is killed: Ray's dashboard goes on taking calls, and answers none for a minute."""
    job_id = stack.training()
    stack.state.supervisor.signal(signal.SIGSTOP)  # or a new head would be there at once
    try:
        lose(stack, job_id, GCS, signal.SIGKILL)
    finally:
        stack.state.supervisor.signal(signal.SIGCONT)  # it starts all of the head anew
    back = time.monotonic()
    assert stack.reach(job_id, "succeeded", 180)["status"] == "succeeded"
    print(f"succeeded {time.monotonic() - back:.1f} s after the head was started again")
    job = stack.job(job_id)
    assert [(each["status"], each["reason"]) for each in job["attempts"]] == [
        ("lost", "engine_lost"),
        ("succeeded", None),
    ]
    epochs = stack.curves(job_id)["val/loss"]
    again = datetime.fromisoformat(job["attempts"][1]["started_at"]).timestamp()
    first, second = {step: at for step, at in epochs if at < again}, [step for step, at in epochs if at >= again]
    assert list(first) == list(range(1, len(first) + 1))
    assert second == list(range(second[0], EPOCHS + 1))
    assert 1 < second[0] <= len(first) + 1
    twice_s = first[len(first)] - first[second[0] - 1]
    print(f"{len(first) + 1 - second[0]} of {len(first)} epochs done twice, {twice_s:.1f} s of work")
    assert twice_s <= CHECKPOINT_INTERVAL_S + 5


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "stopped"])
def test_mlflow_away_costs_no_time_and_no_metric(stack: Stack, number: int) -> None:
    job_id = stack.submit(LONG)
    await_value(lambda: stack.curves(job_id).get("val/loss"), 120)
    (mlflow,) = stack.processes("ratchet_pipelines.tracking_server")
    stack.state.supervisor.signal(signal.SIGSTOP)  # or it would be back at once
    try:
        away = time.time()
        mlflow.signal(number)
        # An answer that is made of what MLflow says may take its time-out of 5 s, and then is a 503.
        with asked_all_the_while(stack, job_id, within_s=7):
            time.sleep(MLFLOW_AWAY_S)
        assert stack.job(job_id)["status"] == "running"
    finally:
        back = time.time()
        mlflow.signal(signal.SIGCONT)
        stack.state.supervisor.signal(signal.SIGCONT)

    def caught_up() -> dict[str, Curve] | None:
        answer = stack.http.get(f"jobs/{job_id}/metrics")
        if answer.status_code == 503:
            return None
        curves = stack.curves(job_id)
        return curves if all(curve[-1][1] > back for curve in curves.values()) else None

    curves = await_value(caught_up, 120)
    print(f"all there {time.time() - back:.1f} s after MLflow was let back")
    for name, curve in curves.items():
        assert [step for step, _ in curve] == list(range(1, len(curve) + 1)), name
    meanwhile = [at for _, at in curves["val/loss"] if away < at < back]
    longest = max(after - before for before, after in pairwise([away, *meanwhile, back]))
    print(f"{len(meanwhile)} epochs in {back - away:.0f} s without MLflow, {longest:.1f} s between two at most")
    assert longest < MLFLOW_AWAY_S / 2
    stack.cancel(job_id)
