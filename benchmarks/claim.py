"""How many due rows reconcilers claim and give back a second, and whether any is claimed twice.

python -m benchmarks.claim [--rows 6000] [--processes 4]

platform   `claims.take` for eight rows at a time, then `claims.release` of each in a transaction of its own, as a
           reconciler's step does: from several processes on Postgres, from one with as many threads on SQLite
floor      the same by bare psycopg or sqlite3: one UPDATE … RETURNING for eight rows, one UPDATE for each
"""

from __future__ import annotations

import argparse
import multiprocessing
import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import psycopg
from benchmarks.load import database
from sqlalchemy import update
from sqlalchemy.orm import Session, sessionmaker

from ratchet import db
from ratchet.jobs.status import JobStatus
from ratchet.jobs.tables import Job
from ratchet.projects.service import ensure_default
from ratchet.reconciler import claims
from ratchet.reconciler.claims import Claim

AT_ONCE = 8
WANTED_PER_SECOND = 1_000
Claimed = list[tuple[str, int]]


def fill(url: str, rows: int) -> None:
    engine = db.open_engine(url)
    with db.session_factory(engine)() as session:
        ensure_default(session)
        moment = db.now(session)
        session.add_all(
            Job(
                id=db.new_id("job"),
                project="default",
                kind="train",
                name="benchmark",
                spec={},
                created_by="benchmark",
                cpus=1,
                gpus=0,
                status=JobStatus.RUNNING.value,
                due_at=moment,
            )
            for _ in range(rows)
        )
        session.commit()
    engine.dispose()


def make_due(url: str) -> None:
    engine = db.open_engine(url)
    with db.session_factory(engine)() as session:
        session.execute(update(Job).values(due_at=db.db_now(), lease_until=None))
        session.commit()
    engine.dispose()


@cache
def sessions_of(url: str) -> sessionmaker[Session]:
    """One for a process, as a reconciler has it."""
    return db.session_factory(db.open_engine(url))


def claim(url: str) -> Claimed:
    mine: Claimed = []
    while True:
        with sessions_of(url)() as session:
            taken = claims.take(session, Job, AT_ONCE)
        if not taken:
            return mine
        mine += taken


def claim_and_give_back(url: str) -> Claimed:
    sessions = sessions_of(url)
    mine: Claimed = []
    while True:
        with sessions() as session:
            taken = claims.take(session, Job, AT_ONCE)
        if not taken:
            return mine
        mine += taken
        for row_id, token in taken:
            with sessions() as session:
                due_before = session.get_one(Job, row_id).due_at
                claims.release(session, Claim(Job, row_id, token), due_before)
                session.commit()


TAKE = """UPDATE jobs SET lease = lease + 1 WHERE id IN
          (SELECT id FROM jobs WHERE due_at IS NOT NULL AND lease_until IS NULL ORDER BY due_at LIMIT 8{lock})
          RETURNING id, lease"""


def bare(url: str) -> Claimed:
    mine: Claimed = []
    connection: Any
    if url.startswith("sqlite"):
        connection = sqlite3.connect(url.removeprefix("sqlite:///"), timeout=60, isolation_level=None)
        connection.execute("PRAGMA synchronous=FULL")
        begin, mark, lock = "BEGIN IMMEDIATE", "?", ""
    else:
        connection = psycopg.connect(url, autocommit=True)
        begin, mark, lock = "BEGIN", "%s", " FOR UPDATE SKIP LOCKED"
    take = TAKE.format(lock=lock).replace("SET lease", "SET lease_until = '2100-01-01 00:00:00.000000', lease")
    while True:
        connection.execute(begin)
        taken = connection.execute(take).fetchall()
        connection.execute("COMMIT")
        if not taken:
            return mine
        mine += taken
        for row_id, _ in taken:
            connection.execute(begin)
            connection.execute(f"UPDATE jobs SET due_at = NULL, lease_until = NULL WHERE id = {mark}", (row_id,))
            connection.execute("COMMIT")


def race(kind: str, url: str, work: Callable[[str], Claimed], processes: int) -> tuple[float, Claimed]:
    """All at once until nothing is due: seconds, and what each was given."""
    began = time.perf_counter()
    if kind == "sqlite":
        found: list[Claimed] = []
        threads = [threading.Thread(target=lambda: found.append(work(url))) for _ in range(processes)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    else:
        with multiprocessing.get_context("fork").Pool(processes) as pool:
            began = time.perf_counter()
            found = pool.map(work, [url] * processes, chunksize=1)
    return time.perf_counter() - began, [each for of_one in found for each in of_one]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=6_000)
    parser.add_argument("--processes", type=int, default=4)
    given = parser.parse_args()
    for kind in ("postgres", "sqlite"):
        with tempfile.TemporaryDirectory() as name, database(kind, Path(name)) as url:
            db.upgrade(url)
            fill(url, given.rows)
            rates = {}
            for who, work in (("floor", bare), ("claim", claim), ("and back", claim_and_give_back)):
                make_due(url)
                seconds, claimed = race(kind, url, work, given.processes)
                rates[who] = len(claimed) / seconds
                doubles = len(claimed) - len({row_id for row_id, _ in claimed})
                missed = given.rows - len({row_id for row_id, _ in claimed})
                print(f"{kind:9} {who:9} {rates[who]:7.0f}/s   claimed twice {doubles}, never {missed}", flush=True)
            met = "met" if rates["claim"] >= WANTED_PER_SECOND else "MISSED"
            share = rates["and back"] / rates["floor"]
            print(f"{kind:9} wanted {WANTED_PER_SECOND} claims/s: {met}   and back: {share:.2f} of the floor")


if __name__ == "__main__":
    main()
