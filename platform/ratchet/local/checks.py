"""Checks what a local stack needs, and says how to mend what is wrong."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

from ratchet.local import ports
from ratchet.local.layout import Layout
from ratchet.local.runner import answers
from ratchet.local.services import OBJECT_STORE_BYTES, Probe
from ratchet.local.statefile import read

GB = 1_000_000_000
PACKAGES = {
    "ray": ("2.60.",),
    "mlflow": ("3.17.",),
    "evidently": ("0.7.",),
    "pandas": ("2.",),
    "torch": ("2.13.",),
    "fastapi": ("0.",),
    "sqlalchemy": ("2.",),
}
"""The versions that the parts were tried with, by their beginnings."""


@dataclass(frozen=True)
class Check:
    name: str
    level: Literal["ok", "warn", "fail"]
    detail: str
    remedy: str = ""


def doctor(home: Path) -> list[Check]:
    """Every check, in the order in which one thing needs the other. None of them changes anything."""
    layout = Layout.at(home)
    checks: list[Callable[[Layout], Iterator[Check]]] = [
        _python,
        _packages,
        _home,
        _disk,
        _memory,
        _shared_memory,
        _gpu,
        _clock,
        _ports,
        _databases,
        _running,
    ]
    return [found for check in checks for found in _guarded(check, layout)]


def _guarded(check: Callable[[Layout], Iterator[Check]], layout: Layout) -> list[Check]:
    try:
        return list(check(layout))
    except (OSError, sqlite3.Error, subprocess.SubprocessError) as error:
        return [Check(check.__name__.strip("_"), "warn", f"could not be checked: {error}")]


def _python(_: Layout) -> Iterator[Check]:
    found = sys.version.split()[0]
    if sys.platform != "linux":
        yield Check(
            "platform", "fail", sys.platform, "`ratchet up` needs Linux; a container or virtual machine will do."
        )
    yield Check("Python", "ok", f"{found} at {sys.executable}")


def _packages(_: Layout) -> Iterator[Check]:
    for name, wanted in PACKAGES.items():
        try:
            found = version(name)
        except PackageNotFoundError:
            yield Check(name, "fail", "not installed", "pip install 'ratchet[all]'")
            continue
        if found.startswith(wanted):
            yield Check(name, "ok", found)
        else:
            yield Check(name, "fail", f"{found}; {wanted[0]}x is needed", f"pip install '{name}=={wanted[0]}*'")


def _home(layout: Layout) -> Iterator[Check]:
    if not layout.home.exists():
        yield Check("home", "ok", f"{layout.home} will be made by the first `ratchet up`")
        return
    if not os.access(layout.home, os.W_OK):
        yield Check("home", "fail", f"{layout.home} cannot be written", f"sudo chown -R $USER {layout.home}")
        return
    open_to_others = [
        path for path in (layout.home, layout.token, layout.ray_token) if path.exists() and path.stat().st_mode & 0o077
    ]
    if open_to_others:
        names = " ".join(map(str, open_to_others))
        yield Check("home", "warn", f"others may read {names}", f"chmod go-rwx {names}")
    else:
        yield Check("home", "ok", f"{layout.home}, yours alone")


def _disk(layout: Layout) -> Iterator[Check]:
    folder = next(path for path in (layout.home, *layout.home.parents) if path.exists())
    usage = shutil.disk_usage(folder)
    detail = f"{usage.free / GB:.1f} GB free of {usage.total / GB:.0f} GB at {folder}"
    if usage.free < 1 * GB:
        yield Check("disk", "fail", detail, "Make room, or set RATCHET_HOME to a folder on a larger disk.")
    elif usage.free < 0.05 * usage.total or usage.free < 5 * GB:
        yield Check("disk", "warn", detail, "Ray stops taking objects when the disk is 95% full.")
    else:
        yield Check("disk", "ok", detail)


def _memory(_: Layout) -> Iterator[Check]:
    lines = Path("/proc/meminfo").read_text().splitlines()
    kb = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines)}
    free = kb["MemAvailable"] * 1024
    detail = f"{free / GB:.1f} GB available of {kb['MemTotal'] * 1024 / GB:.1f} GB"
    level: Literal["ok", "warn"] = "ok" if free > 3 * GB else "warn"
    yield Check("memory", level, detail, "" if level == "ok" else "The stack takes 1.5 GB idle, a small job 1 GB more.")


def _shared_memory(_: Layout) -> Iterator[Check]:
    usage = shutil.disk_usage("/dev/shm")  # noqa: S108 - where Ray keeps its objects
    detail = f"{usage.free / GB:.1f} GB free in /dev/shm"
    if usage.free < OBJECT_STORE_BYTES:
        yield Check("shared memory", "warn", detail, "Ray then uses slow files in /tmp; in Docker give --shm-size=1g.")
    else:
        yield Check("shared memory", "ok", detail)


def _gpu(_: Layout) -> Iterator[Check]:
    tool = shutil.which("nvidia-smi")
    if tool is None:
        yield Check("GPU", "ok", "none; jobs run on the CPU")
        return
    query = [tool, "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    asked = subprocess.run(query, capture_output=True, text=True, timeout=10, check=False)  # noqa: S603
    if asked.returncode == 0:
        yield Check("GPU", "ok", "; ".join(asked.stdout.strip().splitlines()))
    else:
        reason = (asked.stdout + asked.stderr).strip()[:200]
        yield Check("GPU", "warn", reason, "Check the NVIDIA driver; jobs run on the CPU meanwhile.")


def _clock(layout: Layout) -> Iterator[Check]:
    folder = layout.home if layout.home.exists() else Path(tempfile.gettempdir())
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        skew = Path(file.name).stat().st_mtime - time.time()
    built = Path(__file__).stat().st_mtime
    if abs(skew) > 2:
        yield Check(
            "clock", "warn", f"files in {folder} are {skew:+.1f} s off", "Synchronise the clocks (chrony, ntpd)."
        )
    elif time.time() < built - 86_400:
        yield Check(
            "clock", "fail", "the clock is before this program was installed", "Set it: sudo timedatectl set-ntp true"
        )
    else:
        yield Check("clock", "ok", time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()))


def _ports(layout: Layout) -> Iterator[Check]:
    if read(layout.home):
        return  # held by the stack itself
    chosen = ports.load(layout.ports)
    wanted = {"API": chosen.api, "predictions": chosen.serve} if chosen else {"API": ports.DEFAULT_PORT}
    for name, port in wanted.items():
        if ports.is_free(port):
            yield Check(f"port {port}", "ok", f"free, for the {name}")
        else:
            yield Check(f"port {port}", "warn", "taken by another program", "`ratchet up` takes the next free one.")
    if chosen and not ports.block_is_free(chosen.base):
        yield Check(f"ports {chosen.base}+", "warn", "some are taken", "`ratchet up` takes another block of ports.")


def _databases(layout: Layout) -> Iterator[Check]:
    for name, file in (("database", layout.database), ("MLflow's database", layout.mlflow_database)):
        if not file.exists():
            yield Check(name, "ok", "not there yet; `ratchet up` makes it")
            continue
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=5)) as connection:
            verdict = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
            found = connection.execute("SELECT name FROM sqlite_master WHERE name = 'alembic_version'").fetchone()
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone() if found else None
        if verdict != "ok":
            yield Check(name, "fail", f"{file} is damaged: {verdict}", f"ratchet down; sqlite3 {file} .recover")
        elif row is None:
            yield Check(name, "warn", f"{file} has no schema", "`ratchet up` migrates it.")
        else:
            yield Check(name, "ok", f"whole, at migration {row[0]}, {file.stat().st_size / 1e6:.1f} MB")


def _running(layout: Layout) -> Iterator[Check]:
    state, chosen = read(layout.home), ports.load(layout.ports)
    if state is None or chosen is None:
        yield Check("stack", "ok", "not running; `ratchet up` starts it")
        return
    ray = f"http://127.0.0.1:{chosen.ray_dashboard}/api/jobs/"
    probes = {
        "API": Probe(f"http://127.0.0.1:{chosen.api}/healthz"),
        "MLflow": Probe(f"http://127.0.0.1:{chosen.mlflow}/mlflow/health"),
        "Ray": Probe(ray, layout.ray_token),
    }
    for name, probe in probes.items():
        if answers(probe):
            yield Check(name, "ok", "answers")
        else:
            yield Check(name, "fail", f"{probe.url} does not answer", f"ratchet up; see the logs in {layout.logs}")
    if answers(Probe(ray)):
        yield Check("Ray's token", "fail", "Ray takes orders without a token", "ratchet down && ratchet up")
    else:
        yield Check("Ray's token", "ok", "asked for")
