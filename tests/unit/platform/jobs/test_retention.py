"""Old logs are taken away, and only they."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import update

from ratchet.db import now
from ratchet.jobs import retention
from ratchet.jobs.retention import LogRetentionReconciler
from ratchet.jobs.tables import Job
from ratchet.settings import Settings


def ended(world, *, days_ago: float) -> str:
    job_id = world.submit()
    world.reach(job_id, "running")
    world.prints(job_id, "hello", ended=True)
    world.finish(job_id)
    world.reach(job_id, "succeeded")
    with world.sessions() as session:
        session.execute(update(Job).where(Job.id == job_id).values(ended_at=now(session) - timedelta(days=days_ago)))
        session.commit()
    return str(job_id)


def kept(world) -> set[str]:
    return {path.split("/")[1] for path in world.clients.storage.files if "/logs/" in path}


def look(world, days: int = 90) -> None:
    world.look(LogRetentionReconciler(Settings(log_retention_days=days), world.clients))


def test_the_log_of_a_job_is_kept_for_its_time_and_then_deleted_once(world):
    old, new = ended(world, days_ago=91), ended(world, days_ago=89)
    running = world.submit()
    world.reach(running, "running")
    world.prints(running, "hello")
    look(world)
    look(world)
    assert kept(world) == {new, running}
    assert world.job(old).logs_deleted_at is not None
    assert world.job(new).logs_deleted_at is None
    assert world.events(old).count("job.logs_deleted") == 1


def test_logs_are_kept_for_ever_where_that_is_wanted(world):
    old = ended(world, days_ago=9_000)
    look(world, days=0)
    assert kept(world) == {old}


def test_a_storage_that_is_silent_is_asked_again(world, monkeypatch):
    monkeypatch.setattr(retention, "BATCH", 1)
    old = ended(world, days_ago=91)
    world.clients.faults.down = {"storage"}
    look(world)
    assert world.job(old).logs_deleted_at is None
    world.clients.faults.down = set()
    look(world)
    assert kept(world) == set()
