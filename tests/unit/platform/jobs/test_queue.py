"""The queue over the database: what starts, what wakes it, the quotas. `test_decide` has the rules."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, update

from ratchet.clients.ports import ClusterInfo
from ratchet.db import now
from ratchet.errors import Invalid
from ratchet.jobs import service
from ratchet.jobs.status import OCCUPYING, AttemptStatus, JobStatus
from ratchet.jobs.tables import CLUSTER, Attempt, Cluster, Job
from ratchet.projects.tables import Project
from ratchet.queue import explain, quotas
from ratchet.queue import service as queue
from ratchet.queue.reconcile import QueueReconciler
from ratchet.queue.schemas import NewQuota
from ratchet.queue.tables import QUEUE, GpuUsage, Queue
from ratchet.reconciler.loop import claim, step
from ratchet.settings import Settings


def wait_of(world, job_id: str):
    with world.sessions() as session:
        return explain.wait_of(
            session, session.get_one(Job, job_id), explain.Outlooks(world.settings.max_concurrent_jobs)
        )


def set_quota(world, project: str = "default", **limits) -> None:
    with world.sessions() as session:
        quotas.put(session, project, NewQuota(**limits), actor="root")
        session.commit()


def due(world) -> bool:
    with world.sessions() as session:
        row = session.get_one(Queue, QUEUE)
        soon = max(now(session), row.rest_until or now(session))
        return row.due_at is not None and row.due_at <= soon


def test_a_job_waits_for_room_says_what_for_and_starts_when_it_comes_free(world):
    first = world.submit(resources={"workers": 3})
    world.reach(first, "running")
    second = world.submit(resources={"workers": 4})
    third = world.submit()
    for _ in range(3):
        world.look()
    waiting = world.job(second)
    assert (waiting.status, waiting.reason) == ("queued", "waiting_for_room")
    assert waiting.message == "Needs 4 CPUs at once; 1 of 4 are free."
    # There is one CPU free, but a job that may last longer than what runs does not overtake the one that waits.
    assert (world.job(third).status, world.job(third).reason) == ("queued", "waiting_for_turn")
    view = wait_of(world, third)
    assert (view.waiting, view.position, view.ahead, view.blocked_by) == (True, 2, 1, [second])
    world.finish(first)
    world.reach(second, "running")
    world.finish(second)
    world.reach(third, "running")
    assert wait_of(world, third).waiting is False


@pytest.mark.parametrize("change", ["submit", "cancel", "end", "quota", "grow"])
def test_whatever_changes_the_queue_wakes_it(world, change):
    running, queued = world.submit(resources={"workers": 4}), world.submit()
    world.reach(running, "running")
    world.decide()
    assert not due(world)
    match change:
        case "submit":
            world.submit()
        case "cancel":
            world.cancel(queued)
        case "end":
            world.finish(running)
            world.look(only=running)
        case "quota":
            set_quota(world, jobs=5)
        case "grow":
            world.clients.jobs.size = ClusterInfo(8, 0, 0)
            world.see_cluster()
    assert due(world)


def test_a_start_alone_does_not_wake_it_again(world):
    world.submit()
    world.decide()
    assert [job.status for job in world.jobs()] == ["starting"]
    assert not due(world)


def test_what_comes_while_a_decision_is_made_is_seen_by_the_next(world):
    world.submit()
    reconciler = QueueReconciler(world.settings)
    with world.sessions() as session:
        ((row_id, lease),) = claim(session, reconciler, 1)
    act = reconciler.act

    def act_late(seen):
        found = act(seen)
        world.submit()  # after the snapshot was taken
        world.submit()
        return found

    reconciler.act = act_late
    step(world.sessions, reconciler, row_id, lease)
    assert [job.status for job in world.jobs()] == ["starting", "queued", "queued"]
    assert due(world)


def test_a_queue_that_takes_long_to_decide_rests_as_long_however_often_it_is_woken(world, monkeypatch):
    monkeypatch.setattr("ratchet.queue.reconcile.QUICK", timedelta(0))
    reconciler = QueueReconciler(world.settings)
    load = reconciler.load
    reconciler.load = lambda session, row: replace(load(session, row), since=time.monotonic() - 60)
    world.look(reconciler)
    world.submit()
    with world.sessions() as session:
        row = session.get_one(Queue, QUEUE)
        assert row.due_at == row.rest_until > now(session)


def test_priority_goes_before_age(world):
    blocker = world.submit(resources={"workers": 4})
    world.reach(blocker, "running")
    late = world.submit(resources={"workers": 4}, priority=1)
    early = world.submit(resources={"workers": 4}, priority=0)
    urgent = world.submit(resources={"workers": 4}, priority=2)
    world.finish(blocker)
    world.reach(blocker, "succeeded")
    order = []
    for _ in range(3):
        world.look_until(lambda: any(job.status == "running" for job in world.jobs()))
        running = next(job.id for job in world.jobs() if job.status == "running")
        order.append(running)
        world.finish(running)
        world.reach(running, "succeeded")
    assert order == [urgent, late, early]


def test_a_job_that_the_shrunken_cluster_cannot_hold_does_not_block_the_rest(world):
    world.clients.jobs.size = ClusterInfo(2, 0, 0)
    large = world.submit(resources={"workers": 4})
    world.see_cluster()
    small = world.submit()
    world.reach(small, "running")
    assert "the whole cluster has 2: it must grow first" in world.job(large).message
    assert wait_of(world, large).predicted_start_at is None


def test_while_the_cluster_cannot_be_seen_nothing_starts_and_the_message_says_so(world):
    world.lose_ray()
    world.see_cluster()
    job_id = world.submit()
    world.look()
    job = world.job(job_id)
    assert (job.status, job.reason, job.message) == ("queued", "waiting_for_cluster", "jobs is down")
    world.clients.faults.down = set()
    world.see_cluster()
    world.reach(job_id, "running")


def test_a_sweep_takes_room_for_the_trials_that_run_at_once(world):
    search = {"learning_rate": {"kind": "uniform", "low": 1e-4, "high": 1e-1, "log": True}}
    resources = {"memory_gib_per_worker": 1.5}
    job_id = world.submit(kind="sweep", search=search, trials=8, max_concurrent=3, model=None, resources=resources)
    job = world.job(job_id)
    assert (job.cpus, job.gpus, job.memory_bytes) == (3, 0, 4.5 * 2**30)


def test_no_more_jobs_at_once_than_the_settings_allow(world):
    world.settings = Settings(storage_uri="memory://storage", max_concurrent_jobs=1)
    first, second = world.submit(), world.submit()
    world.reach(first, "running")
    world.look()
    assert world.job(second).message == "1 job on the cluster, and at most 1 may be."
    assert wait_of(world, second).position == 1


def test_the_size_of_the_cluster_is_kept_while_it_cannot_be_seen(world):
    world.lose_ray()
    world.see_cluster()
    with world.sessions() as session:
        row = session.get_one(Cluster, CLUSTER)
        assert (row.status, row.cpus) == ("unreachable", 4)


def test_a_job_that_was_lost_ages_by_all_of_its_waits_and_comes_back_with_them(world):
    job_id = world.submit()
    with world.sessions() as session:
        session.execute(update(Job).values(created_at=now(session) - timedelta(hours=2)))
        session.commit()
    world.reach(job_id, "running")
    assert world.job(job_id).waited_s == pytest.approx(7200, abs=30)
    world.clients.jobs.lose(f"{job_id}-1")
    world.look(only=job_id)
    with world.sessions() as session:
        (waiting,) = queue.snapshot(session, 16).waiting
    assert waiting.waited_s == pytest.approx(7200, abs=30)


# -- quotas


def test_a_project_at_its_quota_waits_while_another_starts(world):
    with world.sessions() as session:
        session.add(Project(name="other"))
        session.commit()
    set_quota(world, jobs=1)
    first, second = world.submit(), world.submit()
    with world.sessions() as session:
        third = service.submit(session, project="other", spec=world.spec(), actor="bob").id
        session.commit()
    world.reach(first, "running")
    world.reach(third, "running")
    assert (world.job(second).status, world.job(second).reason) == ("queued", "waiting_for_quota")
    assert wait_of(world, second).blocked_by == [first]
    with world.sessions() as session:
        assert quotas.get(session, "default").used.jobs == 1


@pytest.mark.parametrize(
    ("limits", "changes", "pointer", "remedy"),
    [
        ({"cpus": 2}, {"resources": {"workers": 3}}, "/resources/workers", "at most 2"),
        ({"gpus": 0}, {"resources": {"gpus_per_worker": 1}}, "/resources/gpus_per_worker", "less per worker"),
        ({"memory_bytes": 2**30}, {"resources": {"memory_gib_per_worker": 2}}, "/resources/memory_gib_per_worker", ""),
        ({"gpu_hours": 2}, {"resources": {"gpus_per_worker": 2}, "deadline_s": 7200}, "/deadline_s", "at most 3600"),
        ({"jobs": 0}, {}, "", "quota raised"),
    ],
)
def test_a_job_that_could_never_fit_its_quota_is_refused_with_the_field_and_a_remedy(
    world, limits, changes, pointer, remedy
):
    world.clients.jobs.size = ClusterInfo(64, 8, 2**40)
    world.see_cluster()
    set_quota(world, **limits)
    with pytest.raises(Invalid) as refused:
        world.submit(**changes)
    assert (refused.value.code, [each.pointer for each in refused.value.errors]) == ("exceeds_quota", [pointer])
    assert remedy in refused.value.hint
    with world.sessions() as session, pytest.raises(Invalid):
        service.plan(session, project="default", spec=world.spec(**changes), settings=world.settings)


def test_gpu_hours_are_promised_for_the_deadline_and_charged_for_what_was_used(world):
    world.clients.jobs.size = ClusterInfo(8, 4, 0)
    world.see_cluster()
    set_quota(world, gpu_hours=10)
    gpu = {"resources": {"gpus_per_worker": 1}, "deadline_s": 6 * 3600}
    first, second = world.submit(**gpu), world.submit(**gpu)
    world.reach(first, "running")
    world.look()
    assert (world.job(second).status, world.job(second).reason) == ("queued", "waiting_for_quota")
    with world.sessions() as session:
        assert quotas.get(session, "default").used.gpu_hours == pytest.approx(6, abs=0.1)
    world.finish(first)
    world.reach(first, "succeeded")
    world.reach(second, "running")
    with world.sessions() as session:
        assert session.scalars(select(GpuUsage.gpu_s)).one() < 60


def test_an_attempt_over_the_turn_of_the_month_is_charged_to_both(world):
    start = datetime(2026, 11, 30, 23, tzinfo=UTC)
    with world.sessions() as session:
        for _ in range(2):
            quotas.charge(session, project="default", gpus=2, start=start, end=start + timedelta(hours=4))
        session.commit()
        used = {row.month: row.gpu_s / 3600 for row in session.scalars(select(GpuUsage))}
    assert used == {"2026-11": 4, "2026-12": 12}


def test_an_attempt_is_charged_once(world):
    world.clients.jobs.size = ClusterInfo(8, 4, 0)
    world.see_cluster()
    job_id = world.submit(resources={"gpus_per_worker": 1})
    world.reach(job_id, "running")
    with world.sessions() as session:
        attempt = session.get_one(Attempt, (job_id, 1))
        attempt.started_at = now(session) - timedelta(seconds=100)
        session.flush()
        for _ in range(2):
            service.end_attempt(session, session.get_one(Job, job_id), AttemptStatus.LOST, None, "")
        assert session.scalars(select(GpuUsage.gpu_s)).one() == pytest.approx(100, abs=10)


# -- when it will start


def test_the_predicted_start_says_whether_it_rests_on_past_jobs_or_on_deadlines(world):
    past = world.submit()
    world.reach(past, "running")
    world.finish(past)
    world.reach(past, "succeeded")
    with world.sessions() as session:
        row = session.get_one(Job, past)
        row.started_at = row.ended_at - timedelta(seconds=600)
        session.commit()
    running, waiting = world.submit(resources={"workers": 4}), world.submit(resources={"workers": 4})
    world.reach(running, "running")
    view = wait_of(world, waiting)
    assert view.predicted_start_basis == "history"
    assert (view.predicted_start_at - world.job(running).started_at).total_seconds() == pytest.approx(600, abs=30)
    with world.sessions() as session:
        session.execute(update(Job).where(Job.id == past).values(kind="sweep"))
        session.commit()
    view = wait_of(world, waiting)
    assert view.predicted_start_basis == "deadline"
    assert (world.job(running).deadline_at - view.predicted_start_at).total_seconds() == pytest.approx(0, abs=1)


def test_the_queue_is_shown_in_the_order_of_its_turns(world):
    blocker = world.submit(resources={"workers": 4})
    world.reach(blocker, "running")
    low, high = world.submit(priority=0), world.submit(priority=3)
    with world.sessions() as session:
        view = explain.view(session, explain.Outlooks(16), project="default", limit=10)
    assert [(item.id, item.position) for item in view.items] == [(high, 1), (low, 2)]
    assert (view.length, view.total.cpus, view.free.cpus, view.free.jobs) == (2, 4, 0, 15)


def test_an_outlook_that_took_long_is_shared_for_a_while_but_never_without_the_job_that_is_asked_for(
    world, monkeypatch
):
    outlooks, clock = explain.Outlooks(16), [0.0]
    monkeypatch.setattr(explain.time, "monotonic", lambda: clock[0])
    real = explain.predict

    def slow(*given):
        clock[0] += took
        return real(*given)

    monkeypatch.setattr(explain, "predict", slow)
    first, took = world.submit(), 0.2
    with world.sessions() as session:
        made = outlooks.get(session, first)
        assert outlooks.get(session, first) is made
        clock[0] += 0.2 * explain.SHARED_FOR + 0.01
        assert outlooks.get(session, first) is not made
    second = world.submit()
    with world.sessions() as session:
        assert second in outlooks.get(session, second).places
        took = 0.001
        clock[0] += 10
        made = outlooks.get(session)
        clock[0] += 0.001
        assert outlooks.get(session) is not made


# -- properties over the database

plans = st.lists(st.tuples(st.integers(1, 6), st.integers(-2, 2)), min_size=1, max_size=8)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(plans=plans, cpus=st.integers(1, 6), most=st.integers(1, 3), ends=st.data())
def test_neither_room_nor_quota_is_ever_exceeded_and_every_job_that_fits_gets_its_turn(world, plans, cpus, most, ends):
    world.clear()
    world.clients.jobs.jobs.clear()
    world.clients.jobs.size = ClusterInfo(cpus, 0, 0)
    set_quota(world, jobs=most)
    jobs = [world.submit(resources={"workers": workers}, priority=priority) for workers, priority in plans]
    world.see_cluster()
    fitting = {job for job, (workers, _) in zip(jobs, plans, strict=True) if workers <= cpus}
    for _ in range(60):
        world.look()
        rows = world.jobs()
        taken = [row for row in rows if JobStatus(row.status) in OCCUPYING]
        assert sum(row.cpus for row in taken) <= cpus
        assert len(taken) <= most
        assert set(world.clients.jobs.live()) <= {f"{row.id}-{row.attempt}" for row in taken}
        running = [row for row in rows if row.status == "running" and f"{row.id}-1" in world.clients.jobs.live()]
        if running:
            world.finish(ends.draw(st.sampled_from(running)).id)
        elif not taken and all(row.status == "succeeded" for row in rows if row.id in fitting):
            break
    assert {row.id for row in world.jobs() if row.status == "succeeded"} == fitting


def test_two_decisions_at_once_do_not_start_two_jobs_in_room_for_one(world):
    jobs = [world.submit(resources={"workers": 3}) for _ in range(4)]
    reconciler = QueueReconciler(world.settings)
    with world.sessions() as session:
        claimed = claim(session, reconciler, 10)
        session.execute(update(Queue).values(lease_until=None))
        session.commit()
        claimed += claim(session, reconciler, 10)

    def decide(row_id: str, lease: int) -> str:
        try:
            step(world.sessions, reconciler, row_id, lease)
        except Exception as error:
            return type(error).__name__
        return ""

    with ThreadPoolExecutor(2) as pool:
        ends = list(pool.map(lambda each: decide(*each), claimed))
    assert sorted(ends) == ["", "StaleClaimError"]
    assert [world.job(each).status for each in jobs].count("starting") == 1


def test_a_job_that_somebody_holds_is_left_for_the_next_decision(world):
    """On Postgres, where rows are locked one by one: the decision must not wait for a job whose holder waits for it."""
    job_id, reconciler = world.submit(), QueueReconciler(world.settings)
    with world.sessions() as session:
        if session.get_bind().dialect.name == "sqlite":
            pytest.skip("SQLite has one writer at a time")
        session.execute(select(Job).where(Job.id == job_id).with_for_update())
        with world.sessions() as other:
            ((row_id, lease),) = claim(other, reconciler, 1)
        step(world.sessions, reconciler, row_id, lease)
    assert world.job(job_id).status == "queued"
    world.decide()
    assert world.job(job_id).status == "starting"
