"""A job that makes room for another: asked by a file, stopped after its grace, queued again in the same run."""

from __future__ import annotations

import pytest

from ratchet.jobs.steps import PREEMPTION_GRACE_S
from ratchet.jobs.tables import Job
from ratchet_pipelines import notes
from ratchet_pipelines.spec import ExitCode, RunTag


@pytest.fixture
def pair(world):
    """One that may be preempted and runs, and one that goes first and needs its room."""
    low = world.submit(resources={"workers": 3}, preemptible=True, priority=-1, max_attempts=1)
    world.reach(low, "running")
    world.clients.jobs.run(f"{low}-1")
    high = world.submit(resources={"workers": 2})
    world.decide()
    return low, high


def expire(world, job_id: str) -> None:
    from datetime import timedelta

    with world.sessions() as session:
        row = session.get_one(Job, job_id)
        row.stopping_since -= timedelta(seconds=PREEMPTION_GRACE_S + 1)
        session.commit()


def test_it_is_asked_by_a_file_gives_its_room_and_goes_on_in_the_same_run(world, pair):
    low, high = pair
    assert (world.job(low).status, world.job(low).reason) == ("preempting", "preempted")
    assert world.job(high).message.endswith("1 job(s) of a lower priority are asked to make room.")
    world.look()
    assert notes.preempt_path(low, 1) in world.clients.storage.files
    assert world.clients.jobs.jobs[f"{low}-1"].stops == 0
    assert world.job(high).message.endswith("Room is being made for it.")
    run_id = world.job(low).run_id
    world.clients.jobs.fail(f"{low}-1", exit_code=ExitCode.PREEMPTED)
    world.reach(high, "running")
    assert world.job(low).status == "queued"
    assert [(attempt.number, attempt.reason) for attempt in world.attempts(low)] == [(1, "preempted")]
    world.finish(high)
    # It had one attempt to lose, and has it still.
    assert world.reach(low, "running").run_id == run_id
    assert world.job(low).attempt == 2
    assert len([run for run in world.clients.mlflow.runs.values() if run.tags.get(RunTag.JOB) == low]) == 1
    states = ["submitted", "starting", "running", "preempting", "queued", "starting", "running"]
    assert world.events(low) == [f"job.{state}" for state in states]


def test_after_its_grace_it_is_stopped_as_it_stands(world, pair):
    low, high = pair
    world.look()
    expire(world, low)
    world.look()
    assert world.clients.jobs.jobs[f"{low}-1"].stops == 1
    world.reach(high, "running")
    assert world.attempts(low)[0].reason == "preempted"


def test_one_that_ray_has_not_begun_is_barred_after_its_grace(world):
    low = world.submit(resources={"workers": 3}, preemptible=True, priority=-1)
    world.reach(low, "running")
    world.clients.jobs.stops_at_once = False
    world.submit(resources={"workers": 2})
    world.decide()
    world.look()
    expire(world, low)
    world.look()
    assert world.job(low).status == "queued"
    assert notes.bar_path(low, 1) in world.clients.storage.files


def test_one_that_ends_well_meanwhile_has_ended_well(world, pair):
    low, _ = pair
    world.finish(low)
    assert world.reach(low, "succeeded").model_version == 1


def test_one_that_fails_meanwhile_has_failed(world, pair):
    low, _ = pair
    world.clients.jobs.fail(f"{low}-1", exit_code=ExitCode.USER_ERROR)
    assert world.reach(low, "failed").reason == "user_error"


def test_one_that_ray_forgot_meanwhile_has_made_its_room(world, pair):
    low, high = pair
    world.clients.jobs.lose(f"{low}-1")
    world.reach(high, "running")
    assert world.attempts(low)[0].reason == "preempted"


def test_one_that_is_cancelled_meanwhile_is_cancelled(world, pair):
    low, high = pair
    world.cancel(low)
    world.reach(high, "running")
    assert world.job(low).status == "cancelled"


@pytest.mark.parametrize("engine", ["jobs", "storage"])
def test_while_an_engine_is_down_it_goes_on_being_asked(world, pair, engine):
    low, high = pair
    world.clients.faults.down = {engine}
    for _ in range(3):
        world.look()
    assert world.job(low).status == "preempting"
    world.clients.faults.down = set()
    world.look()
    assert notes.preempt_path(low, 1) in world.clients.storage.files
    world.clients.jobs.fail(f"{low}-1", exit_code=ExitCode.PREEMPTED)
    world.reach(high, "running")


def test_nobody_is_preempted_who_did_not_allow_it(world):
    low = world.submit(resources={"workers": 3}, priority=-1)
    world.reach(low, "running")
    high = world.submit(resources={"workers": 2}, priority=100)
    world.look()
    assert (world.job(low).status, world.job(high).status) == ("running", "queued")
