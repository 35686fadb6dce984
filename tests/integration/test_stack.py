"""The real stack: Ray, MLflow, database, API and reconciler, started and stopped as `ratchet up` does."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import stat
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest
from rich.console import Console

from ratchet.local import doctor, down, memory, ports, processes, state, status, up
from ratchet.local.layout import Layout
from ratchet.local.statefile import State

pytestmark = [pytest.mark.real, pytest.mark.timeout(400)]

IDLE_BYTES = 1_500_000_000
WAIT_S = 60.0


@pytest.fixture(autouse=True, scope="module")
def _importable() -> Iterator[None]:
    root = Path(__file__).parents[2]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", f"{root / 'platform'}{os.pathsep}{root / 'pipelines'}")
        yield


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("stack") / "home"
    yield folder
    down(folder)


def start(home: Path) -> State:
    return up(home, port=None, detach=True, console=Console(quiet=True))


def everyone(home: Path) -> set[processes.Process]:
    return set(processes.of_stack(Layout.at(home).stack))


def until(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not what():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.1)


def kill(home: Path, *names: str) -> None:
    found = state(home)
    assert found is not None
    for name in names:
        service = found.service(name)
        assert service is not None
        assert service.pid is not None
        victim = processes.identify(service.pid)
        assert victim is not None
        victim.signal(signal.SIGKILL)
        until(lambda victim=victim: not victim.alive())  # type: ignore[misc]


def sockets(pid: int) -> set[str]:
    """The inodes of a process's sockets."""
    found = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            found.add(str(link.readlink()).removeprefix("socket:[").rstrip("]"))
    return found


def answer(url: str, token: str = "") -> int:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"} if token else {})
    try:
        with urllib.request.urlopen(request, timeout=10) as found:
            return int(found.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_the_stack_answers_and_asks_for_tokens(home: Path) -> None:
    started = start(home)
    assert started.ready
    layout = Layout.at(home)
    ray = started.urls["ray"] + "/api/jobs/"
    assert answer(ray) == 401
    assert answer(ray, "wrong") == 403
    assert answer(ray, layout.ray_token.read_text()) == 200
    projects = started.urls["api"] + "/projects"
    assert answer(projects) == 401
    assert answer(projects, layout.token.read_text()) == 200
    chosen = ports.load(layout.ports)
    assert chosen is not None
    mlflow = f"http://127.0.0.1:{chosen.mlflow}/mlflow/"
    assert answer(mlflow) == 401
    assert answer(mlflow, layout.token.read_text()) == 401
    assert answer(mlflow, layout.mlflow_token.read_text()) == 200
    for secret in (layout.token, layout.ray_token, layout.mlflow_token, layout.serving_token, layout.secret_key):
        assert stat.S_IMODE(secret.stat().st_mode) == 0o600


def test_it_listens_on_loopback_alone(home: Path) -> None:
    start(home)
    mine = {inode for process in everyone(home) for inode in sockets(process.pid)}
    listening = [
        line.split()[1].split(":")[0]
        for table in ("tcp", "tcp6")
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]
        if line.split()[3] == "0A" and line.split()[9] in mine
    ]
    assert len(listening) > 10
    assert [address for address in listening if not address.endswith("0100007F")] == []  # 127.0.0.1, backwards


LEAKING = """
import os, pathlib, sys

token = os.environ["MLFLOW_TRACKING_TOKEN"]
pathlib.Path(sys.argv[1]).write_text(token)
print("my token is", token, flush=True)
print("and the key AKIA" + "CANARY0123456789", flush=True)
raise RuntimeError("can't sign in with rt_" + "canary" * 6 + ", password=canary-of-a-password")
"""
PLANTED = ("AKIACANARY0123456789", "rt_" + "canary" * 6, "canary-of-a-password")


def test_no_secret_is_where_people_look(home: Path, tmp_path: Path) -> None:
    """A job prints its token and fails with another; and the platform has secrets of its own."""
    started, layout = start(home), Layout.at(home)
    kept = (layout.token, layout.ray_token, layout.mlflow_token, layout.serving_token, layout.secret_key)
    of_the_platform = {file.name: file.read_text().strip() for file in kept}
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("leak.py", LEAKING)
    headers = {"Authorization": f"Bearer {of_the_platform['token']}"}
    with httpx2.Client(base_url=f"{started.urls['api']}/projects/default", headers=headers, timeout=30) as http:

        def read(path: str) -> str:
            return http.get(path).raise_for_status().text

        digest = http.post("bundles", content=code.getvalue()).raise_for_status().json()["digest"]
        entrypoint = ["python", "leak.py", str(tmp_path / "told")]
        spec = {"kind": "custom", "code": {"kind": "archive", "digest": digest}, "entrypoint": entrypoint}
        job = str(http.post("jobs", json=spec).raise_for_status().json()["id"])
        until(lambda: json.loads(read(f"jobs/{job}"))["status"] == "failed")
        of_the_job = (tmp_path / "told").read_text()
        log = read(f"jobs/{job}/logs?limit=5000")
        assert "my token is ***" in log
        assert "can't sign in with" in json.loads(read(f"jobs/{job}"))["message"]
        paths = ["", "/wait", "/metrics", "/logs", "/logs:download", "/events"]
        seen = {f"jobs/{job}{path}": read(f"jobs/{job}{path}") for path in paths}
        seen |= {path: read(path) for path in ("jobs", "events", "tokens", "webhooks", "queue", "service-accounts")}
        runs = http.post(
            f"{started.urls['mlflow']}/api/2.0/mlflow/runs/search", json={"experiment_ids": experiments(http, started)}
        )
        seen["MLflow"] = runs.raise_for_status().text
        assert job in seen["MLflow"]
        ray = httpx2.get(
            f"{started.urls['ray']}/api/jobs/", headers={"Authorization": f"Bearer {of_the_platform['ray.token']}"}
        )
        assert job in ray.raise_for_status().text
    seen |= {str(file): file.read_text() for file in layout.logs.iterdir()}
    seen |= {str(file): file.read_text() for file in (home / "storage" / "jobs" / job / "logs").rglob("*.jsonl")}
    canaries = {**of_the_platform, "the job's": of_the_job, **{planted: planted for planted in PLANTED}}
    found = {(where, name) for where, text in seen.items() for name, canary in canaries.items() if canary in text}
    # Ray shows what a job was given: the job's own token, which ends with its attempt, and nothing that lasts.
    found |= {("Ray", name) for name, canary in of_the_platform.items() if canary in ray.text}
    assert found == set()
    assert answer(f"{started.urls['mlflow']}/api/2.0/mlflow/experiments/search?max_results=1", of_the_job) == 401


def experiments(http: httpx2.Client, started: State) -> list[str]:
    address = f"{started.urls['mlflow']}/api/2.0/mlflow/experiments/search"
    found = http.post(address, json={"max_results": 100}).raise_for_status().json()["experiments"]
    return [each["experiment_id"] for each in found]


def test_idle_it_stays_within_its_memory(home: Path) -> None:
    start(home)
    parts = memory(home)
    assert {"MLflow", "API", "Reconciler", "Ray: raylet and object store"} <= {part.part for part in parts}
    assert sum(part.bytes for part in parts) < IDLE_BYTES


def test_doctor_finds_nothing_wrong(home: Path) -> None:
    start(home)
    assert [check for check in doctor(home) if check.level == "fail"] == []


def test_a_second_up_heals_what_was_killed(home: Path) -> None:
    first = start(home)
    kill(home, "api", "reconciler", "mlflow")
    healed = start(home)
    assert healed.ready
    assert healed.supervisor == first.supervisor
    assert answer(healed.urls["api"] + "/projects", Layout.at(home).token.read_text()) == 200


def test_ray_comes_back_whole_when_its_store_of_state_dies(home: Path) -> None:
    start(home)
    kill(home, "ray")
    assert start(home).ready
    assert status(home).healthy
    raylets = [process for process in everyone(home) if "/raylet/raylet " in processes.command(process.pid)]
    assert len(raylets) == 1


def test_kill_9_of_the_supervisor_leaves_nothing_and_strangers_alone(home: Path) -> None:
    stranger = subprocess.Popen([sys.executable, "-c", "import time  # raylet gcs_server\ntime.sleep(600)"])
    try:
        started = start(home)
        token, chosen = (home / "token").read_text(), ports.load(home / "ports.json")
        living = everyone(home)
        started.supervisor.signal(signal.SIGKILL)
        until(lambda: not any(process.alive() for process in living))
        assert stranger.poll() is None
        again = start(home)
        assert again.ready
        assert ((home / "token").read_text(), ports.load(home / "ports.json")) == (token, chosen)
        living = everyone(home)
        assert down(home)
        assert [process for process in living if process.alive()] == []
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()
