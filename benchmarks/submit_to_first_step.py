"""How long a training takes from its submission to its first step, through the platform and past it, in turns.

    python -m benchmarks.submit_to_first_step [--rounds 3] [--epochs 3]

Starts a stack in a temporary folder and trains the same net on the same data over two workers, in turns:

    platform   by the SDK: POST /api/v1/projects/default/jobs, with a spec
    plain      by `ray.job_submission.JobSubmissionClient`, as `ray job submit` does it: the very entrypoint and
               environment that the platform gave Ray, with an MLflow run that was opened before the clock starts

The clock starts before the call that submits, with both clients connected. It stops when the job itself says so: at the
timestamp of `train/loss` at the lowest step in the job's MLflow run, which rank 0 takes when its first epoch is over
(15 optimizer steps, and a look at the validation rows: some milliseconds), not when MLflow receives it. `handed over`
is how much of that had passed when Ray noted the job. One of each is run beforehand and not counted.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from ratchet.clients.mlflow import MlflowClient
from ratchet.local import State, down, up
from ratchet.sdk import Client
from ratchet_pipelines.spec import ENVELOPE_VARIABLE, Data, Envelope, Resources, Train

WANTED = 1.2
LIMIT_S = 180.0
"""For one job, from its submission to its end."""
SETTLE_S = 2.0
"""Between two jobs: the workers of the last have left, and what it used is free."""
METRIC = "train/loss"
PROJECT = "default"


@dataclass(frozen=True)
class Taken:
    """Seconds since the submission."""

    handed_over: float
    first_step: float


@dataclass(frozen=True)
class Submitted:
    submission_id: str
    run_id: str
    clock: float
    """Unix time when it was submitted, in seconds."""


class Bench:
    def __init__(self, client: Client, ray: Any, spec: Train) -> None:
        self.client, self.ray, self.spec = client, ray, spec

    def platform(self) -> Taken:
        clock = time.time()
        job = self.client.jobs.submit(self.spec)
        ended = self.client.jobs.wait(job, timeout=LIMIT_S)
        submission_id = ended.attempts[0].submission_id
        assert submission_id is not None
        assert ended.run_id is not None
        self._pattern = self.ray.get_job_info(submission_id)
        return self._taken(Submitted(submission_id, ended.run_id, clock))

    def plain(self) -> Taken:
        """The same as the platform's last job, but for its name and with that the folder it writes to."""
        envelope = Envelope.model_validate_json(self._environment[ENVELOPE_VARIABLE])
        name = f"plain-{time.time_ns()}"
        run = self._mlflow.create_run(self._mlflow.ensure_experiment(PROJECT), name, {})
        envelope = envelope.model_copy(update={"job": name, "run_id": run.run_id})
        environment = {**self._environment, ENVELOPE_VARIABLE: envelope.model_dump_json()}
        clock = time.time()
        self.ray.submit_job(
            entrypoint=self._pattern.entrypoint,
            submission_id=name,
            runtime_env={"env_vars": environment},
            entrypoint_num_cpus=0,
        )
        status = until(lambda: self._ended(name))
        if status != "SUCCEEDED":
            raise RuntimeError(f"{name} ended as {status}:\n{self.ray.get_job_logs(name)[-3000:]}")
        return self._taken(Submitted(name, run.run_id, clock))

    @property
    def _environment(self) -> dict[str, str]:
        found: dict[str, str] = self._pattern.runtime_env["env_vars"]
        return found

    @property
    def _mlflow(self) -> MlflowClient:
        return MlflowClient(self._environment["MLFLOW_TRACKING_URI"])

    def _ended(self, submission_id: str) -> str | None:
        status = self.ray.get_job_status(submission_id)
        return status.value if status.is_terminal() else None

    def _taken(self, submitted: Submitted) -> Taken:
        first = self._mlflow.metric_history(submitted.run_id, METRIC)[0]  # by step, then by time
        noted_ms = self.ray.get_job_info(submitted.submission_id).start_time
        return Taken(noted_ms / 1000 - submitted.clock, first.timestamp_ms / 1000 - submitted.clock)


def until(find: Callable[[], str | None]) -> str:
    deadline = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline:
        if found := find():
            return found
        time.sleep(0.5)
    raise TimeoutError(f"not ended after {LIMIT_S:.0f} s")


@contextmanager
def stack() -> Iterator[State]:
    with tempfile.TemporaryDirectory(prefix="rb-") as folder:
        home = Path(folder)
        try:
            yield up(home, port=None, detach=True, console=Console())
        finally:
            down(home)


def connect(state: State, home_token: Path, ray_token: Path) -> tuple[Client, Any]:
    os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(ray_token), "RAY_USAGE_STATS_ENABLED": "0"}
    from ray.job_submission import JobSubmissionClient  # once the environment says which token it takes

    client = Client(state.urls["api"], project=PROJECT, token_file=home_token)
    return client, JobSubmissionClient(state.urls["ray"])


def measure(bench: Bench, rounds: int) -> dict[str, list[Taken]]:
    """Every round runs both; the first is the warm-up and is left out."""
    ways = {"platform": bench.platform, "plain": bench.plain}
    taken: dict[str, list[Taken]] = {way: [] for way in ways}
    for number in range(rounds + 1):
        for way, run in ways.items():
            figures = run()
            note = "warm-up" if number == 0 else f"round {number}"
            print(
                f"{note}  {way:<9} handed over {figures.handed_over:5.2f} s, first step {figures.first_step:6.2f} s",
                flush=True,
            )
            if number > 0:
                taken[way].append(figures)
            time.sleep(SETTLE_S)
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=3)
    arguments = parser.parse_args()
    spec = Train(
        recipe="tabular",
        data=Data(uri="sklearn://breast_cancer"),
        params={"epochs": arguments.epochs},
        resources=Resources(workers=2),
    )
    with stack() as state:
        client, ray = connect(state, Path(state.home) / "token", Path(state.home) / "ray.token")
        with client:
            taken = measure(Bench(client, ray, spec), arguments.rounds)
    medians = {way: statistics.median(each.first_step for each in found) for way, found in taken.items()}
    ratio = medians["platform"] / medians["plain"]
    print(
        f"submission to first step, median of {arguments.rounds}: platform {medians['platform']:.2f} s, "
        f"plain {medians['plain']:.2f} s, ratio {ratio:.2f}; at most {WANTED} is wanted"
    )
    raise SystemExit(ratio > WANTED)


if __name__ == "__main__":
    main()
