"""Twenty submissions a second for twenty minutes, each job run to its end by engines that do nothing: what grows?

    python -m benchmarks.soak [--minutes 20] [--per-second 20] [--database sqlite]

Starts the API and the reconciler as `ratchet up` does, and the engines of `benchmarks.fake_engines`. Memory
(proportional set size) and open files of both processes are taken every ten seconds. The first fifth of the time is for
warming up: pools and caches fill. The growth is of the straight line fitted through the rest, over the whole of the
rest; the baseline is what the process had when the warm-up ended.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

import psutil
from benchmarks.load import Figures, Platform, call, database, platform, process, submission
from rich.console import Console
from rich.progress import Progress
from sqlalchemy import func, select
from tests.integration.private_ray import await_value, free_ports

from ratchet import db
from ratchet.jobs.tables import Job
from ratchet.local.services import FEW_HEAPS

EVERY_S = 10
BURST = 16
WARM_UP = 0.2
WANTED_GROWTH = 0.05
DRAIN_S = 120
console = Console()


class Watch(threading.Thread):
    """Takes the memory (MiB) and the open files of processes."""

    def __init__(self, processes: dict[str, psutil.Process]) -> None:
        super().__init__(daemon=True)
        self.processes = processes
        self.over = threading.Event()
        self.taken: dict[str, list[tuple[float, float, int]]] = {name: [] for name in processes}

    def run(self) -> None:
        while not self.over.wait(EVERY_S):
            for name, each in self.processes.items():
                memory = each.memory_full_info().pss / 2**20
                self.taken[name].append((time.monotonic(), memory, each.num_fds()))


@contextmanager
def engines(job_s: float) -> Iterator[str]:
    port = free_ports(1)[0]
    command = [sys.executable, "-m", "uvicorn", "--factory", "benchmarks.fake_engines:app", f"--port={port}"]
    quiet = ["--no-access-log", "--log-level=warning"]
    with process([*command, *quiet], {"FAKE_JOB_S": str(job_s)}, port):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def reconciler(folder: Path, url: str, engine: str) -> Iterator[subprocess.Popen[bytes]]:
    environment = {
        "RATCHET_HOME": str(folder),
        "RATCHET_DATABASE_URL": url,
        "RATCHET_STORAGE_URI": (folder / "storage").as_uri(),
        "RATCHET_RAY_ADDRESS": engine,
        "RATCHET_MLFLOW_URL": engine,
        "RATCHET_MAX_CONCURRENT_JOBS": "1000",
        **FEW_HEAPS,
    }
    log = (folder / "reconciler.log").open("wb")
    running = subprocess.Popen(
        [sys.executable, "-m", "ratchet.reconciler"], env={**os.environ, **environment}, stdout=log, stderr=log
    )
    try:
        yield running
    finally:
        running.terminate()
        running.wait(30)
        log.close()


def growth(samples: Sequence[tuple[float, float, int]]) -> tuple[float, float, int]:
    """Of the fitted line over the samples after the warm-up: share of memory; its start in MiB; open files gained."""
    rest = samples[int(len(samples) * WARM_UP) :]
    moments, memory = [each[0] for each in rest], [each[1] for each in rest]
    slope, intercept = statistics.linear_regression(moments, memory)
    start = intercept + slope * moments[0]
    files = statistics.median(each[2] for each in rest[-5:]) - statistics.median(each[2] for each in rest[:5])
    return slope * (moments[-1] - moments[0]) / start, start, round(files)


def counts(url: str) -> dict[str, int]:
    engine = db.open_engine(url)
    with db.read_only(db.session_factory(engine)) as session:
        found = dict(session.execute(select(Job.status, func.count()).group_by(Job.status)).all())
    engine.dispose()
    return found


def soak(kind: str, minutes: float, per_second: float, job_s: float) -> bool:
    with tempfile.TemporaryDirectory() as name, database(kind, Path(name)) as url, engines(job_s) as engine:
        folder = Path(name)
        with platform(folder, url) as ours, reconciler(folder, url, engine) as loop:
            api = next(
                child
                for child in psutil.Process().children(recursive=True)
                if "ratchet.serve_api" in " ".join(child.cmdline())
            )
            watch = Watch({"API": api, "reconciler": psutil.Process(loop.pid)})
            watch.start()
            burst = call(ours.port, submission(ours.headers), callers=BURST, seconds=0.3)  # fills the pools
            taken = _submit(ours, minutes * 60, per_second)
            sent = len(burst.seconds) + len(taken.seconds)
            await_value(lambda: set(counts(url)) == {"succeeded"} or None, DRAIN_S)
            watch.over.set()
            done, told = counts(url), json.load(urlopen(f"{engine}/counts"))
    console.print(f"submissions   {taken}")
    console.print(
        f"jobs          {done}; {sent} acknowledged; the engine ran {told['submitted']}, {told['doubled']} twice"
    )
    ok = not taken.failures and done == {"succeeded": sent} and told == {"submitted": sent, "doubled": 0}
    for who, samples in watch.taken.items():
        share, start, files = growth(samples)
        console.print(f"{who:13} {start:6.1f} MiB at first, growth {share:+.1%}; open files {files:+d}")
        each_minute = samples[:: 60 // EVERY_S]
        console.print(f"{'':13} MiB each minute: {' '.join(f'{memory:.0f}' for _, memory, _ in each_minute)}")
        ok = ok and share < WANTED_GROWTH and files <= 1
    verdict = "met" if ok else "MISSED"
    console.print(f"wanted growth under {WANTED_GROWTH:.0%}, open files flat, nothing lost or doubled: {verdict}")
    return ok


def _submit(ours: Platform, seconds: float, per_second: float) -> Figures:
    """In slices, so that there is something to see."""
    began, figures = time.monotonic(), []
    with Progress(console=console) as progress:
        task = progress.add_task(f"{per_second:g} jobs a second", total=seconds)
        while (passed := time.monotonic() - began) < seconds:
            progress.update(task, completed=passed)
            ask, left = submission(ours.headers), seconds - passed
            figures.append(call(ours.port, ask, callers=4, seconds=min(10, left), per_second=per_second))
        progress.update(task, completed=seconds)
    return Figures(
        [each for one in figures for each in one.seconds],
        sum(one.wall_s for one in figures),
        sum(one.failures for one in figures),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--per-second", type=float, default=20)
    parser.add_argument("--job-seconds", type=float, default=1)
    parser.add_argument("--database", choices=["sqlite", "postgres"], default="sqlite")
    given = parser.parse_args()
    sys.exit(not soak(given.database, given.minutes, given.per_second, given.job_seconds))


if __name__ == "__main__":
    main()
