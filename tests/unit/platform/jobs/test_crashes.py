"""A crash anywhere: before or after any outside call, or between the phases of a step. Never two live attempts, never a
lost job, never two versions of one model, and only legal moves."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from ratchet.events import Event
from ratchet.jobs import service
from ratchet.jobs.reconcile import JobReconciler
from ratchet.jobs.status import MOVES, JobStatus
from ratchet.jobs.tables import Job
from ratchet_pipelines.spec import RunTag


class Crash(BaseException):
    """As kill -9: nothing in the code under test may handle it."""


CALLS = [
    "mlflow.ensure_experiment",
    "mlflow.find_run",
    "mlflow.create_run",
    "mlflow.get_run",
    "mlflow.end_run",
    "mlflow.resume_run",
    "mlflow.ensure_registered_model",
    "mlflow.find_version",
    "mlflow.create_version",
    "mlflow.set_alias",
    "jobs.get",
    "jobs.submit",
    "jobs.stop",
    "jobs.logs",
    "storage.write",
    "step.record",
]
crashes = st.lists(st.tuples(st.sampled_from(CALLS), st.sampled_from(["before", "after"])), max_size=6)
happenings = st.lists(st.sampled_from(["run", "lose", "kill", "user_error", "cancel", "look", "look"]), max_size=8)


class CrashingReconciler(JobReconciler):
    def record(self, session, row, seen, found):
        self.crash("step.record", "before")
        again = super().record(session, row, seen, found)
        self.crash("step.record", "after")
        return again


def look(world, planned) -> None:
    def crash(name: str, moment: str) -> None:
        if (name, moment) in planned:
            planned.remove((name, moment))
            raise Crash(f"{moment} {name}")

    reconciler = CrashingReconciler(world.settings, world.clients)
    reconciler.crash = crash
    world.clients.faults.hook = crash
    try:
        world.decide()
        world.look(reconciler)
    except Crash:
        pass
    finally:
        world.clients.faults.hook = lambda name, moment: None


def check(world, job_id: str) -> None:
    live = world.clients.jobs.live()
    assert len(live) <= 1, "two attempts live at once"
    attempts = [attempt.submission_id for attempt in world.attempts(job_id)]
    assert set(world.clients.jobs.jobs) <= set(attempts), "a job in Ray that the database does not know"
    assert len([run for run in world.clients.mlflow.runs.values() if run.tags.get(RunTag.JOB) == job_id]) <= 1


def happen(world, job_id: str, what: str) -> None:
    submission = next(iter(world.clients.jobs.live()), None)
    job = world.job(job_id)
    if what == "cancel":
        if not JobStatus(job.status).ended and job.status != "finalizing":
            world.cancel(job_id)
    elif submission is not None:
        match what:
            case "run":
                world.clients.jobs.run(submission)
            case "lose":
                world.clients.jobs.lose(submission)
            case "kill":
                world.clients.jobs.fail(submission, exit_code=-9)
            case "user_error":
                world.clients.jobs.fail(submission, exit_code=64)


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(planned=crashes, happening=happenings)
def test_whatever_crashes_a_job_ends_once(world, planned, happening):
    world.clear()
    world.clients.jobs.jobs.clear()
    world.clients.mlflow.runs.clear()
    world.clients.mlflow.models.clear()
    world.see_cluster()
    job_id = world.submit(max_attempts=3)
    for what in happening:
        look(world, planned)
        check(world, job_id)
        happen(world, job_id, what)
    for _ in range(60):
        look(world, planned)
        check(world, job_id)
        job = world.job(job_id)
        if JobStatus(job.status).ended:
            break
        live = world.clients.jobs.live()
        if job.status == "running" and live == [f"{job_id}-{job.attempt}"]:
            world.finish(job_id)
    job = world.job(job_id)
    assert JobStatus(job.status).ended
    assert not world.clients.jobs.live()
    versions = [version for model in world.clients.mlflow.models.values() for version in model.versions]
    assert len(versions) == (1 if job.status == "succeeded" else 0)
    assert job.run_id is None or world.clients.mlflow.runs[job.run_id].ended
    assert_legal(world, job_id)


def assert_legal(world, job_id: str) -> None:
    with world.sessions() as session:
        query = select(Event).where(Event.target_id == job_id, Event.action != "job.submitted").order_by(Event.id)
        events = list(session.scalars(query))
    at = JobStatus.QUEUED
    for event in events:
        assert JobStatus(event.before["status"]) is at
        assert JobStatus(event.after["status"]) in MOVES[at]
        at = JobStatus(event.after["status"])
    assert world.job(job_id).status == at


@given(before=st.sampled_from(JobStatus), to=st.sampled_from(JobStatus))
def test_move_takes_only_the_legal_moves(before, to):
    job = Job(id="job-1", project="default", status=before.value, attempt=0)
    if to not in MOVES[before]:
        with pytest.raises(service.IllegalMoveError):
            service.move(None, job, to, actor="ann")  # type: ignore[arg-type] - it is refused before any query
        assert job.status == before
