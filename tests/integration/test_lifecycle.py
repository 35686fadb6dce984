"""Losing, cancelling and taking up jobs again, on a real Ray and MLflow."""

from __future__ import annotations

import os
import re
import signal
import statistics
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
from tests.integration.private_ray import await_value
from tests.integration.test_jobs import Platform, running_platform
from tests.integration.test_kinds import bundle, submit

from ratchet.clients.ports import Driver, JobInfo
from ratchet.jobs import copies, live
from ratchet.jobs.live import Subject
from ratchet.jobs.logfiles import Cursor
from ratchet.jobs.logfilter import LogFilter
from ratchet.jobs.tables import Job
from ratchet_pipelines import notes
from ratchet_pipelines.train import checkpoints
from ratchet_pipelines.train.checkpoints import DIGEST, FILE

pytestmark = pytest.mark.real
LONG = {"epochs": 10_000, "patience": 10_000}
CANCELLED_WITHIN_S = 10.0
SEEN_WITHIN_S = 10.0
STUBBORN = """
import os, pathlib, signal, sys, time

for each in (signal.SIGINT, signal.SIGTERM):
    signal.signal(each, signal.SIG_IGN)
if os.fork() == 0:  # a daemon: of a session of its own, and its parent gone
    os.setsid()
    if os.fork():
        os._exit(0)
pathlib.Path(sys.argv[1], str(os.getpid())).touch()
time.sleep(600)
"""
PASSING = """
import pathlib, sys
pathlib.Path(sys.argv[1], "ran").touch()
"""


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    with running_platform(tmp_path_factory.mktemp("lifecycle")) as platform:
        yield platform


def test_a_worker_that_is_lost_costs_an_attempt_and_training_goes_on(platform: Platform) -> None:
    job_id = platform.submit(params={**LONG, "epochs": 1_000}, resources={"workers": 2}, model=None)
    trains(platform, job_id)
    saved(platform, job_id)
    killed_at = time.time()
    os.kill(main_worker(platform, job_id), signal.SIGKILL)  # what it had not sent to MLflow dies with it
    job = platform.ended(job_id)
    assert [(attempt.status, attempt.reason) for attempt in job.attempts] == [
        ("lost", "node_lost"),
        ("succeeded", None),
    ]
    failure, seen_at = job.attempts[0].failure, job.attempts[0].ended_at
    assert failure is not None
    assert failure["rank"] == 0
    assert seen_at is not None
    print(f"a worker that is dead: the attempt ended after {seen_at.timestamp() - killed_at:.1f} s")
    assert seen_at.timestamp() - killed_at <= SEEN_WITHIN_S
    steps = [point.step for point in platform.clients.mlflow.metric_history(job.run_id or "", "val/loss")]
    assert max(steps) == 1_000
    assert set(steps) == set(range(1, 1_001))


def test_a_retry_goes_on_from_the_last_checkpoint_that_is_whole(platform: Platform) -> None:
    first = platform.submit(params=LONG, model=None)
    trains(platform, first)
    saved(platform, first, 2)
    platform.cancel(first)
    platform.ended(first)
    before_last, last = saved(platform, first, 2)[-2:]
    (last / FILE).write_bytes(b"no longer what it was")
    whole = checkpoints.load(before_last)
    with platform.sessions() as session:
        second = copies.retry(session, session.get_one(Job, first), actor="ann").id
        session.commit()
    run_id = trains(platform, second).run_id or ""
    points = platform.clients.mlflow.metric_history(run_id, "val/loss")
    assert min(point.step for point in points) == whole.epoch + 1
    platform.cancel(second)
    subject = Subject.of(platform.ended(second), datetime.now(UTC))
    told = live.log(platform.clients, subject, Cursor(), LogFilter(search="Passed over"), 10).entries
    assert [str(last) in entry.text for entry in told] == [True]


def test_what_is_cancelled_is_gone_with_all_its_children(platform: Platform, tmp_path: Path) -> None:
    code = bundle(platform, tmp_path, stubborn=STUBBORN)
    took = []
    for round in range(3):
        folder = tmp_path / str(round)
        folder.mkdir()
        job_id = submit(platform, kind="custom", code=code, entrypoint=["python", "stubborn.py", str(folder)])
        await_value(lambda folder=folder: len(list(folder.iterdir())) == 2 or None, 120)  # type: ignore[misc]
        pids = [int(path.name) for path in folder.iterdir()]
        started = time.monotonic()
        platform.cancel(job_id)
        assert platform.ended(job_id).status == "cancelled"
        took.append(time.monotonic() - started)
        assert not [pid for pid in pids if psutil.pid_exists(pid)]
    print(f"cancelled, deaf to signals: median {statistics.median(took):.1f} s, longest {max(took):.1f} s")
    assert max(took) <= CANCELLED_WITHIN_S


def test_a_training_is_cancelled(platform: Platform) -> None:
    took = []
    for _ in range(2):
        job_id = platform.submit(params=LONG, resources={"workers": 2}, model=None)
        trains(platform, job_id)
        started = time.monotonic()
        platform.cancel(job_id)
        assert platform.ended(job_id).status == "cancelled"
        took.append(time.monotonic() - started)
    print(f"cancelled, training on 2 workers: median {statistics.median(took):.1f} s, longest {max(took):.1f} s")
    assert max(took) <= CANCELLED_WITHIN_S


def test_what_ray_has_not_started_is_cancelled_and_never_runs(platform: Platform, tmp_path: Path) -> None:
    """Somebody else's job has the room that the queue counts with."""
    jobs = platform.clients.jobs
    jobs.submit("other-1", entrypoint="sleep 600", env={}, metadata={}, driver=Driver(cpus=2))
    await_value(lambda: running(jobs.get("other-1")), 60)
    code = bundle(platform, tmp_path, passing=PASSING)
    job_id = submit(platform, kind="custom", code=code, entrypoint=["python", "passing.py", str(tmp_path)])
    await_value(lambda: row if (row := platform.job(job_id)).status == "running" else None, 60)
    started = time.monotonic()
    platform.cancel(job_id)
    assert platform.ended(job_id).status == "cancelled"
    print(f"cancelled, not started by Ray: {time.monotonic() - started:.1f} s")
    assert platform.clients.storage.read(notes.bar_path(job_id, 1)) is not None
    jobs.stop("other-1")
    await_value(lambda: info if (info := jobs.get(f"{job_id}-1")) and info.status.terminal else None, 120)
    assert not (tmp_path / "ran").exists()


def trains(platform: Platform, job_id: str) -> Job:
    return await_value(lambda: row if "val/loss" in (row := platform.job(job_id)).metrics else None, 180)


def saved(platform: Platform, job_id: str, number: int = 1) -> list[Path]:
    """Its checkpoints' folders, oldest first, once there are as many that a later attempt can begin with."""
    folder = Path(urlsplit(platform.clients.storage.uri(f"jobs/{job_id}/ray")).path)

    def place(each: Path) -> tuple[int, int]:
        return checkpoints.place_of(str(each)) or (0, 0)

    def found() -> list[Path] | None:
        whole = sorted((path.parent for path in folder.glob(f"**/{DIGEST}")), key=place)
        return whole if len(whole) >= number else None

    return await_value(found, 120)


def running(info: JobInfo | None) -> JobInfo | None:
    return info if info is not None and info.status == "RUNNING" else None


def main_worker(platform: Platform, job_id: str) -> int:
    """The process of its rank 0, as Ray Train's controller says it in the job's log."""

    def found() -> int | None:
        subject = Subject.of(platform.job(job_id), datetime.now(UTC))
        lines = live.log(platform.clients, subject, Cursor(), LogFilter(search="world_rank=0"), 10).entries
        pids = [re.search(r"pid=(\d+)\) world_rank=0", line.text) for line in lines]
        return next((int(pid.group(1)) for pid in pids if pid), None)

    return await_value(found, 30)
