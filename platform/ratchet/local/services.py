"""Every process of a local stack, listed once: its command, its environment, how one sees that it is ready."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ratchet.local.layout import Layout
from ratchet.local.ports import INGRESS, WORKERS, Ports

FEW_HEAPS = {"MALLOC_ARENA_MAX": "2"}
"""glibc gives each thread a heap of its own otherwise, and a server with many keeps the most that each ever had."""
OBJECT_STORE_BYTES = 300_000_000
"""Shared memory for Ray's objects: jobs read their data from storage, so what passes here is small."""


@dataclass(frozen=True)
class Probe:
    """Ready when a GET of `url` answers 200. `token_file`: sent as a bearer token."""

    url: str
    token_file: Path | None = None


@dataclass(frozen=True)
class Service:
    name: str
    title: str
    command: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    part: str = ""
    """The heading its memory is counted under; its name when empty."""
    after: tuple[str, ...] = ()
    """Names of the services that must be ready before it starts."""
    probe: Probe | None = None
    """Without one it is ready once its log holds `says`; without either, once it runs (`once`: when it ended well)."""
    says: str = ""
    once: bool = False
    nice: int = 0
    """How far it stands back where processors are short (man 2 setpriority); what it starts does, too."""
    daemons: tuple[str, ...] = ()
    """For a command that ends and leaves daemons behind: what the command lines of those that must live hold."""
    timeout_s: float = 60.0
    url: str = ""
    remedy: str = ""


def services(layout: Layout, ports: Ports) -> tuple[Service, ...]:
    common = platform_environment(layout, ports)
    python = sys.executable
    return (
        ray(layout, ports),
        mlflow(layout, ports),
        Service(
            name="migrations",
            title="Database",
            command=(python, "-m", "ratchet.migrate"),
            env=common,
            once=True,
            url=f"sqlite:///{layout.database}",
            remedy="`ratchet doctor` checks the database file; a copy of it lies beside it when it was migrated.",
        ),
        Service(
            name="api",
            title="API",
            command=(python, "-m", "ratchet.serve_api"),
            env=common,
            after=("migrations",),
            probe=Probe(f"http://127.0.0.1:{ports.api}/readyz"),
            url=f"http://127.0.0.1:{ports.api}",
            remedy="See the log above; another program may hold the port: `ratchet doctor`.",
        ),
        Service(
            name="reconciler",
            title="Reconciler",
            command=(python, "-m", "ratchet.reconciler"),
            env=common,
            after=("migrations",),
            says='"event": "started"',
        ),
    )


def urls(ports: Ports) -> dict[str, str]:
    api = f"http://127.0.0.1:{ports.api}"
    return {
        "dashboard": f"{api}/",
        "api": f"{api}/api/v1",
        "mlflow": f"{api}/mlflow",
        "serving": f"http://127.0.0.1:{ports.serve}",
        "ray": f"http://127.0.0.1:{ports.ray_dashboard}",
    }


def platform_environment(layout: Layout, ports: Ports) -> dict[str, str]:
    """What API, migrations and reconciler are told. Secrets go by file, never by value."""
    return {
        "RATCHET_HOME": str(layout.home),
        "RATCHET_DATABASE_URL": f"sqlite:///{layout.database}",
        "RATCHET_STORAGE_URI": layout.storage.as_uri(),
        "RATCHET_HOST": "127.0.0.1",
        "RATCHET_PORT": str(ports.api),
        "RATCHET_PUBLIC_URL": f"http://127.0.0.1:{ports.api}",
        "RATCHET_BOOTSTRAP_TOKEN_FILE": str(layout.token),
        "RATCHET_RAY_ADDRESS": f"http://127.0.0.1:{ports.ray_dashboard}",
        "RATCHET_RAY_TOKEN_FILE": str(layout.ray_token),
        "RATCHET_SECRET_KEY_FILE": str(layout.secret_key),
        "RATCHET_SERVING_TOKEN_FILE": str(layout.serving_token),
        "RATCHET_MLFLOW_TOKEN_FILE": str(layout.mlflow_token),
        "RATCHET_MLFLOW_URL": f"http://127.0.0.1:{ports.mlflow}/mlflow",
        "RATCHET_SERVE_URL": f"http://127.0.0.1:{ports.serve}",
        "RATCHET_SERVE_PORT": str(ports.serve),
        **FEW_HEAPS,
    }


def mlflow(layout: Layout, ports: Ports) -> Service:
    return Service(
        name="mlflow",
        title="MLflow",
        command=(
            *(sys.executable, "-m", "ratchet_pipelines.tracking_server", "--host=127.0.0.1", f"--port={ports.mlflow}"),
            f"--artifacts={(layout.storage / 'mlflow').as_uri()}",
            f"--token-file={layout.mlflow_token}",
        ),
        env={"MLFLOW_BACKEND_STORE_URI": f"sqlite:///{layout.mlflow_database}", **FEW_HEAPS},
        # Not /health: it answers before the store is open, and the first to ask would wait while the schema is made.
        probe=Probe(
            f"http://127.0.0.1:{ports.mlflow}/mlflow/api/2.0/mlflow/experiments/search?max_results=1",
            layout.mlflow_token,
        ),
        url=f"http://127.0.0.1:{ports.api}/mlflow",
        remedy=f"See the log above. `mlflow db upgrade sqlite:///{layout.mlflow_database}` migrates an older database.",
    )


def ray(layout: Layout, ports: Ports) -> Service:
    inner = ports.inner
    options = {
        "node-ip-address": "127.0.0.1",
        "port": inner(0),
        "dashboard-host": "127.0.0.1",
        "dashboard-port": ports.ray_dashboard,
        "dashboard-agent-listen-port": inner(2),
        "dashboard-agent-grpc-port": inner(3),
        "runtime-env-agent-port": inner(4),
        "metrics-export-port": inner(5),
        "node-manager-port": inner(6),
        "object-manager-port": inner(7),
        "ray-client-server-port": inner(8),
        "min-worker-port": inner(WORKERS[0]),
        "max-worker-port": inner(WORKERS[1]),
        "num-cpus": len(os.sched_getaffinity(0)),
        "object-store-memory": OBJECT_STORE_BYTES,
        "temp-dir": layout.ray,
    }
    return Service(
        name="ray",
        title="Ray",
        # Without --block: that process would only wait, and weighs 144 MB. The supervisor watches the daemons itself.
        command=(
            *(sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--disable-usage-stats"),
            *(f"--{name}={value}" for name, value in options.items()),
        ),
        env=ray_environment(layout, ports),
        # The API answers also while training takes every core. Or while Ray's dashboard and agents do: without their
        # store of state they ask for it in a loop. Ray's own workers stand back further (`worker_niceness`, 15).
        nice=10,
        probe=Probe(f"http://127.0.0.1:{ports.ray_dashboard}/api/jobs/", layout.ray_token),
        daemons=("/gcs_server", "/raylet/raylet", "/dashboard/dashboard.py"),
        timeout_s=90.0,
        url=f"http://127.0.0.1:{ports.ray_dashboard}",
        remedy=f"See the log above, and {layout.ray}/session_latest/logs. `ratchet doctor` checks memory and /dev/shm.",
    )


def ray_environment(layout: Layout, ports: Ports) -> dict[str, str]:
    inner = ports.inner
    return {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(layout.ray_token),
        # "No cluster of several machines": Ray then listens on 127.0.0.1 alone, where it would resolve that address to
        # the machine's outer one (ray/_private/services.py, resolve_ip_for_localhost).
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
        # With another Ray on the machine a worker that asks for "the" cluster must find this one.
        "RAY_ADDRESS": f"127.0.0.1:{inner(0)}",
        "RAY_TRAIN_ENABLE_STATE_TRACKING": "1",
        "RAY_SERVE_ENABLE_HA_PROXY": "1",
        # A prediction changes nothing: where its replica dies before it answers, another is asked.
        "RAY_SERVE_HAPROXY_RETRY_ON": "conn-failure empty-response",
        "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
        "RAY_SERVE_KV_TIMEOUT_S": "10",
        # All that Serve and its HAProxy open has a fixed default; another Serve on the machine would hold it.
        "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT": str(inner(20)),
        "RAY_SERVE_FALLBACK_PROXY_GRPC_PORT": str(inner(21)),
        "RAY_SERVE_HAPROXY_METRICS_PORT": str(inner(22)),
        "RAY_SERVE_HAPROXY_STATS_PORT": str(inner(23)),
        "RAY_SERVE_DIRECT_INGRESS_MIN_HTTP_PORT": str(inner(INGRESS[0])),
        "RAY_SERVE_DIRECT_INGRESS_MAX_HTTP_PORT": str(inner(INGRESS[1])),
        "RAY_SERVE_DIRECT_INGRESS_MIN_GRPC_PORT": str(inner(INGRESS[0] + 100)),
        "RAY_SERVE_DIRECT_INGRESS_MAX_GRPC_PORT": str(inner(INGRESS[1] + 100)),
        "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": str(layout.haproxy / "haproxy.cfg"),
        "RAY_SERVE_HAPROXY_SOCKET_PATH": str(layout.haproxy / "admin.sock"),
        "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": str(layout.haproxy),
        "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": str(layout.haproxy / "server-state"),
        "RAY_SERVE_HAPROXY_METRICS_SOCKET_PATH": str(layout.haproxy / "metrics.sock"),
        **FEW_HEAPS,
    }
