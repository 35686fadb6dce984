"""How many jobs the platform takes a second, durably, on SQLite and on Postgres; beside it what such a thing can cost.

    python -m benchmarks.submit [--seconds 8] [--callers 16] [--no-ray]

    platform   POST /api/v1/projects/default/jobs with an Idempotency-Key: authenticated, checked, and in the database
               with its event before the answer is sent. As fast as it goes, then at 200 a second.
    floor      one FastAPI route that inserts one row of the same size with SQLAlchemy, committed alike: what any such
               service costs on this machine
    Ray Jobs   POST /api/jobs/ of a private Ray, with an entrypoint that does nothing, from as many connections

Callers run on the same machine and take their share of it, the same for all.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.load import JOB, Ask, Figures, call, database, platform, process, submission
from tests.integration.private_ray import free_ports, private_ray

WANTED_PER_SECOND = 400
STEADY_PER_SECOND = 200
WANTED_P99_MS = 100


def floor_app() -> object:
    from fastapi import FastAPI
    from sqlalchemy import JSON, Column, MetaData, String, Table, insert

    from ratchet.db import new_id, open_engine

    engine = open_engine(os.environ["FLOOR_DATABASE"])
    table = Table("floor", MetaData(), Column("id", String, primary_key=True), Column("spec", JSON))
    table.metadata.create_all(engine)
    app = FastAPI()

    @app.post("/jobs", status_code=202)
    def submit(spec: dict[str, Any]) -> dict[str, str]:
        job = new_id("job")
        with engine.begin() as connection:
            connection.execute(insert(table).values(id=job, spec=spec))
        return {"id": job}

    @app.get("/healthz")
    def healthz() -> dict[str, str]:
        return {}

    return app


@contextmanager
def floor(url: str) -> Iterator[int]:
    port = free_ports(1)[0]
    command = [sys.executable, "-m", "uvicorn", "--factory", "benchmarks.submit:floor_app", f"--port={port}"]
    with process([*command, "--no-access-log", "--log-level=warning"], {"FLOOR_DATABASE": url}, port):
        yield port


def measure(kind: str, seconds: float, callers: int) -> Figures:
    body = json.dumps(JOB).encode()
    plain: Ask = ("POST", "/jobs", body, {"Content-Type": "application/json"})
    with tempfile.TemporaryDirectory() as name, database(kind, Path(name)) as url:
        with floor(url) as port:
            bare = call(port, lambda *_: plain, callers=callers, seconds=seconds)
        print(f"{kind:9} floor                {bare}", flush=True)
        with platform(Path(name), url) as ours:
            call(ours.port, submission(ours.headers), callers=4, seconds=1)
            free = call(ours.port, submission(ours.headers), callers=callers, seconds=seconds)
            print(f"{kind:9} platform             {free}   {free.per_second / bare.per_second:.2f} of the floor")
            keys = submission(ours.headers)  # none of those before: an answer that is given again costs less
            steady = call(ours.port, keys, callers=callers, seconds=seconds, per_second=STEADY_PER_SECOND)
            print(f"{kind:9} platform at {STEADY_PER_SECOND}/s    {steady}", flush=True)
    ok = free.per_second >= WANTED_PER_SECOND and steady.quantile_ms(0.99) <= WANTED_P99_MS
    print(
        f"{kind:9} wanted {WANTED_PER_SECOND}/s, and p99 {WANTED_P99_MS} ms at {STEADY_PER_SECOND}/s: "
        + ("met" if ok else "MISSED")
    )
    return free


def measure_ray(seconds: float, callers: int) -> Figures:
    with private_ray() as ray:
        port = int(ray.dashboard.rpartition(":")[2])
        headers = {"Authorization": f"Bearer {ray.token}", "Content-Type": "application/json"}
        body = json.dumps({"entrypoint": "true", "entrypoint_num_cpus": 0}).encode()
        taken = call(port, lambda *_: ("POST", "/api/jobs/", body, headers), callers=callers, seconds=seconds)
    print(f"Ray Jobs  accepts              {taken}", flush=True)
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--callers", type=int, default=16)
    parser.add_argument("--no-ray", action="store_true", help="leave Ray's own Jobs API out")
    given = parser.parse_args()
    taken = {kind: measure(kind, given.seconds, given.callers) for kind in ("sqlite", "postgres")}
    if not given.no_ray:
        ray = measure_ray(min(given.seconds, 5), 4)
        for kind, ours in taken.items():
            print(f"{kind:9} takes {ours.per_second / ray.per_second:.0f} times as many a second as Ray Jobs")


if __name__ == "__main__":
    main()
