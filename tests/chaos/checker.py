"""What must hold of a world, at every moment and at its end, whatever died in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session
from tests.chaos.simulation import SWEEP_WITHIN, World

from ratchet.events import Event
from ratchet.jobs.status import MOVES, JobStatus
from ratchet.jobs.tables import Job
from ratchet_pipelines.spec import RunTag


def check_now(world: World) -> None:
    """At every moment: nothing acknowledged is lost, no job has two live attempts, and orphans are soon swept."""
    known = {row.id for row in world.rows()}
    assert set(world.acknowledged) <= known, "a job was acknowledged and is not there"
    attempts = world.attempts()
    open_attempts = Counter(attempt.job_id for attempt in attempts if attempt.ended_at is None)
    assert max(open_attempts.values(), default=0) <= 1, "a job with two attempts that have not ended"
    if "mlflow" in world.fakes.faults.down:
        world.ended_without_mlflow |= {row.id for row in world.rows() if row.ended_at and row.run_id is None}
    live = world.fakes.jobs.live()
    assert set(world.fakes.jobs.jobs) <= {attempt.submission_id for attempt in attempts}, "Ray has one nobody started"
    owned = {attempt.submission_id for attempt in attempts if attempt.ended_at is None}
    jobs = Counter(submission.rpartition("-")[0] for submission in live if submission in owned)
    assert max(jobs.values(), default=0) <= 1, "two live attempts of one job"
    _check_orphans(world, set(live) - owned)


def _check_orphans(world: World, unowned: set[str]) -> None:
    for gone in set(world.unowned_since) - unowned:
        del world.unowned_since[gone]
    for submission in unowned:
        since = world.unowned_since.setdefault(submission, world.clock.at)
        if not world.fakes.faults.down and world.clock.at - since > SWEEP_WITHIN:
            assert world.points.stopped or world.points.killed, f"an orphan that no fault explains: {submission}"


def check_end(world: World) -> None:
    """When all is quiet: every job has exactly one end, came there by legal moves, and left nothing on the cluster."""
    check_now(world)
    rows = world.rows()
    assert [row.id for row in rows if not JobStatus(row.status).ended] == [], [
        (row.status, row.reason, row.message) for row in rows
    ]
    assert world.fakes.jobs.live() == [], "something runs in Ray that nobody owns"
    assert all(attempt.ended_at is not None for attempt in world.attempts())
    for row in rows:
        with world.quietly(), world.reader.sessions() as session:
            check_history(session, row)
        if row.id in world.cancelled:
            assert row.status != JobStatus.SUCCEEDED, "a job succeeded whose cancel was acknowledged"
    _check_runs(world, rows)


def check_history(session: Session, row: Job) -> None:
    """A job came to its end by legal moves, and to one end."""
    query = select(Event).where(Event.target_kind == "job", Event.target_id == row.id).order_by(Event.id)
    events = [each for each in session.scalars(query) if (each.after or {}).get("status")]
    assert events[0].action == "job.submitted"
    at = JobStatus.QUEUED
    ends = 0
    for each in events[1:]:
        assert each.before is not None
        assert each.after is not None
        if each.before.get("status") == each.after["status"]:
            continue
        assert JobStatus(each.before["status"]) is at, f"{row.id}: a move from {each.before['status']}, and it was {at}"
        assert JobStatus(each.after["status"]) in MOVES[at], f"{row.id}: {at} -> {each.after['status']}"
        at = JobStatus(each.after["status"])
        ends += at.ended
    assert (at, ends) == (JobStatus(row.status), 1), f"{row.id}: ended {ends} times"


def _check_runs(world: World, rows: Sequence[Job]) -> None:
    """One run for all attempts of a job and one version of its model. A process that was stopped between looking and
    making may have made a second one, since MLflow has no way to make one only once: as many as were stopped there."""
    extra_runs = world.points.stopped["before mlflow.create_run"]
    extra_versions = world.points.stopped["before mlflow.create_version"]
    runs = Counter(run.tags.get(RunTag.JOB) for run in world.fakes.mlflow.runs.values())
    assert sum(count - 1 for count in runs.values()) <= extra_runs, f"a job with two runs: {runs}"
    left_open = {run.tags.get(RunTag.JOB) for run in world.fakes.mlflow.runs.values() if not run.ended}
    left_open -= world.ended_without_mlflow  # nobody had noted that they had a run, and MLflow could not be asked
    opened_again = world.points.stopped["before mlflow.resume_run"]
    assert len(left_open) <= extra_runs + opened_again, f"the runs of {left_open} were left open"
    versions = Counter(
        version.tags.get(RunTag.JOB) for model in world.fakes.mlflow.models.values() for version in model.versions
    )
    succeeded = {row.id for row in rows if row.status == JobStatus.SUCCEEDED}
    assert succeeded <= set(versions), "a job that succeeded and has no version"
    assert sum(count - 1 for count in versions.values()) <= extra_versions, f"two versions of one job: {versions}"
