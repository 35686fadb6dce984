"""How much killing the control plane takes: worlds in memory, and with `--real 20` as many on a real Ray. With
`--restarts 10` its Postgres is restarted every 5 to 40 s for ten minutes.

python -m benchmarks.chaos [--seeds 320] [--real 20] [--restarts 10]
"""

from __future__ import annotations

import argparse
import logging
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "platform"), str(ROOT / "pipelines")]

from tests.chaos import process, restarts, test_seeds  # noqa: E402
from tests.chaos.simulation import Machine  # noqa: E402
from tests.integration.private_ray import PrivateRay, await_value, private_ray  # noqa: E402

from ratchet import db  # noqa: E402
from ratchet.clients.ray_jobs import RayJobsClient  # noqa: E402
from ratchet.jobs import service  # noqa: E402
from ratchet.jobs.status import JobStatus  # noqa: E402
from ratchet.jobs.tables import CLUSTER, Attempt, Cluster, Job  # noqa: E402
from ratchet.projects.service import ensure_default  # noqa: E402
from ratchet_pipelines.spec import Train  # noqa: E402

KILLS = 2
JOBS = 3
FIRST_CALLS = 60
"""Places at calls among which a real reconciler dies: about as many as three jobs take to start."""


def simulated(seeds: int, folder: Path) -> None:
    template = folder / "template.db"
    db.upgrade(f"sqlite:///{template}")
    machine = Machine(template, folder / "ratchet.db")
    began, places, killed, stopped, jobs = time.perf_counter(), 0, Counter[str](), Counter[str](), 0
    for seed in range(seeds):
        world = test_seeds.run(machine, seed)
        places += world.points.reached
        killed += world.points.killed
        stopped += world.points.stopped
        jobs += len(world.acknowledged)
    print(f"engines in memory: {seeds} seeds in {time.perf_counter() - began:.0f} s, {jobs} jobs acknowledged,")
    print(f"  {places} places reached, killed at {sum(killed.values())} of {len(killed)} kinds,")
    print(f"  stopped for 40 s at {sum(stopped.values())} of {len(stopped)} kinds: 0 lost, 0 doubled, 0 orphans.")


def real(seeds: int, folder: Path) -> None:
    driver = folder / "driver"  # a real job of Ray's, and a light one: what is tested is who starts it, and how often
    driver.write_text("#!/bin/sh\nsleep 1\n")
    driver.chmod(0o755)
    began, kills = time.perf_counter(), 0
    with private_ray() as ray:
        for seed in range(seeds):
            kills += _real_world(random.Random(seed), folder / str(seed), ray, driver)
            print(f"  seed {seed}: ok", flush=True)
    print(f"real Ray: {seeds} seeds in {time.perf_counter() - began:.0f} s, {seeds * JOBS} jobs, {kills} kills:")
    print("  0 lost, 0 doubled, 0 orphans.")


def _real_world(rng: random.Random, folder: Path, ray: PrivateRay, driver: Path) -> int:
    folder.mkdir()
    database = f"sqlite:///{folder}/ratchet.db"
    db.upgrade(database)
    engine = db.open_engine(database)
    sessions = db.session_factory(engine)
    jobs = RayJobsClient(ray.dashboard, lambda: ray.token)
    address = folder / "engines"
    with process.engines(address):  # here Ray alone is real
        acknowledged = _submit(sessions)
        kills = 0
        for _ in range(KILLS):
            with _reconciler(database, address, str(rng.randrange(5, FIRST_CALLS)), ray, driver) as child:
                if rng.random() < 0.3:
                    _cancel(sessions, rng.choice(acknowledged))
                kills += _died(child)
        with _reconciler(database, address, "", ray, driver):
            await_value(lambda: True if _all_ended(sessions) else None, 120)
        _check(sessions, jobs, acknowledged)
    engine.dispose()
    return kills


@contextmanager
def _reconciler(
    database: str, address: Path, die_at: str, ray: PrivateRay, driver: Path
) -> Iterator[subprocess.Popen[bytes]]:
    child = process.start(database, address, die_at, ray.dashboard, ray.token, str(driver))
    try:
        yield child
    finally:
        child.kill()
        child.wait()


def _died(child: subprocess.Popen[bytes]) -> bool:
    try:
        return child.wait(20) == -signal.SIGKILL
    except subprocess.TimeoutExpired:  # it had nothing left to call
        return False


def _submit(sessions: sessionmaker[Session]) -> list[str]:
    with sessions() as session:
        ensure_default(session)
        service.ensure_cluster(session)
        spec = Train.model_validate({"data": {"uri": "sklearn://breast_cancer"}, "max_attempts": 5})
        rows = [service.submit(session, project="default", spec=spec, actor="ann") for _ in range(JOBS)]
        session.commit()
        return [row.id for row in rows]


def _cancel(sessions: sessionmaker[Session], job_id: str) -> None:
    with sessions() as session:
        job = session.get_one(Job, job_id)
        if not JobStatus(job.status).ended and job.status != JobStatus.FINALIZING:
            service.cancel(session, job, actor="ann")
            session.commit()


def _all_ended(sessions: sessionmaker[Session]) -> bool:
    with sessions() as session:
        return all(JobStatus(status).ended for status in session.scalars(select(Job.status)))


def _check(sessions: sessionmaker[Session], jobs: RayJobsClient, acknowledged: list[str]) -> None:
    with sessions() as session:
        instance = session.get_one(Cluster, CLUSTER).instance
        rows: dict[str, Any] = {row.id: row for row in session.scalars(select(Job))}
        attempts = list(session.scalars(select(Attempt)))
    assert set(rows) == set(acknowledged), "a job was lost"
    await_value(lambda: True if jobs.live_jobs(instance) == [] else None, 30)
    for row in rows.values():
        own = [attempt for attempt in attempts if attempt.job_id == row.id]
        assert all(attempt.ended_at is not None for attempt in own)
        started = [attempt for attempt in own if jobs.get(attempt.submission_id) is not None]
        assert len(started) <= 1, f"{row.id} was started {len(started)} times, and Ray lost none"
        assert row.status in ("succeeded", "cancelled"), (row.status, row.reason, row.message)


def restarted(minutes: float, folder: Path) -> None:
    with restarts.postgres(folder / "postgres") as server:
        told = restarts.endure(server, folder, for_s=60 * minutes, seed=1)
    answers = ", ".join(f"{count} of {status}" for status, count in sorted(told.answers.items()))
    print(f"Postgres restarted {len(told.back_s)} times in {minutes:g} minutes: answers {answers},")
    print(
        f"  the slowest after {told.slowest_s:.2f} s; {len(told.acknowledged)} jobs acknowledged, all there and ended"
    )
    print(f"  once; requests were answered again {max(told.back_s):.2f} s after Postgres was, at most.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=test_seeds.SEEDS)
    parser.add_argument("--real", type=int, default=0, help="seeds on a real Ray, some ten seconds each")
    parser.add_argument("--restarts", type=float, default=0, help="minutes for which Postgres is restarted")
    asked = parser.parse_args()
    logging.disable()
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    with tempfile.TemporaryDirectory() as folder:
        if asked.seeds:
            simulated(asked.seeds, Path(folder))
        if asked.real:
            real(asked.real, Path(folder))
        if asked.restarts:
            restarted(asked.restarts, Path(folder))


if __name__ == "__main__":
    main()
