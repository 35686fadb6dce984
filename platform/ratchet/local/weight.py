"""What each part of a local stack weighs, by proportional set size."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ratchet.local import processes
from ratchet.local.layout import Layout

RAY_PARTS = (
    ("/gcs_server", "Ray: GCS"),
    ("/raylet/raylet", "Ray: raylet and object store"),
    ("dashboard/dashboard.py", "Ray: dashboard"),
    ("ray-dashboard-", "Ray: dashboard"),
    ("multiprocessing", "Ray: dashboard"),
    ("ray::DashboardAgent", "Ray: agents"),
    ("ray::RuntimeEnvAgent", "Ray: agents"),
    ("runtime_env/agent", "Ray: agents"),
    ("dashboard/agent.py", "Ray: agents"),
    ("log_monitor.py", "Ray: log monitor"),
    ("autoscaler/_private/monitor.py", "Ray: autoscaler monitor"),
    ("ray.util.client.server", "Ray: client server"),
    ("ray::IDLE", "Ray: idle workers"),
    ("haproxy", "Serve"),
    ("ray::Serve", "Serve"),
    ("ray::Proxy", "Serve"),
    ("ray::HAProxy", "Serve"),
)
"""What a command line holds, and the heading its process is counted under; the first that fits."""
TITLES = {"mlflow": "MLflow", "api": "API", "reconciler": "Reconciler", "supervisor": "Supervisor"}


@dataclass(frozen=True)
class PartMemory:
    part: str
    bytes: int
    """Proportional set size: the sum over all parts is what the stack takes of the machine."""
    processes: int


def memory(home: Path) -> list[PartMemory]:
    """Every part of the stack in `home`, the heaviest first; empty when nothing runs."""
    weights: dict[str, list[int]] = {}
    for process, part in processes.of_stack(Layout.at(home).stack).items():
        weight = processes.proportional_bytes(process.pid)
        weights.setdefault(_heading(part, processes.command(process.pid)), []).append(weight)
    parts = [PartMemory(part, sum(each), len(each)) for part, each in weights.items()]
    return sorted(parts, key=lambda part: -part.bytes)


def _heading(part: str, command: str) -> str:
    if part != "ray":
        return TITLES.get(part, part or "other")
    return next((heading for fragment, heading in RAY_PARTS if fragment in command), "Ray: jobs")
