"""The life of a job over fakes: each state, each way it can end."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from ratchet.errors import Conflict
from ratchet.identity import jobtokens
from ratchet.jobs import service
from ratchet.jobs.status import Reason
from ratchet.jobs.tables import CLUSTER, Attempt, Cluster, Job
from ratchet.models import service as models
from ratchet.models.tables import AliasMove
from ratchet.queue import explain
from ratchet.settings import Settings
from ratchet_pipelines import notes
from ratchet_pipelines.spec import ENVELOPE_VARIABLE, Envelope, RunTag


def test_a_job_is_queued_without_a_call_and_then_taken_to_its_model_version(world):
    calls = list(world.clients.faults.calls)
    job_id = world.submit()
    assert world.clients.faults.calls == calls
    assert world.job(job_id).status == "queued"

    job = world.reach(job_id, "running")
    assert job.started_at is not None
    assert (job.deadline_at - job.started_at).total_seconds() == pytest.approx(24 * 3600, abs=60)
    world.clients.jobs.run(f"{job_id}-1")
    world.clients.mlflow.log(job.run_id, {"val/loss": [0.9, float("nan")]})
    world.look()
    assert world.job(job_id).engine_status == "RUNNING"
    assert world.job(job_id).metrics == {"val/loss": None}
    world.finish(job_id)

    job = world.reach(job_id, "succeeded")
    assert (job.model_name, job.model_version) == ("default.cancer", 1)
    assert job.result == {
        "model_uri": f"models:/m-{job_id}",
        "primary_metric": "test/accuracy",
        "metrics": {"test/accuracy": 0.97, "val/loss": 0.5},
    }
    model = world.clients.mlflow.models["default.cancer"]
    assert model.aliases == {"candidate": 1}
    assert model.versions[0].run_id == job.run_id
    assert model.versions[0].tags[RunTag.JOB] == job_id
    assert world.clients.mlflow.runs[job.run_id].status == "FINISHED"
    assert f"jobs/{job_id}/logs/1/driver/{0:013d}-{0:010d}.jsonl" in world.clients.storage.files
    states = ["submitted", "starting", "running", "finalizing", "succeeded"]
    assert world.events(job_id) == [f"job.{state}" for state in states]
    assert [attempt.status for attempt in world.attempts(job_id)] == ["succeeded"]


def test_every_new_version_moves_the_candidate_and_the_history_says_by_which_job(world):
    jobs = []
    for _ in range(2):
        jobs.append(world.submit())
        world.reach(jobs[-1], "running")
        world.finish(jobs[-1])
        world.reach(jobs[-1], "succeeded")
    with world.sessions() as session:
        moves = session.scalars(models.alias_moves("default", "cancer").order_by(AliasMove.id)).all()
    assert [(move.from_version, move.to_version, move.evidence["job"]) for move in moves] == [
        (None, 1, jobs[0]),
        (1, 2, jobs[1]),
    ]


def test_what_ray_is_given(world):
    job_id = world.submit(resources={"workers": 2}, max_attempts=2)
    world.reach(job_id, "running")
    submitted = world.clients.jobs.jobs[f"{job_id}-1"]
    assert submitted.entrypoint.endswith(" -m ratchet_pipelines.run")
    with world.sessions() as session:
        instance = session.get_one(Cluster, CLUSTER).instance
    assert submitted.metadata == {"job": job_id, "project": "default", "instance": instance}
    envelope = Envelope.model_validate_json(submitted.env[ENVELOPE_VARIABLE])
    assert (envelope.job, envelope.attempt, envelope.run_id) == (job_id, 1, world.job(job_id).run_id)
    assert envelope.spec.resources.workers == 2
    assert submitted.env["RAY_JOB_STOP_SIGNAL"] == "SIGINT"
    run = world.clients.mlflow.runs[envelope.run_id]
    assert run.tags[RunTag.JOB] == job_id
    token = submitted.env.pop("MLFLOW_TRACKING_TOKEN")  # of this attempt alone: Ray's metadata keep no lasting secret
    claim = jobtokens.verify(world.settings.secret_key, token)
    assert claim is not None
    assert (claim.job_id, claim.attempt, claim.run_id) == (job_id, 1, envelope.run_id)
    assert "token" not in json.dumps(submitted.env).lower()


@pytest.mark.parametrize(
    ("exit_code", "reason"),
    [(64, "user_error"), (65, "data_error"), (71, "out_of_memory"), (70, "internal"), (1, "internal")],
)
def test_an_error_of_the_jobs_own_is_told_and_not_tried_again(world, exit_code, reason):
    job_id = world.submit(max_attempts=3)
    job = world.reach(job_id, "running")
    world.tell_failure(job_id, 1, message="There is no column 'targt'. Did you mean 'target'?", rank=1)
    world.clients.jobs.fail(f"{job_id}-1", exit_code=exit_code)
    job = world.reach(job_id, "failed")
    assert (job.reason, job.message) == (reason, "There is no column 'targt'. Did you mean 'target'?")
    assert world.clients.mlflow.runs[job.run_id].status == "FAILED"
    assert len(world.attempts(job_id)) == 1


@pytest.mark.parametrize(
    "failure",
    [
        {"exit_code": None, "error_type": "JOB_SUPERVISOR_ACTOR_DIED"},
        {"exit_code": None, "error_type": "RUNTIME_ENV_SETUP_FAILURE"},
        {"exit_code": -9, "error_type": "JOB_ENTRYPOINT_COMMAND_ERROR"},
        {"exit_code": 137, "error_type": "JOB_ENTRYPOINT_COMMAND_ERROR"},
    ],
)
def test_what_the_cluster_failed_is_tried_again_in_the_same_run(world, failure):
    job_id = world.submit(max_attempts=2)
    run_id = world.reach(job_id, "running").run_id
    world.clients.jobs.fail(f"{job_id}-1", **failure)
    world.clients.mlflow.end_run(run_id, "FAILED")  # as the driver did before it ended
    world.look_until(lambda: world.job(job_id).status == "running" and world.job(job_id).attempt == 2)
    assert world.clients.mlflow.runs[run_id].status == "RUNNING"
    envelope = Envelope.model_validate_json(world.clients.jobs.jobs[f"{job_id}-2"].env[ENVELOPE_VARIABLE])
    assert (envelope.run_id, envelope.attempt) == (run_id, 2)
    world.clients.jobs.fail(f"{job_id}-2", **failure)
    job = world.reach(job_id, "failed")
    assert "Attempt 2 of 2." in job.message
    assert [attempt.status for attempt in world.attempts(job_id)] == ["lost", "failed"]
    assert world.clients.mlflow.runs[run_id].status == "FAILED"


def test_a_job_that_ray_forgot_is_queued_again_kept_back_and_started_anew(world):
    job_id = world.submit()
    world.reach(job_id, "running")
    world.clients.jobs.lose(f"{job_id}-1")
    world.look()
    job = world.job(job_id)
    assert (job.status, job.reason, job.deadline_at) == ("queued", "engine_lost", None)
    assert job.message.endswith("Attempt 2 of 3 follows.")
    assert (job.not_before - job.attempts[0].ended_at).total_seconds() == pytest.approx(2, abs=0.1)
    with world.sessions() as session:
        assert explain.wait_of(session, job, explain.Outlooks(16)).reason == "waiting_for_retry"
    world.look_until(lambda: f"{job_id}-2" in world.clients.jobs.jobs)
    assert world.attempts(job_id)[0].reason == "engine_lost"
    states = ["submitted", "starting", "running", "queued", "starting", "running"]
    assert world.events(job_id)[: len(states)] == [f"job.{state}" for state in states]


def test_a_job_that_is_kept_back_holds_up_nobody(world):
    first = world.submit(resources={"workers": 4})
    world.reach(first, "running")
    second = world.submit(resources={"workers": 4})
    world.clients.jobs.lose(f"{first}-1")
    world.look(only=first)
    with world.sessions() as session:
        assert explain.wait_of(session, session.get_one(Job, second), explain.Outlooks(16)).reason is None


def test_the_time_in_the_queue_does_not_count_against_the_deadline(world):
    job_id = world.submit(deadline_s=100)
    world.reach(job_id, "running")
    world.clients.jobs.lose(f"{job_id}-1")
    world.look()
    with world.sessions() as session:
        first = session.get_one(Attempt, (job_id, 1))
        first.ended_at = first.started_at + timedelta(seconds=30)
        session.commit()
    job = world.reach(job_id, "running")
    left = (job.deadline_at - world.attempts(job_id)[1].started_at).total_seconds()
    assert left == pytest.approx(70, abs=1)


def test_the_same_error_twice_is_not_tried_a_third_time_and_every_attempt_keeps_its_own(world):
    job_id = world.submit(max_attempts=5, retry_on=["user_error"])
    for attempt, error in enumerate(["KeyError: 'x'", "KeyError: 'y'", "KeyError: 'x'"], start=1):
        world.look_until(lambda number=attempt: f"{job_id}-{number}" in world.clients.jobs.jobs)
        world.tell_failure(job_id, attempt, message=error, error=error)
        world.clients.jobs.fail(f"{job_id}-{attempt}", exit_code=64)
    job = world.reach(job_id, "failed")
    assert job.message == "KeyError: 'x' The same came of an earlier attempt, so it is not tried again."
    assert [attempt.failure["error"] for attempt in job.attempts] == ["KeyError: 'x'", "KeyError: 'y'", "KeyError: 'x'"]
    assert world.clients.mlflow.runs[job.run_id].status == "FAILED"


def test_a_job_that_ray_forgot_for_the_last_time_ends_its_run(world):
    job_id = world.submit(max_attempts=1)
    run_id = world.reach(job_id, "running").run_id
    world.clients.jobs.lose(f"{job_id}-1")
    assert world.reach(job_id, "failed").reason == "engine_lost"
    assert world.clients.mlflow.runs[run_id].status == "FAILED"


def test_an_attempt_that_was_preempted_is_not_counted(world):
    job_id = world.submit(max_attempts=1)
    world.reach(job_id, "running")
    with world.sessions() as session:
        job = session.get_one(Job, job_id)
        service.requeue(session, job, reason=Reason.PREEMPTED, message="", after=timedelta(0), actor="system")
        session.commit()
    world.clients.jobs.stop(f"{job_id}-1")
    world.reach(job_id, "running")
    assert service.history(world.job(job_id)).tried == 1


@pytest.mark.parametrize("engine", ["jobs", "mlflow", "storage"])
@pytest.mark.parametrize("state", ["starting", "running", "finalizing"])
def test_while_an_engine_is_down_the_status_stays_and_afterwards_the_job_goes_on(world, engine, state):
    job_id = world.submit()
    if state != "starting":
        world.reach(job_id, "running")
    if state == "finalizing":
        world.finish(job_id)
        world.reach(job_id, "finalizing")
    else:
        world.reach(job_id, state)
    world.clients.faults.down = {engine}
    for _ in range(3):
        world.look()
    job = world.job(job_id)
    assert job.status in (state, "running")
    if job.status == state and not (state == "running" and engine != "jobs"):
        assert job.engine_status == "unreachable"
        assert "down" in job.message
    world.clients.faults.down = set()
    if state != "finalizing":
        world.reach(job_id, "running")
        world.finish(job_id)
    assert world.reach(job_id, "succeeded").model_version == 1


def test_a_queued_job_is_cancelled_at_once_and_never_reaches_ray(world):
    job_id = world.submit()
    world.cancel(job_id)
    for _ in range(3):
        world.look()
    assert world.job(job_id).status == "cancelled"
    assert not world.clients.jobs.jobs
    with pytest.raises(Conflict, match="was cancelled"):
        world.cancel(job_id)


def test_a_running_job_is_cancelling_until_ray_has_stopped_it(world):
    job_id = world.submit()
    run_id = world.reach(job_id, "running").run_id
    world.clients.jobs.run(f"{job_id}-1")
    world.clients.jobs.stops_at_once = False
    world.cancel(job_id)
    world.look()
    world.cancel(job_id)
    assert world.job(job_id).status == "cancelling"
    assert world.clients.jobs.jobs[f"{job_id}-1"].stops >= 1
    world.clients.jobs.stops_at_once = True
    job = world.reach(job_id, "cancelled")
    assert (job.reason, job.message) == ("cancelled", "ann asked for it to stop.")
    assert world.clients.mlflow.runs[run_id].status == "KILLED"
    assert world.attempts(job_id)[0].status == "cancelled"


def test_a_job_that_ray_has_not_started_is_barred_and_then_counts_as_stopped(world):
    job_id = world.submit()
    world.reach(job_id, "running")
    world.clients.jobs.stops_at_once = False
    world.cancel(job_id)
    world.look()
    assert world.job(job_id).status == "cancelling"
    assert notes.bar_path(job_id, 1) not in world.clients.storage.files
    age(world, job_id, "stopping_since", 4)
    assert world.reach(job_id, "cancelled").reason == "cancelled"
    assert notes.bar_path(job_id, 1) in world.clients.storage.files


def test_a_driver_that_began_before_the_bar_was_there_is_stopped_like_any_other(world):
    job_id = world.submit()
    world.reach(job_id, "running")
    world.clients.jobs.stops_at_once = False
    world.cancel(job_id)
    age(world, job_id, "stopping_since", 4)
    world.clients.faults.hook = lambda name, moment: (
        world.clients.jobs.run(f"{job_id}-1") if (name, moment) == ("storage.write", "before") else None
    )
    world.look()
    world.clients.faults.hook = lambda name, moment: None
    assert world.job(job_id).status == "cancelling"
    world.clients.jobs.stops_at_once = True
    world.reach(job_id, "cancelled")
    assert not world.clients.jobs.live()


def test_a_cancelled_job_that_ray_does_not_know_is_barred_for_its_submission_may_be_on_its_way(world):
    job_id = world.submit()
    world.reach(job_id, "starting")
    world.cancel(job_id)
    world.reach(job_id, "cancelled")
    assert notes.bar_path(job_id, 1) in world.clients.storage.files


def test_a_job_that_ray_does_not_start_for_long_is_barred_and_tried_again(world):
    world.settings = Settings(storage_uri="memory://storage", ray_start_timeout_s=10)
    job_id = world.submit()
    world.reach(job_id, "running")
    with world.sessions() as session:
        session.get_one(Attempt, (job_id, 1)).started_at -= timedelta(seconds=11)
        session.commit()
    world.look_until(lambda: f"{job_id}-2" in world.clients.jobs.jobs)
    first = world.attempts(job_id)[0]
    assert (first.status, first.reason) == ("lost", "engine_error")
    assert first.message.startswith("Ray did not start it within 10 s.")
    assert notes.bar_path(job_id, 1) in world.clients.storage.files


def test_a_job_that_waits_longer_than_it_may_has_failed_and_frees_its_place(world):
    first = world.submit(resources={"workers": 4})
    world.reach(first, "running")
    second = world.submit(resources={"workers": 4}, pending_deadline_s=30)
    for _ in range(2):
        world.look()
    assert world.job(second).status == "queued"
    with world.sessions() as session:
        session.get_one(Job, second).created_at -= timedelta(seconds=31)
        session.commit()
    job = world.reach(second, "failed")
    assert (job.reason, job.attempt) == ("pending_deadline_exceeded", 0)
    assert job.message == "It was not started within the 30 s that it had to wait."


def test_a_job_that_was_started_once_may_wait_for_its_next_attempt(world):
    job_id = world.submit(pending_deadline_s=30)
    world.reach(job_id, "running")
    world.clients.jobs.lose(f"{job_id}-1")
    with world.sessions() as session:
        session.get_one(Job, job_id).created_at -= timedelta(seconds=31)
        session.commit()
    world.look_until(lambda: f"{job_id}-2" in world.clients.jobs.jobs)


@pytest.mark.parametrize("down", [None, "jobs"])
def test_a_job_over_its_deadline_is_stopped_and_has_failed(world, down):
    job_id = world.submit(deadline_s=10)
    world.reach(job_id, "running")
    age(world, job_id, "deadline_at", 11)
    if down:
        world.clients.faults.down = {down}
        world.reach(job_id, "cancelling")
        world.clients.faults.down = set()
    job = world.reach(job_id, "failed")
    assert (job.reason, job.message) == ("deadline_exceeded", "It ran for more than its deadline of 10 s.")
    assert not world.clients.jobs.live()


def test_a_job_that_cannot_be_started_does_not_hold_its_room_beyond_its_deadline(world):
    job_id = world.submit(deadline_s=10)
    world.reach(job_id, "starting")
    world.clients.faults.down = {"mlflow"}
    with world.sessions() as session:
        session.get_one(Job, job_id).deadline_at -= timedelta(seconds=11)
        session.commit()
    assert world.reach(job_id, "failed").reason == "deadline_exceeded"


def test_a_job_stopped_in_ray_is_cancelled_and_says_so(world):
    job_id = world.submit()
    world.reach(job_id, "running")
    world.clients.jobs.stop(f"{job_id}-1")
    assert world.reach(job_id, "cancelled").reason == "stopped_in_ray"


def test_a_job_cancelled_while_it_is_handed_to_ray_is_stopped_there(world):
    job_id = world.submit()
    world.reach(job_id, "starting")

    def cancel_meanwhile(name: str, moment: str) -> None:
        if (name, moment) == ("jobs.submit", "after"):
            world.cancel(job_id)

    world.clients.faults.hook = cancel_meanwhile
    world.look()
    world.clients.faults.hook = lambda name, moment: None
    assert world.job(job_id).status == "cancelling"
    world.reach(job_id, "cancelled")
    assert not world.clients.jobs.live()


def test_a_job_that_logged_no_model_has_failed(world):
    job_id = world.submit()
    run_id = world.reach(job_id, "running").run_id
    world.finish(job_id)
    del world.clients.mlflow.runs[run_id].tags[RunTag.MODEL_URI]
    job = world.reach(job_id, "failed")
    assert "no model" in job.message
    assert not world.clients.mlflow.models


def test_candidate_is_not_moved_back_by_a_job_that_registers_again(world):
    first = world.submit()
    world.reach(first, "running")
    world.finish(first)
    world.look_until(lambda: world.job(first).status == "finalizing")
    world.clients.faults.after("mlflow.create_version")
    world.look()
    second = world.submit()
    world.look_until(lambda: world.job(second).status == "running" and world.job(first).status == "succeeded")
    world.finish(second)
    world.reach(second, "succeeded")
    assert [world.job(each).model_version for each in (first, second)] == [1, 2]
    assert world.clients.mlflow.models["default.cancer"].aliases == {"candidate": 2}


def test_secrets_in_a_log_are_masked_before_it_is_kept(world):
    job_id = world.submit()
    world.reach(job_id, "running")
    world.finish(job_id)
    world.clients.jobs.jobs[f"{job_id}-1"].logs = "token rt_" + "a" * 43 + "\n"
    world.reach(job_id, "succeeded")
    (kept,) = [data for path, data in world.clients.storage.files.items() if path.endswith(".jsonl")]
    assert kept == b'[0, 0, "info", "token ***"]\n[]\n'


def test_a_log_that_cannot_be_kept_does_not_hold_up_the_end_for_ever(world):
    job_id = world.submit()
    world.reach(job_id, "running")
    world.finish(job_id)
    world.clients.faults.down = {"storage"}
    assert world.reach(job_id, "succeeded").model_version == 1


def age(world, job_id: str, column: str, seconds: int) -> None:
    with world.sessions() as session:
        row = session.get_one(Job, job_id)
        setattr(row, column, row.started_at - timedelta(seconds=seconds))
        session.commit()


def test_a_job_that_is_cancelled_while_it_waits_for_its_next_attempt_leaves_no_run_open(world):
    job_id = world.submit()
    run = world.reach(job_id, "running").run_id
    world.clients.jobs.lose(f"{job_id}-1")
    world.reach(job_id, "queued")
    world.cancel(job_id)
    world.reach(job_id, "cancelled")
    assert world.clients.mlflow.runs[run].status == "KILLED"
    assert [attempt.status for attempt in world.attempts(job_id)] == ["lost"]


def test_a_run_that_was_opened_and_not_noted_is_ended_when_the_job_is_cancelled(world):
    job_id = world.submit()
    world.reach(job_id, "starting")
    world.clients.faults.after("mlflow.create_run")
    world.look()
    assert world.job(job_id).run_id is None
    world.cancel(job_id)
    world.reach(job_id, "cancelled")
    assert [run.status for run in world.clients.mlflow.runs.values()] == ["KILLED"]
