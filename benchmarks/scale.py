"""How fast the API answers with 100,000 jobs and 1,000,000 events in its database, on SQLite and on Postgres.

    python -m benchmarks.scale [--jobs 100000] [--events 1000000] [--seconds 5]

    get        one job by its id, chosen at random
    wait       why one of the queued jobs waits, a tenth of all, and when it will start
    list       the newest fifty jobs, and pages further on
    filter     what an index finds, what is looked for, what there is none of; in other orders; and of the events
    baseline   the same get against a database with 100 jobs, in the same minute

Two callers on kept connections, on the same machine as the server.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from benchmarks.load import JOB, Ask, Figures, Platform, call, database, platform
from sqlalchemy import insert

from ratchet import db
from ratchet.events import Event
from ratchet.jobs.status import JobStatus
from ratchet.jobs.tables import Job
from ratchet.projects.service import ensure_default

WANTED_GET_P99_MS = 50
WANTED_LIST_P95_MS = 150
CALLERS = 2
CHUNK = 5_000
QUEUED = 10
"""One job in so many waits: the newest."""
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
STATES = [JobStatus.SUCCEEDED] * 80 + [JobStatus.FAILED] * 12 + [JobStatus.CANCELLED] * 8


def rows_of_jobs(count: int, draw: random.Random) -> Iterator[dict[str, Any]]:
    for number in range(count):
        created = BEGAN + timedelta(minutes=number)
        yield {
            "id": db.new_id("job"),
            "project": "default",
            "kind": draw.choice(["train", "train", "train", "sweep", "evaluate"]),
            "name": f"{draw.choice(['churn', 'fraud', 'ranking', 'vision'])}-{number}",
            "spec": JOB,
            "created_by": draw.choice(["ada", "grace", "alan"]),
            "cpus": 1,
            "gpus": 0,
            "status": (JobStatus.QUEUED if number >= count - count // QUEUED else draw.choice(STATES)).value,
            "attempt": 1,
            "metrics": {"val/loss": draw.random(), "test/accuracy": draw.random()},
            "created_at": created,
            "updated_at": created,
            "ended_at": created + timedelta(minutes=draw.randint(1, 60)),
            "due_at": None,
        }


def rows_of_events(count: int, jobs: list[str]) -> Iterator[dict[str, Any]]:
    for number in range(count):
        yield {
            "project": "default",
            "actor": "system",
            "action": "job.running",
            "target_kind": "job",
            "target_id": jobs[number % len(jobs)],
            "before": {"status": "starting"},
            "after": {"status": "running", "attempt": 1},
            "message": "",
        }


def fill(url: str, jobs: int, events: int) -> list[str]:
    engine = db.open_engine(url)
    began = time.perf_counter()
    with db.session_factory(engine)() as session:
        ensure_default(session)
        session.commit()
    rows = list(rows_of_jobs(jobs, random.Random(0)))
    ids = [row["id"] for row in rows]
    for table, made in ((Job, iter(rows)), (Event, rows_of_events(events, ids))):
        while chunk := [row for row, _ in zip(made, range(CHUNK), strict=False)]:
            with engine.begin() as connection:
                connection.execute(insert(table), chunk)
    with engine.connect() as connection:  # as the database does by itself before long
        connection.exec_driver_sql("ANALYZE")
        connection.commit()
    engine.dispose()
    print(f"          {jobs:,} jobs and {events:,} events written in {time.perf_counter() - began:.0f} s", flush=True)
    return ids


def asks(ours: Platform, ids: list[str]) -> dict[str, Callable[[int, int], Ask]]:
    jobs, draw = "/api/v1/projects/default/jobs", random.Random(1)

    def get(path: str) -> Ask:
        return "GET", path, None, ours.headers

    tokens, queued = page_tokens(ours, jobs), ids[-(len(ids) // QUEUED) :]
    middle = (BEGAN + timedelta(minutes=len(ids) // 2)).isoformat().replace("+00:00", "Z")
    filters = [
        {"filter": 'status = "failed"'},
        {"filter": 'status = "failed"', "order_by": "ended_at desc"},
        {"filter": 'status in ("failed", "cancelled") and created_by = "ada"'},
        {"filter": f'created_at > "{middle}" and kind = "sweep"'},
        {"filter": 'status = "succeeded" and created_by = "ada"', "order_by": "created_at asc"},
        {"filter": 'name ~ "fraud-99"'},
        {"filter": 'name = "fraud-nothing"'},
        {"filter": "metrics.val/loss < 0.001"},
        {"filter": "params.epochs > 2"},
        {"order_by": "name asc"},
    ]
    of_events = [
        lambda: f'target.id = "{draw.choice(ids)}"',
        lambda: 'action = "job.running"',
        lambda: 'actor = "ada"',
        lambda: f'at < "{(datetime.now(UTC) - timedelta(days=1)).isoformat().replace("+00:00", "Z")}"',
    ]
    return {
        "get": lambda *_: get(f"{jobs}/{draw.choice(ids)}"),
        "wait": lambda *_: get(f"{jobs}/{draw.choice(queued)}/wait"),
        "list": lambda *_: get(f"{jobs}?" + urlencode({"page_size": 50, "page_token": draw.choice(tokens)})),
        **{
            f"filter {' '.join(each.values())}": (
                lambda *_, each=each: get(f"{jobs}?" + urlencode(each, quote_via=quote))
            )
            for each in filters
        },
        **{
            f"events {each()[:40]}": (
                lambda *_, each=each: get("/api/v1/projects/default/events?" + urlencode({"filter": each()}))
            )
            for each in of_events
        },
    }


def page_tokens(ours: Platform, path: str, pages: int = 20) -> list[str]:
    connection, tokens = HTTPConnection("127.0.0.1", ours.port, timeout=30), [""]
    for _ in range(pages):
        connection.request("GET", f"{path}?" + urlencode({"page_token": tokens[-1]}), headers=ours.headers)
        tokens.append(json.loads(connection.getresponse().read())["next_page_token"])
    return [token for token in tokens[:1] + tokens if token or token == tokens[0]]


def measure(kind: str, jobs: int, events: int, seconds: float) -> dict[str, Figures]:
    with tempfile.TemporaryDirectory() as name, database(kind, Path(name)) as url:
        db.upgrade(url)
        ids = fill(url, jobs, events)
        with platform(Path(name), url) as ours:
            found = {}
            for what, ask in asks(ours, ids).items():
                found[what] = call(ours.port, ask, callers=CALLERS, seconds=seconds)
                print(f"{kind:9} {what[:60]:60} {found[what]}", flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--jobs", type=int, default=100_000)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=5)
    given = parser.parse_args()
    for kind in ("sqlite", "postgres"):
        small = measure(kind, 100, 1_000, given.seconds)["get"]
        found = measure(kind, given.jobs, given.events, given.seconds)
        get = found.pop("get")
        slowest = max(found.values(), key=lambda figures: figures.quantile_ms(0.95)).quantile_ms(0.95)
        met = get.quantile_ms(0.99) <= WANTED_GET_P99_MS and slowest <= WANTED_LIST_P95_MS
        p99, ratio = get.quantile_ms(0.99), get.quantile_ms(0.99) / small.quantile_ms(0.99)
        print(f"{kind:9} get p99 {p99:.1f} ms, {ratio:.2f} of the baseline's; slowest list p95 {slowest:.1f} ms")
        verdict = "met" if met else "MISSED"
        print(f"{kind:9} wanted p99 {WANTED_GET_P99_MS} ms and p95 {WANTED_LIST_P95_MS} ms: {verdict}", flush=True)


if __name__ == "__main__":
    main()
