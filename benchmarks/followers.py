"""How soon many who follow a job see a line of its log, and what they cost the API.

    python -m benchmarks.followers [--followers 100] [--seconds 20] [--lines-per-second 10]

A program prints lines that say when; its output is shipped as that of a job's driver is. Everybody who follows reads
the job's event stream, over a connection of their own. Beside it, in the same run: one follower alone, and as many who
ask for the next page of the log every second instead. CPU is that of the API's process.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import psutil
from benchmarks.load import JOB, Platform, platform, quantile

from ratchet import db
from ratchet.jobs import service
from ratchet.jobs.status import JobStatus
from ratchet_pipelines.spec import Train

PRINTS = """
import sys, time
from ratchet_pipelines.logs.capture import captured
with captured("driver", echo=False):
    while True:
        print(f"at {time.time():.6f} loss 0.123 accuracy 0.987", flush=True)
        time.sleep(float(sys.argv[1]))
"""


@dataclass
class Seen:
    delays: list[float]
    """Seconds from the printing of a line to its arrival, of each line at each reader."""
    cpu_s: float
    wall_s: float

    def __str__(self) -> str:
        p50, p95, p99 = (1000 * quantile(self.delays, fraction) for fraction in (0.5, 0.95, 0.99))
        cpu = 100 * self.cpu_s / self.wall_s
        return (
            f"p50 {p50:5.0f}   p95 {p95:5.0f}   p99 {p99:5.0f} ms   n {len(self.delays):6}   API {cpu:4.0f} % of a core"
        )


def running_job(database: str) -> str:
    """A job that runs, as far as the API knows: no reconciler looks at it here."""
    engine = db.open_engine(database)
    with db.session_factory(engine)() as session:
        spec = Train.model_validate(JOB)
        row = service.submit(session, project="default", spec=spec, actor="benchmark")
        row.status, row.attempt = JobStatus.RUNNING.value, 1
        session.commit()
        job_id = row.id
    engine.dispose()
    return job_id


@contextmanager
def printing(folder: Path, job_id: str, pause_s: float) -> Iterator[None]:
    told = {"storage": (folder / "storage").as_uri(), "job": job_id, "attempt": 1}
    environment = {**os.environ, "RATCHET_JOB": json.dumps(told)}
    program = subprocess.Popen([sys.executable, "-c", PRINTS, str(pause_s)], env=environment)
    try:
        yield
    finally:
        program.terminate()
        program.wait(10)


def arrived(data: str, delays: list[float], since: float) -> str:
    """Takes the lines of a page or event; returns its cursor."""
    now, update = time.time(), json.loads(data)
    moments = [float(entry["text"].split()[1]) for entry in update["entries"]]
    delays += [now - moment for moment in moments if moment >= since]
    return str(update["cursor"])


async def follow(http: httpx2.AsyncClient, address: str, since: float, delays: list[float]) -> None:
    async with http.stream("GET", f"{address}/events") as response:
        response.raise_for_status()
        kind = ""
        async for line in response.aiter_lines():
            if line.startswith("event: "):
                kind = line.removeprefix("event: ")
            elif kind == "log" and line.startswith("data: "):
                arrived(line.removeprefix("data: "), delays, since)


async def poll(http: httpx2.AsyncClient, address: str, since: float, delays: list[float]) -> None:
    cursor = ""
    while True:
        answer = await http.get(f"{address}/logs", params={"cursor": cursor})
        answer.raise_for_status()
        cursor = arrived(answer.text, delays, since)
        await asyncio.sleep(1)


async def measure(at: Platform, job_id: str, readers: int, seconds: float, *, streams: bool) -> Seen:
    address = f"http://127.0.0.1:{at.port}/api/v1/projects/default/jobs/{job_id}"
    delays: list[float] = []
    (api,) = (one for one in psutil.Process().children() if "ratchet.serve_api" in one.cmdline())
    limits = httpx2.Limits(max_connections=readers)
    async with httpx2.AsyncClient(headers=at.headers, limits=limits, timeout=60) as http:
        since = time.time() + 2  # when all are connected and have read what was there
        read = follow if streams else poll
        tasks = [asyncio.create_task(read(http, address, since, delays)) for _ in range(readers)]
        await asyncio.sleep(2)
        before, began = api.cpu_times(), time.perf_counter()
        done, _ = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()
        after, wall = api.cpu_times(), time.perf_counter() - began
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return Seen(delays, after.user + after.system - before.user - before.system, wall)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--followers", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--lines-per-second", type=float, default=10)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with platform(folder, f"sqlite:///{folder / 'ratchet.db'}") as at:
            job_id = running_job(at.database)
            with printing(folder, job_id, 1 / options.lines_per_second):
                time.sleep(2)
                for readers, streams in ((1, True), (options.followers, True), (options.followers, False)):
                    seen = asyncio.run(measure(at, job_id, readers, options.seconds, streams=streams))
                    print(f"{readers:4} {'follow the stream' if streams else 'ask every second '}   {seen}")


if __name__ == "__main__":
    main()
