"""Real processes: one is killed or stopped (SIGSTOP), another takes its work over, and nothing is doubled."""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session, sessionmaker
from tests.chaos import process

from ratchet import db
from ratchet.jobs import service
from ratchet.jobs.tables import Attempt, Job
from ratchet.projects.service import ensure_default
from ratchet_pipelines.spec import Train

pytestmark = pytest.mark.slow
TAKEOVER_S = 15.0
LEASES_OVER_S = 13.0
STOPPED_S = 40.0
THOUSAND = 1_000


@dataclass
class Stage:
    database: str
    sessions: sessionmaker[Session]
    address: Path
    jobs: Any
    running: list[subprocess.Popen[bytes]]

    def start(self, *, die_at: str = "") -> subprocess.Popen[bytes]:
        child = process.start(self.database, self.address, die_at)
        self.running.append(child)
        return child

    def submit(self, number: int = 1) -> None:
        """Sent again when a stopped process holds the queue's row (the API's 503): the database frees it in 10 s."""
        spec = Train.model_validate({"data": {"uri": "sklearn://breast_cancer"}})
        for left in reversed(range(4)):
            try:
                with self.sessions() as session:
                    for _ in range(number):
                        service.submit(session, project="default", spec=spec, actor="ann")
                    session.commit()
            except OperationalError:
                if not left:
                    raise
            else:
                return

    def count(self, status: str) -> int:
        with self.sessions() as session:
            return len(session.scalars(select(Job.id).where(Job.status == status)).all())

    def check(self) -> None:
        """What Ray was asked to start is exactly what the database knows, one attempt a job."""
        started = Counter(name.rpartition("-")[0] for name in self.jobs.submitted())
        with self.sessions() as session:
            known = set(session.scalars(select(Attempt.submission_id)))
        assert set(self.jobs.submitted()) <= known
        assert max(started.values(), default=0) <= 1, f"started twice: {started}"


def await_(what: Callable[[], bool], within_s: float) -> None:
    deadline = time.monotonic() + within_s
    while not what():
        assert time.monotonic() < deadline, f"not within {within_s:g} s"
        time.sleep(0.1)


@pytest.fixture
def stage(database: str, tmp_path: Path) -> Iterator[Stage]:
    address = tmp_path / "engines"
    engine = db.open_engine(database)
    sessions = db.session_factory(engine)
    with sessions() as session:
        ensure_default(session)
        service.ensure_cluster(session)
        session.commit()
    with process.engines(address) as engines:
        made = Stage(database, sessions, address, engines.jobs(), [])
        try:
            yield made
        finally:
            for child in made.running:
                child.kill()
                child.wait()
    engine.dispose()


@pytest.mark.parametrize("place", ["before jobs.submit", "after jobs.submit", "after mlflow.create_run"])
def test_what_a_killed_reconciler_left_is_done_by_the_next_once(stage: Stage, place: str) -> None:
    stage.submit(3)
    first = stage.start(die_at=place)
    first.wait(60)
    assert first.returncode == -signal.SIGKILL
    stage.start()
    await_(lambda: stage.count("running") == 3, TAKEOVER_S + 30)
    stage.check()


@pytest.mark.parametrize("database", ["postgres"], indirect=True)
def test_a_stopped_reconciler_is_replaced_and_doubles_nothing_when_it_wakes(stage: Stage) -> None:
    first = stage.start()
    stage.submit(2)
    await_(lambda: stage.count("running") == 2, 60)
    first.send_signal(signal.SIGSTOP)
    stopped = time.monotonic()
    stage.start()
    await_(lambda: stage.count("running") == 2, 60)
    stage.submit(2)
    for name in stage.jobs.live():
        stage.jobs.fail(name, exit_code=64)
    # The two that ran were held by the stopped one, or their watch was: all of it is taken over.
    await_(lambda: stage.count("failed") == 2 and stage.count("running") == 2, TAKEOVER_S + 10)
    time.sleep(max(0.0, LEASES_OVER_S - (time.monotonic() - stopped)))
    first.send_signal(signal.SIGCONT)
    stage.submit(2)
    await_(lambda: stage.count("running") == 4, 60)
    time.sleep(2)  # for whatever the first, awake again, might still do of its old claims
    stage.check()
    assert (stage.count("failed"), stage.count("running")) == (2, 4)


@pytest.mark.real
@pytest.mark.parametrize("database", ["postgres"], indirect=True)
def test_of_a_thousand_jobs_none_is_lost_or_doubled_by_a_reconciler_that_stops(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two reconcilers, and each job ends as soon as it runs; one of them is stopped for 40 s amid the work."""
    monkeypatch.setenv("RATCHET_MAX_CONCURRENT_JOBS", "1000")
    stage.jobs.resize(1_000)
    first, over = stage.start(), threading.Event()
    stage.start()

    def end_all() -> None:
        while not over.wait(0.1):
            for name in stage.jobs.live():
                stage.jobs.fail(name, exit_code=64)

    ending = threading.Thread(target=end_all)
    ending.start()
    try:
        stage.submit(100)
        await_(lambda: stage.count("failed") > 50, 60)
        first.send_signal(signal.SIGSTOP)
        stopped = time.monotonic()
        for _ in range(9):
            stage.submit(100)
            time.sleep(3)
        time.sleep(max(0.0, STOPPED_S - (time.monotonic() - stopped)))
        first.send_signal(signal.SIGCONT)
        await_(lambda: stage.count("failed") == THOUSAND, 120)
        time.sleep(2)  # for whatever the first might still do of its old claims
    finally:
        over.set()
        ending.join()
    stage.check()
    assert len(stage.jobs.submitted()) == THOUSAND
    assert stage.count("failed") == THOUSAND
