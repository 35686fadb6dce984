"""A Ray of a test's own: free ports, its own folder and token, Serve behind HAProxy as in production."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx2
import psutil

T = TypeVar("T")
MARK = "RATCHET_TEST_RAY"


@dataclass
class PrivateRay:
    token: str
    dashboard: str
    serve: str
    serve_port: int
    mark: str
    """In the environment of each of its processes."""

    def processes(self, title: str) -> list[psutil.Process]:
        """Those of its own whose command line has this in it."""
        return [each for each in _of(self.mark) if title in " ".join(_command(each))]

    def deploy(self, *applications: dict[str, Any]) -> None:
        """What the platform does: PUT the whole configuration of Serve."""
        body = {
            "proxy_location": "HeadOnly",
            "http_options": {"host": "127.0.0.1", "port": self.serve_port},
            "applications": list(applications),
        }
        self._call("PUT", body).raise_for_status()

    def status(self, application: str) -> dict[str, Any]:
        found: dict[str, Any] = self._call("GET").json()["applications"].get(application, {})
        return found

    def _call(self, method: str, body: dict[str, Any] | None = None) -> httpx2.Response:
        headers = {"Authorization": f"Bearer {self.token}"}
        return httpx2.request(
            method, f"{self.dashboard}/api/serve/applications/", json=body, headers=headers, timeout=30
        )

    def await_running(self, application: str, limit_s: float = 120) -> dict[str, Any]:
        """The application's details once every deployment is healthy and every replica runs."""

        def running() -> dict[str, Any] | None:
            details = self.status(application)
            if details.get("status") == "DEPLOY_FAILED":
                raise AssertionError(details)
            replicas = [r for d in details.get("deployments", {}).values() for r in d["replicas"]]
            done = details.get("status") == "RUNNING" and all(r["state"] == "RUNNING" for r in replicas)
            return details if done else None

        return await_value(running, limit_s)


def await_value(find: Callable[[], T | None], limit_s: float = 60) -> T:
    """The first result of `find` that is not None; an `AssertionError` when there is none in time."""
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        found = find()
        if found is not None:
            return found
        time.sleep(0.1)
    raise AssertionError(f"nothing after {limit_s} s")


def free_ports(count: int) -> list[int]:
    """Ports below Linux's ephemeral range, and outside the one that Ray gives its workers here."""
    found: list[int] = []
    while len(found) < count:
        port = 20_000 + secrets.randbelow(5_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            if port not in found:
                found.append(port)
    return found


@contextlib.contextmanager
def private_ray(cpus: int = 2) -> Iterator[PrivateRay]:
    folder = Path(tempfile.mkdtemp(prefix="rr-", dir="/tmp"))  # sockets have short names only
    mark = secrets.token_hex(8)
    gcs, dashboard, agent, agent_grpc, metrics, client, serve, haproxy_metrics, haproxy_stats, env_agent = free_ports(
        10
    )
    lowest = 25_000 + 100 * secrets.randbelow(20)
    token = secrets.token_hex(16)
    environment = {
        **os.environ,
        MARK: mark,
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": token,
        "RAY_SERVE_ENABLE_HA_PROXY": "1",
        "RAY_SERVE_HAPROXY_RETRY_ON": "conn-failure empty-response",
        "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
        "RAY_SERVE_HAPROXY_METRICS_PORT": str(haproxy_metrics),
        "RAY_SERVE_HAPROXY_STATS_PORT": str(haproxy_stats),
        "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": f"{folder}/haproxy/haproxy.cfg",
        "RAY_SERVE_HAPROXY_SOCKET_PATH": f"{folder}/haproxy/admin.sock",
        "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": f"{folder}/haproxy",
        "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": f"{folder}/haproxy/server-state",
        "RAY_SERVE_HAPROXY_METRICS_SOCKET_PATH": f"{folder}/haproxy/metrics.sock",
        "RAY_SERVE_DIRECT_INGRESS_MIN_HTTP_PORT": str(lowest + 5_000),
        "RAY_SERVE_DIRECT_INGRESS_MAX_HTTP_PORT": str(lowest + 5_099),
        "RAY_SERVE_DIRECT_INGRESS_MIN_GRPC_PORT": str(lowest + 7_000),
        "RAY_SERVE_DIRECT_INGRESS_MAX_GRPC_PORT": str(lowest + 7_099),
        "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "1",
        "RAY_DISABLE_IMPORT_WARNING": "1",
    }
    arguments = {
        "port": gcs,
        "node-ip-address": "127.0.0.1",
        "dashboard-host": "127.0.0.1",
        "dashboard-port": dashboard,
        "dashboard-agent-listen-port": agent,
        "dashboard-agent-grpc-port": agent_grpc,
        "runtime-env-agent-port": env_agent,
        "metrics-export-port": metrics,
        "ray-client-server-port": client,
        "min-worker-port": lowest,
        "max-worker-port": lowest + 99,
        "num-cpus": cpus,
        "object-store-memory": 100_000_000,
        "temp-dir": str(folder / "ray"),
    }
    command = [str(Path(sys.executable).parent / "ray"), "start", "--head", "--disable-usage-stats", "--block"]
    command += [f"--{name}={value}" for name, value in arguments.items()]
    with (folder / "ray.log").open("wb") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output, start_new_session=True)
    ray = PrivateRay(token, f"http://127.0.0.1:{dashboard}", f"http://127.0.0.1:{serve}", serve, mark)
    try:
        await_value(lambda: _answers(ray) or _ended(process, folder), 90)
        yield ray
    finally:
        _end(process, mark)
        if os.environ.get("RATCHET_TEST_KEEP") != "1":
            shutil.rmtree(folder, ignore_errors=True)


def _answers(ray: PrivateRay) -> bool | None:
    with contextlib.suppress(httpx2.HTTPError):
        return True if ray._call("GET").status_code == 200 else None
    return None


def _ended(process: subprocess.Popen[bytes], folder: Path) -> None:
    if process.poll() is not None:
        raise AssertionError((folder / "ray.log").read_text()[-3000:])


def _end(process: subprocess.Popen[bytes], mark: str) -> None:
    """End all that descends from this Ray, by its mark in the environment: never another Ray's."""
    for ask in ("terminate", "kill"):
        mine = _of(mark)
        for one in mine:
            with contextlib.suppress(psutil.Error):
                getattr(one, ask)()
        psutil.wait_procs(mine, timeout=10)
    process.wait(10)


def _of(mark: str) -> list[psutil.Process]:
    mine = [p for p in psutil.process_iter() if p.pid != os.getpid() and _marked(p, mark)]
    return list({*mine, *(child for p in mine for child in _children(p))})


def _command(process: psutil.Process) -> list[str]:
    with contextlib.suppress(psutil.Error):
        return list(process.cmdline())
    return []


def _marked(process: psutil.Process, mark: str) -> bool:
    with contextlib.suppress(psutil.Error):
        return process.environ().get(MARK) == mark
    return False


def _children(process: psutil.Process) -> list[psutil.Process]:
    with contextlib.suppress(psutil.Error):
        return process.children(recursive=True)
    return []
