"""The whole loop on the real stack, while its control plane is killed again and again; then what is left of it."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from demo.data import TARGET, Data

from ratchet.local import down, processes
from ratchet.local.layout import Layout
from ratchet.sdk import Client, JobFailed

pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]
KILL_EVERY_S = (6.0, 16.0)
MODEL = "tumours"


class Stack:
    """`ratchet up`, in a home of its own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        path = os.pathsep.join(str(ROOT / part) for part in ("platform", "pipelines", "."))
        self.environment = {**os.environ, "RATCHET_HOME": str(home), "PYTHONPATH": path, "NO_COLOR": "1"}

    def ratchet(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "ratchet.cli.main", *arguments]
        return subprocess.run(
            command,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
            cwd=self.home.parent,
        )

    def up(self) -> None:
        started = self.ratchet("up", "--detach")
        assert started.returncode == 0, started.stdout + started.stderr

    def pid(self, service: str) -> int | None:
        state = json.loads((self.home / "state.json").read_text())
        return next((each["pid"] for each in state["services"] if each["name"] == service), None)

    def configured(self) -> dict[str, str]:
        """The environment that `ratchet config` gives to other clients."""
        text = self.ratchet("config", "--show-token").stdout
        lines = [line.removeprefix("export ") for line in text.splitlines() if line.startswith("export ")]
        return dict(line.replace('"', "").split("=", 1) for line in lines)

    def client(self) -> Client:
        configured = self.configured()
        return Client(configured["RATCHET_URL"], configured["MLFLOW_TRACKING_TOKEN"], attempts=9)


class Killer(threading.Thread):
    """Ends the API or the reconciler with SIGKILL at seeded moments, and then says `ratchet up` again."""

    def __init__(self, stack: Stack, seed: int) -> None:
        super().__init__()
        self.stack = stack
        self.dice = random.Random(seed)
        self.stopping = threading.Event()
        self.killed: list[str] = []

    def run(self) -> None:
        while not self.stopping.wait(self.dice.uniform(*KILL_EVERY_S)):
            service = self.dice.choice(["api", "reconciler"])
            pid = self.stack.pid(service)
            if pid is None:
                continue
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
            self.killed.append(service)
            self.stack.up()


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    stack = Stack(tmp_path_factory.mktemp("loop") / "home")
    stack.up()
    yield stack
    down(stack.home)
    assert not list(processes.of_stack(Layout.at(stack.home).stack)), "`down` left processes behind"


@pytest.fixture(scope="module")
def played(stack: Stack) -> Stack:
    """The demo, from start to end, with its control plane killed on the way."""
    killer = Killer(stack, seed=11)
    killer.start()
    try:
        demo = subprocess.run(
            [sys.executable, "-m", "demo"],
            env=stack.environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=700,
            check=False,
        )
    finally:
        killer.stopping.set()
        killer.join()
    assert demo.returncode == 0, demo.stdout[-6_000:] + demo.stderr[-3_000:]
    assert len(killer.killed) >= 3, "the demo was not disturbed"
    return stack


def test_the_loop_ends_with_no_job_lost_and_none_run_twice(played: Stack) -> None:
    with played.client() as client:
        jobs = list(client.jobs.list())
        kinds = Counter(job.kind for job in jobs)
        checks = kinds.pop("drift_check")
        assert kinds == {"evaluate": 3, "sweep": 1, "train": 2}
        assert checks in (2, 3)  # the demo's monitor has a schedule, too: every quarter of an hour
        for job in jobs:
            assert (job.status, len(job.attempts)) == ("succeeded", 1), (job.id, job.status, job.message)
        moves = [(move.from_version, move.to_version) for move in client.models.alias_moves(MODEL)]
        versions = [to for _, to in reversed(moves)]
        assert [to for to in versions if to in (1, 2, 3)] == versions
        assert client.models.get(MODEL).aliases["champion"] == 3


def test_ray_has_run_each_job_once(played: Stack) -> None:
    configured = played.configured()
    request = urllib.request.Request(
        configured["RAY_ADDRESS"] + "/api/jobs/",
        headers={"Authorization": "Bearer " + Path(configured["RAY_AUTH_TOKEN_PATH"]).read_text().strip()},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        submitted = [job["submission_id"] for job in json.load(answer) if job["submission_id"]]
    with played.client() as client:
        expected = [attempt.submission_id for job in client.jobs.list() for attempt in job.attempts]
    assert sorted(submitted) == sorted(expected)


def test_ray_job_list_sees_the_jobs(played: Stack) -> None:
    listed = subprocess.run(
        [sys.executable, "-m", "ray.scripts.scripts", "job", "list"],
        env={**os.environ, **played.configured()},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    with played.client() as client:
        assert next(iter(client.jobs.list())).attempts[0].submission_id in listed.stdout + listed.stderr


def test_a_plain_mlflow_client_sees_the_same_runs_and_models(played: Stack) -> None:
    code = (
        "import json, mlflow; client = mlflow.MlflowClient();"
        "model = client.get_registered_model('default.tumours');"
        "version = client.get_model_version_by_alias('default.tumours', 'champion');"
        "run = client.get_run(version.run_id);"
        "print(json.dumps([model.name, int(version.version), run.data.metrics['test/accuracy']]))"
    )
    asked = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **played.configured()},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert asked.returncode == 0, asked.stderr[-2_000:]
    name, version, accuracy = json.loads(asked.stdout.splitlines()[-1])
    assert (name, version) == ("default.tumours", 3)
    assert 0.8 < accuracy <= 1


def test_mlflow_is_closed_to_those_without_a_token(played: Stack) -> None:
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(played.configured()["MLFLOW_TRACKING_URI"] + "/", timeout=10)


def test_a_plain_http_client_gets_predictions_with_a_token_alone(played: Stack) -> None:
    row = Data(played.home / "demo" / MODEL).live.drop(columns=TARGET).iloc[0].to_dict()
    with played.client() as client:
        url = str(client.endpoints.get(MODEL).url).removesuffix("/predict") + "/predict"
    body = json.dumps({"inputs": [row], "key": "k"}).encode()
    headers = {
        "Content-Type": "application/json",
        "Authorization": "Bearer " + played.configured()["MLFLOW_TRACKING_TOKEN"],
    }
    with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=10) as answer:
        given: dict[str, Any] = json.load(answer)
    assert given["predictions"][0]["prediction"] in {"benign", "malignant"}
    assert (given["model_version"], given["variant"]) == (3, "v3")
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(urllib.request.Request(url, body, {"Content-Type": "application/json"}), timeout=10)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ({"uri": "sklearn://breast_cancer", "target": "targte"}, "target"),
        ({"uri": "file:///nowhere/at-all.parquet"}, "/nowhere/at-all.parquet"),
        ({"uri": "ONE_CLASS"}, "class"),
    ],
)
def test_bad_data_is_a_failed_job_that_says_what_to_change(played: Stack, data: dict[str, Any], says: str) -> None:
    if data["uri"] == "ONE_CLASS":
        path = played.home / "one-class.csv"
        path.write_text("a,target\n" + "\n".join(f"{number},yes" for number in range(60)))
        data = {"uri": path.as_uri()}
    with played.client() as client:
        job = client.jobs.submit({"kind": "train", "data": data, "model": "never"})
        with pytest.raises(JobFailed) as failed:
            client.jobs.wait(job, timeout=180)
        ended = client.jobs.get(job.id)
        assert (ended.reason, len(ended.attempts)) == ("data_error", 1)
        assert says in str(failed.value)
        assert "never" not in {model.name for model in client.models.list()}


def test_started_again_everything_is_as_it_was(played: Stack) -> None:
    with played.client() as client:
        before = (len(list(client.jobs.list())), client.models.get(MODEL).aliases)
    token = played.configured()["MLFLOW_TRACKING_TOKEN"]
    assert played.ratchet("down").returncode == 0
    played.up()
    assert played.configured()["MLFLOW_TRACKING_TOKEN"] == token
    with played.client() as client:
        assert (len(list(client.jobs.list())), client.models.get(MODEL).aliases) == before
        row = Data(played.home / "demo" / MODEL).live.drop(columns=TARGET).iloc[0].to_dict()
        ready = client.endpoints.wait_ready(MODEL, timeout=240)
        assert client.endpoints.predict(ready, row).model_version == 3
