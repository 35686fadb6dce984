"""Who may start, and why the others wait."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ratchet.clients.ports import ClusterInfo
from ratchet.db import now
from ratchet.jobs import service
from ratchet.jobs.admission import Demand, Room, decide
from ratchet.jobs.status import OCCUPYING, JobStatus
from ratchet.jobs.tables import CLUSTER, Cluster
from ratchet.reconciler.loop import claim, step
from ratchet.settings import Settings


def test_a_job_waits_for_room_says_what_for_and_starts_when_it_comes_free(world):
    first = world.submit(resources={"workers": 3})
    world.reach(first, "running")
    second = world.submit(resources={"workers": 2})
    third = world.submit()
    for _ in range(3):
        world.look()
    waiting = world.job(second)
    assert (waiting.status, waiting.reason) == ("queued", "waiting_for_room")
    assert waiting.message == "Needs 2 CPUs at once; 1 CPUs of 4 CPUs are free. Place 1 in the queue."
    # There is one CPU free, but a small job does not overtake the one that waits.
    assert world.job(third).message == "1 job(s) go first. Place 2 in the queue."
    world.finish(first)
    world.reach(second, "running")
    world.reach(third, "running")


def test_the_head_of_the_queue_is_woken_when_room_comes_free(world):
    first = world.submit(resources={"workers": 4})
    world.reach(first, "running")
    second = world.submit()
    world.look()
    before = world.job(second).due_at
    world.finish(first)
    world.look(only=first)
    with world.sessions() as session:
        assert world.job(first).status == "finalizing"
        assert world.job(second).due_at <= now(session) < before


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
    assert "the whole cluster has 2 CPUs: it must grow first" in world.job(large).message


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
    job_id = world.submit(kind="sweep", search=search, trials=8, max_concurrent=3, model=None)
    assert (world.job(job_id).cpus, world.job(job_id).gpus) == (3, 0)


def test_no_more_jobs_at_once_than_the_settings_allow(world):
    world.settings = Settings(storage_uri="memory://storage", max_concurrent_jobs=1)
    first, second = world.submit(), world.submit()
    world.reach(first, "running")
    world.look()
    assert world.job(second).message.startswith("1 jobs run, and at most 1 may at once.")
    with world.sessions() as session:
        view = service.explain_wait(session, world.job(second), 1)
    assert (view.waiting, view.position) == (True, 1)


def test_the_size_of_the_cluster_is_kept_while_it_cannot_be_seen(world):
    world.lose_ray()
    world.see_cluster()
    with world.sessions() as session:
        row = session.get_one(Cluster, CLUSTER)
        assert (row.status, row.cpus) == ("unreachable", 4)


demands = st.builds(Demand, st.sampled_from([0.5, 1, 2, 3, 8]), st.sampled_from([0, 0, 1, 4]))


@given(
    wanted=demands,
    total=st.builds(Room, st.integers(0, 16), st.integers(0, 4)),
    used=st.lists(demands, max_size=8),
    ahead=st.lists(demands, max_size=5),
    max_jobs=st.integers(1, 10),
)
def test_whoever_is_admitted_fits_into_what_is_free(wanted, total, used, ahead, max_jobs):
    decision = decide(wanted, total=total, used=used, ahead=ahead, max_jobs=max_jobs)
    if decision.admitted:
        assert sum(each.cpus for each in used) + wanted.cpus <= total.cpus + 1e-6
        assert sum(each.gpus for each in used) + wanted.gpus <= total.gpus + 1e-6
        assert len(used) < max_jobs
        assert not any(total.holds(each.cpus, each.gpus) for each in ahead)
    else:
        assert decision.message.endswith(f"Place {len(ahead) + 1} in the queue.")


plans = st.lists(st.tuples(st.integers(1, 6), st.integers(-2, 2)), min_size=1, max_size=8)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(plans=plans, cpus=st.integers(1, 6), ends=st.data())
def test_the_room_is_never_exceeded_and_every_job_that_fits_gets_its_turn(world, plans, cpus, ends):
    world.clear()
    world.clients.jobs.jobs.clear()
    world.clients.jobs.size = ClusterInfo(cpus, 0, 0)
    jobs = [world.submit(resources={"workers": workers}, priority=priority) for workers, priority in plans]
    world.see_cluster()
    fitting = {job for job, (workers, _) in zip(jobs, plans, strict=True) if workers <= cpus}
    for _ in range(60):
        world.look()
        rows = world.jobs()
        taken = [row for row in rows if JobStatus(row.status) in OCCUPYING]
        assert sum(row.cpus for row in taken) <= cpus
        assert set(world.clients.jobs.live()) <= {f"{row.id}-{row.attempt}" for row in taken}
        running = [row for row in rows if row.status == "running" and f"{row.id}-1" in world.clients.jobs.live()]
        if running:
            world.finish(ends.draw(st.sampled_from(running)).id)
        elif not taken and all(row.status == "succeeded" for row in rows if row.id in fitting):
            break
    assert {row.id for row in world.jobs() if row.status == "succeeded"} == fitting


def test_two_looks_at_once_do_not_admit_two_jobs_into_room_for_one(world):
    jobs = [world.submit(resources={"workers": 3}) for _ in range(4)]
    reconciler = world.reconciler
    with world.sessions() as session:
        claimed = claim(session, reconciler, 10)
    assert len(claimed) == len(jobs)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda each: step(world.sessions, reconciler, *each), claimed))
    assert [world.job(each).status for each in jobs].count("starting") == 1
