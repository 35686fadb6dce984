"""How long the queue takes to decide, with 10,000 jobs waiting; beside it what merely sorting them takes.

    python -m benchmarks.queue_decision [--jobs 10000] [--rounds 20]

    sort       the same list sorted by (priority, id): the least that any queue in order of priority does
    decide     the pure decision: shares, quotas, backfilling, preemption, and a reason for each that waits
    predict    the queue played forward until the last has started
    step       on SQLite: all of it, from the claim of the queue to the commit of what was decided
    wake       on SQLite: what a submission pays to have the queue looked at, when it is to be looked at anyway

The queue is of 20 projects of three weights, half of them with quotas, and ten priorities; a job takes 1 to 8 CPUs and
0 to 4 GPUs; 100 jobs run, and some may be preempted. Shown are the medians of all rounds: the time that passed, and the
processor's, which other work on the machine does not lengthen.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Callable
from statistics import median
from typing import Any

from sqlalchemy import insert, update
from sqlalchemy.orm import Session, sessionmaker

from ratchet import db
from ratchet.jobs.service import ensure_cluster
from ratchet.jobs.tables import Job
from ratchet.projects.tables import Project
from ratchet.queue import service
from ratchet.queue.amounts import UNLIMITED, Amount
from ratchet.queue.decide import Occupying, Rules, Snapshot, Waiting, decide
from ratchet.queue.predict import predict
from ratchet.queue.reconcile import QueueReconciler
from ratchet.queue.tables import Queue, Quota
from ratchet.reconciler import loop
from ratchet.settings import Settings

WANTED_MS = 50
PROJECTS = [f"p{number:02d}" for number in range(20)]
GIB = 2**30
CPUS, GPUS, MEMORY, PLACES = 512, 128, 4096 * GIB, 200


def snapshot(jobs: int, seed: int) -> Snapshot:
    draw = random.Random(seed)

    def demand(deadline_s: float) -> Amount:
        gpus = draw.choice([0, 0, 1, 2, 4])
        return Amount(draw.choice([1, 2, 4, 8]), gpus, draw.choice([0, 4 * GIB]), 1, gpus * deadline_s)

    def waiting(number: int) -> Waiting:
        deadline_s = draw.choice([600, 3600, 86_400])
        priority, waited_s = draw.randrange(10), draw.uniform(0, 7200)
        return Waiting(f"job-{number:07d}", draw.choice(PROJECTS), priority, demand(deadline_s), deadline_s, waited_s)

    def running(number: int) -> Occupying:
        ends_in_s = draw.uniform(10, 3600)
        return Occupying(
            f"run-{number}", draw.choice(PROJECTS), 0, demand(ends_in_s), ends_in_s, preemptible=number % 4 == 0
        )

    rules = {
        project: Rules(UNLIMITED._replace(gpus=16, jobs=25) if number % 2 else UNLIMITED, 1 + number % 3)
        for number, project in enumerate(PROJECTS)
    }
    total = Amount(CPUS, GPUS, MEMORY, PLACES)
    return Snapshot(
        total, [waiting(number) for number in range(jobs)], [running(number) for number in range(100)], rules
    )


def fill(sessions: sessionmaker[Session], queue: Snapshot) -> None:
    with sessions() as session:
        cluster = ensure_cluster(session)
        cluster.status, cluster.cpus, cluster.gpus, cluster.memory_bytes = "ready", CPUS, GPUS, MEMORY
        for project in PROJECTS:
            session.add(Project(name=project))
        session.flush()
        for project, rules in queue.projects.items():
            if rules.quota != UNLIMITED:
                session.add(Quota(project=project, gpus=16, jobs=25, weight=rules.weight))
        session.execute(insert(Job), [_row(job) for job in queue.waiting])
        session.commit()


def _row(job: Waiting) -> dict[str, Any]:
    return {
        "id": job.id,
        "project": job.project,
        "kind": "train",
        "name": job.id,
        "spec": {"kind": "train", "deadline_s": job.deadline_s, "max_attempts": 3},
        "created_by": "bench",
        "priority": job.priority,
        "cpus": job.demand.cpus,
        "gpus": job.demand.gpus,
        "memory_bytes": job.demand.memory_bytes,
        "deadline_s": job.deadline_s,
        "waited_s": job.waited_s,
        "due_at": None,
    }


def step(sessions: sessionmaker[Session]) -> None:
    reconciler = QueueReconciler(Settings(max_concurrent_jobs=PLACES))
    with sessions() as session:
        session.execute(update(Queue).values(due_at=db.db_now(), rest_until=None))
        session.commit()
        ((row_id, lease),) = loop.claim(session, reconciler, 1)
    loop.step(sessions, reconciler, row_id, lease)


def wake(sessions: sessionmaker[Session]) -> None:
    with sessions() as session:
        service.wake(session)
        session.commit()


def timed(call: Callable[[], object], rounds: int) -> tuple[float, float]:
    """Milliseconds that passed, and of the processor: medians, after a round that is not counted."""
    took, worked = [], []
    for _ in range(rounds + 1):
        passed, used = time.perf_counter(), time.process_time()
        call()
        took.append((time.perf_counter() - passed) * 1000)
        worked.append((time.process_time() - used) * 1000)
    return median(took[1:]), median(worked[1:])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=20)
    asked = parser.parse_args()
    queue = snapshot(asked.jobs, seed=1)
    decision = decide(queue)
    lasts_s = {job.id: job.deadline_s / 4 for job in queue.waiting}
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/ratchet.db"
        db.upgrade(url)
        sessions = db.session_factory(db.open_engine(url))
        fill(sessions, queue)
        calls: list[tuple[str, Callable[[], object]]] = [
            ("sort", lambda: sorted(queue.waiting, key=lambda job: (-job.priority, job.id))),
            ("decide", lambda: decide(queue)),
            ("predict", lambda: predict(queue, decision, lasts_s)),
            ("step", lambda: step(sessions)),
            ("wake", lambda: wake(sessions)),
        ]
        print(f"{asked.jobs:,} jobs wait; {len(decision.starts)} start, {len(decision.preemptions)} are preempted")
        took = {name: timed(call, asked.rounds) for name, call in calls}
        for name, (passed, used) in took.items():
            print(f"{name:8} {passed:8.2f} ms, processor {used:8.2f} ms: {used / took['sort'][1]:6.1f} times the sort")
    good = took["decide"][0] <= WANTED_MS
    print(f"{'met' if good else 'MISSED'}: a decision in at most {WANTED_MS} ms")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
