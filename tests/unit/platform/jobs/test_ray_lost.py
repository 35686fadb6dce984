"""Ray's head goes away: jobs are `unknown`, nobody calls in vain, and afterwards each goes on or starts anew. And what
runs in Ray that nobody owns is stopped."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from ratchet.clients.ports import EngineSilent
from ratchet.db import now
from ratchet.jobs.cluster import SILENT_FOR
from ratchet.jobs.tables import CLUSTER, Cluster, Job


def cluster(world) -> Cluster:
    with world.sessions() as session:
        return session.get_one(Cluster, CLUSTER)


def forget_sweep(world) -> None:
    """As if the last sweep were some time ago."""
    with world.sessions() as session:
        session.get_one(Cluster, CLUSTER).swept_at = None
        session.commit()


def test_one_probe_that_fails_means_nothing_and_silence_does(world):
    world.clients.faults.down = {"jobs"}
    world.see_cluster()
    world.see_cluster()
    assert cluster(world).status == "ready"
    with world.sessions() as session:
        session.get_one(Cluster, CLUSTER).last_seen_at = now(session) - SILENT_FOR
        session.commit()
    world.see_cluster()
    assert cluster(world).status == "unreachable"


def test_a_probe_once_a_second_finds_silence_within_five_seconds():
    """Probes of at most 1 s: the first to fail ends 2 s after the last answer; the second, half a second later, tells.
    Running jobs are then looked at. The look of one tells by itself, once nobody has heard of Ray for 2 s."""
    from ratchet.clients.ray_jobs import PROBE_TIMEOUT_S, WATCH_TIMEOUT_S
    from ratchet.jobs import cluster, reconcile

    found = cluster.PROBE_EVERY.total_seconds() + PROBE_TIMEOUT_S
    found += cluster.PROBE_AGAIN.total_seconds() + PROBE_TIMEOUT_S
    assert found >= SILENT_FOR.total_seconds()
    assert found + reconcile.WATCH_EVERY.total_seconds() <= 5
    assert SILENT_FOR.total_seconds() < WATCH_TIMEOUT_S
    assert reconcile.WATCH_EVERY.total_seconds() + WATCH_TIMEOUT_S <= 5


def silent(call: str) -> Callable[[str, str], None]:
    """The hook under which a call, and each one after it, gets no answer."""
    lost = []

    def hook(name: str, moment: str) -> None:
        lost.extend([name] if name == call else [])
        if lost:
            raise EngineSilent("Ray", "Ray did not answer within 5 s.")

    return hook


@pytest.mark.parametrize("call", ["jobs.cluster", "jobs.live_jobs"])
def test_a_head_lost_while_it_is_asked_for_more_was_not_seen_then(world, call):
    with world.sessions() as session:
        row = session.get_one(Cluster, CLUSTER)
        before = row.last_seen_at = now(session) - SILENT_FOR
        row.swept_at = None
        session.commit()
    world.clients.faults.hook = silent(call)
    world.see_cluster()
    assert (cluster(world).misses, cluster(world).last_seen_at) == (1, before)


def test_a_job_that_gets_no_answer_is_unknown_when_others_have_had_none_for_long(world):
    """The probe is held up, or in a process that was stopped: the job's own look tells."""
    job_id = world.submit()
    world.reach(job_id, "running")
    world.clients.faults.down = {"jobs"}
    world.look()
    assert world.job(job_id).status == "running"  # a moment ago Ray answered
    with world.sessions() as session:
        session.get_one(Cluster, CLUSTER).last_seen_at = now(session) - SILENT_FOR
        session.commit()
    world.look()
    assert (world.job(job_id).status, world.job(job_id).reason) == ("unknown", "waiting_for_cluster")
    world.clients.faults.down = set()
    world.look()
    assert world.job(job_id).status == "running"


def test_running_jobs_are_unknown_while_ray_is_silent_and_nobody_calls_it(world):
    job_id = world.submit()
    world.reach(job_id, "running")
    world.lose_ray()
    world.clients.faults.calls.clear()
    world.look()
    job = world.job(job_id)
    assert (job.status, job.engine_status, job.reason) == ("unknown", "unreachable", "waiting_for_cluster")
    assert "down" in job.message
    for _ in range(5):
        world.look()
    assert world.clients.faults.calls == []
    assert world.events(job_id)[-1] == "job.unknown"


def test_running_jobs_are_looked_at_as_soon_as_ray_is_lost(world):
    job_id = world.submit()
    world.reach(job_id, "running")
    with world.sessions() as session:
        session.get_one(Job, job_id).due_at = now(session) + timedelta(hours=1)
        session.commit()
    world.lose_ray()
    with world.sessions() as session:
        assert session.get_one(Job, job_id).due_at <= now(session)


def test_an_unknown_job_that_still_runs_goes_on(world):
    job_id = world.submit()
    world.reach(job_id, "running")
    world.lose_ray()
    world.reach(job_id, "unknown")
    world.find_ray()
    world.look()
    job = world.job(job_id)
    assert (job.status, job.attempt, job.reason, job.message, job.misses) == ("running", 1, None, "", 0)
    world.finish(job_id)
    world.reach(job_id, "succeeded")


def test_an_unknown_job_that_is_gone_starts_anew_by_the_queue(world):
    job_id = world.submit()
    run = world.reach(job_id, "running").run_id
    world.lose_ray()
    world.reach(job_id, "unknown")
    world.clients.jobs.lose(f"{job_id}-1")
    world.find_ray()
    world.reach(job_id, "queued")
    job = world.reach(job_id, "running")
    assert (job.attempt, job.run_id) == (2, run)
    assert world.clients.jobs.live() == [f"{job_id}-2"]


def test_an_unknown_job_that_ended_meanwhile_is_finished(world):
    job_id = world.submit()
    world.reach(job_id, "running")
    world.lose_ray()
    world.reach(job_id, "unknown")
    world.finish(job_id)
    world.find_ray()
    world.reach(job_id, "succeeded")


def test_an_unknown_job_can_be_cancelled_and_is_stopped_when_ray_answers(world):
    job_id = world.submit()
    world.reach(job_id, "running")
    world.lose_ray()
    world.reach(job_id, "unknown")
    world.cancel(job_id)
    world.look()
    assert world.job(job_id).status == "cancelling"
    world.find_ray()
    world.reach(job_id, "cancelled")
    assert world.clients.jobs.live() == []


def test_a_job_that_was_about_to_start_waits(world):
    job_id = world.submit()
    world.reach(job_id, "starting")
    world.lose_ray()
    world.look()
    assert world.job(job_id).status == "starting"
    world.find_ray()
    world.reach(job_id, "running")


def test_a_job_that_has_done_its_work_is_finished_without_ray(world):
    job_id = world.submit()
    world.reach(job_id, "running")
    world.finish(job_id)
    world.reach(job_id, "finalizing")
    world.lose_ray()
    world.reach(job_id, "succeeded")


def test_an_orphan_is_stopped_and_what_has_an_owner_or_is_of_others_is_not(world):
    job_id = world.submit()
    world.reach(job_id, "running")
    jobs, ours = world.clients.jobs, {"instance": cluster(world).instance}
    jobs.submit("job-gone-1", entrypoint="true", env={}, metadata=ours)
    jobs.submit("somebody-elses", entrypoint="true", env={}, metadata={"instance": "rt-other"})
    jobs.submit("by-hand", entrypoint="true", env={}, metadata={})
    forget_sweep(world)
    world.see_cluster()
    assert cluster(world).orphans == ["job-gone-1"]
    world.see_cluster()
    assert sorted(jobs.live()) == sorted([f"{job_id}-1", "somebody-elses", "by-hand"])
    world.see_cluster()
    assert cluster(world).orphans == []


def test_an_attempt_that_ended_and_still_runs_is_an_orphan(world):
    """A submit that came late: the reconciler that made it was stopped for a minute, and the job went on without it."""
    job_id = world.submit()
    world.reach(job_id, "running")
    jobs = world.clients.jobs
    jobs.lose(f"{job_id}-1")
    world.reach(job_id, "queued")
    world.reach(job_id, "running")
    late = jobs.jobs[f"{job_id}-2"]
    jobs.submit(f"{job_id}-1", entrypoint=late.entrypoint, env=late.env, metadata=late.metadata)
    forget_sweep(world)
    world.see_cluster()
    world.see_cluster()
    assert jobs.live() == [f"{job_id}-2"]


def test_a_suspect_that_has_an_owner_by_the_next_look_is_left_alone(world):
    job_id = world.submit()
    world.reach(job_id, "running")
    with world.sessions() as session:
        session.get_one(Cluster, CLUSTER).orphans = [f"{job_id}-1"]
        session.commit()
    forget_sweep(world)
    world.see_cluster()
    assert world.clients.jobs.live() == [f"{job_id}-1"]


def test_a_sweep_that_fails_says_nothing_of_ray(world):
    forget_sweep(world)
    world.clients.faults.before("jobs.live_jobs")
    world.see_cluster()
    row = cluster(world)
    assert (row.status, row.swept_at) == ("ready", None)


def test_the_size_is_asked_for_now_and_then_and_the_head_each_time(world):
    world.clients.faults.calls.clear()
    for _ in range(3):
        world.probe()
    assert world.clients.faults.calls.count("jobs.alive") == 3
    assert world.clients.faults.calls.count("jobs.cluster") == 0
    with world.sessions() as session:
        session.get_one(Cluster, CLUSTER).sized_at = now(session) - timedelta(seconds=5)
        session.commit()
    world.probe()
    assert world.clients.faults.calls.count("jobs.cluster") == 1
