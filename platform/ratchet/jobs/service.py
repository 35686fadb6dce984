"""What may be done with jobs. Every change of state goes through `move`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from ratchet import events, logs, tracing
from ratchet.bundles import service as bundles
from ratchet.db import insert_row, new_id, now
from ratchet.errors import Conflict, FieldError, Invalid, NotFound
from ratchet.jobs import checks, render, retry
from ratchet.jobs.classify import Failure
from ratchet.jobs.retry import History
from ratchet.jobs.schemas import EngineRequestView, PlanView
from ratchet.jobs.status import MOVES, AttemptStatus, JobStatus, Reason
from ratchet.jobs.tables import CLUSTER, Attempt, Cluster, Job
from ratchet.lists.paging import Page
from ratchet.queue import explain, quotas
from ratchet.queue import service as queue
from ratchet.reconciler.loop import make_due
from ratchet.settings import Settings
from ratchet_pipelines.spec import Custom, JobSpec
from ratchet_pipelines.usercode import Archive


class IllegalMoveError(Exception):
    """A fault of the platform's own: a state was to follow that can't."""


def submit(
    session: Session,
    *,
    project: str,
    spec: JobSpec,
    actor: str,
    cloned_from: str | None = None,
    retry_of: str | None = None,
) -> Job:
    """Put a job into the queue. `Invalid` names each field of the spec that is wrong."""
    checks.check(spec, *quotas.bounds(session, project))
    _require_code(session, project, spec)
    row = _draft(project, spec, actor)
    row.cloned_from, row.retry_of = cloned_from, retry_of
    if spec.pending_deadline_s is None:
        row.due_at = None  # not before the queue has started it
    insert_row(session, row)
    events.emit(
        session,
        project=project,
        actor=actor,
        action="job.submitted",
        target=("job", row.id),
        after={"status": row.status, "kind": row.kind, "cloned_from": cloned_from, "retry_of": retry_of},
    )
    queue.wake(session)
    return row


def validate(session: Session, project: str, spec: JobSpec) -> None:
    """The checks of `submit`, but for the quota: for a spec that is to be submitted later."""
    room, _ = quotas.bounds(session, project)
    checks.check(spec, room)


def plan(session: Session, *, project: str, spec: JobSpec, settings: Settings) -> PlanView:
    """What `submit` would do, and what Ray would be given: the same checks, and nothing written."""
    checks.check(spec, *quotas.bounds(session, project))
    _require_code(session, project, spec)
    row = _draft(project, spec, "")
    wait = explain.wait_of_draft(session, row, settings.max_concurrent_jobs)
    cluster = session.get(Cluster, CLUSTER)
    request = render.draft(settings, project=project, spec=row.spec, instance=cluster.instance if cluster else "")
    return PlanView(
        kind=spec.kind,
        cpus=row.cpus,
        gpus=row.gpus,
        params=checks.resolved_params(spec),
        memory_bytes=row.memory_bytes,
        starts_now=wait.reason is None,
        reason=wait.reason,
        message="It would start at once." if wait.reason is None else wait.message,
        position=wait.position,
        predicted_start_at=wait.predicted_start_at,
        predicted_start_basis=wait.predicted_start_basis,
        spec=row.spec,
        request=EngineRequestView.model_validate(asdict(request)),
    )


def _require_code(session: Session, project: str, spec: JobSpec) -> None:
    """`Invalid` when a custom job names an archive that was not uploaded to its project."""
    if not (isinstance(spec, Custom) and isinstance(spec.code, Archive)):
        return
    if bundles.find(session, project, spec.code.digest) is None:
        field = FieldError(pointer="/code/digest", message="No such archive was uploaded.", value=spec.code.digest)
        raise Invalid(
            f"There is no bundle {spec.code.digest} in the project {project!r}.",
            code="unknown_bundle",
            errors=[field],
            hint=f"Upload it: POST /api/v1/projects/{project}/bundles, or `ratchet run --code FOLDER`.",
        )


def get(session: Session, project: str, job_id: str) -> Job:
    row = session.get(Job, job_id)
    if row is None or row.project != project:
        raise NotFound(f"There is no job {job_id[:80]!r} in the project {project!r}.")
    return row


def list_jobs(
    session: Session, project: str, page: Page, *, status: Sequence[str] = (), kind: str | None = None
) -> tuple[Sequence[Job], str]:
    """Newest first; also the token of the next page."""
    query = select(Job).where(Job.project == project)
    if status:
        query = query.where(Job.status.in_(status))
    if kind:
        query = query.where(Job.kind == kind)
    return page.take(session, query)


def cancel(session: Session, job: Job, *, actor: str) -> Job:
    """Ask a job to stop. Asked again while it stops, nothing more happens; one that has ended is a `Conflict`."""
    session.refresh(job, with_for_update=True)
    status = JobStatus(job.status)
    if status is JobStatus.CANCELLING and job.cancel_requested_at is not None:
        return job
    if status.ended:
        raise Conflict(f"The job has ended already: it {_ended(status)}.", code="job_ended")
    if status is JobStatus.FINALIZING:
        raise Conflict("The job has done its work and is being finished.", code="job_finalizing")
    job.cancel_requested_at = now(session)
    if status is JobStatus.QUEUED and job.attempt == 0:  # a later one has an MLflow run, which must be ended
        message = f"Cancelled by {actor} before it started."
        move(session, job, JobStatus.CANCELLED, reason=Reason.CANCELLED, message=message, actor=actor)
    elif status is not JobStatus.CANCELLING:
        message = f"{actor} asked for it to stop."
        move(session, job, JobStatus.CANCELLING, reason=Reason.CANCELLED, message=message, actor=actor)
    make_due(session, job)
    session.flush()
    session.refresh(job)
    return job


def move(
    session: Session, job: Job, to: JobStatus, *, reason: Reason | None = None, message: str = "", actor: str
) -> None:
    """The one door for a change of state: checks that it is legal, and writes the event with it."""
    before = JobStatus(job.status)
    if to not in MOVES[before]:
        raise IllegalMoveError(f"job {job.id}: {before} -> {to}")
    job.status, job.reason, job.message = to.value, reason, message
    moment = now(session)
    if to in (JobStatus.CANCELLING, JobStatus.PREEMPTING):
        job.stopping_since = moment
    if to is JobStatus.QUEUED:
        job.queued_at = moment
    if before is JobStatus.QUEUED:
        job.waited_s += (moment - (job.queued_at or job.created_at)).total_seconds()
    if to.ended:
        job.ended_at = moment
    events.emit(
        session,
        project=job.project,
        actor=actor,
        action=f"job.{to.value}",
        target=("job", job.id),
        before={"status": before.value},
        after={"status": to.value, "reason": reason, "attempt": job.attempt},
        message=message,
    )
    session.flush()
    left = before is JobStatus.QUEUED and to is not JobStatus.STARTING
    freed = before.occupies and not to.occupies
    if left or freed:
        queue.wake(session)


def note(job: Job, *, reason: Reason | None, message: str) -> None:
    """Say why a job stands where it stands. No change of state, so no event; no write when it is said already."""
    if (job.reason, job.message) != (reason, message):
        job.reason, job.message = reason, message


def start_attempt(session: Session, job: Job) -> Attempt:
    """The next attempt, written before Ray hears of it."""
    job.attempt += 1
    job.not_before = None
    job.deadline_at = now(session) + timedelta(seconds=job.spec["deadline_s"]) - ran_for(job)
    attempt = Attempt(job_id=job.id, number=job.attempt, submission_id=f"{job.id}-{job.attempt}")
    session.add(attempt)
    session.flush()
    return attempt


def end_attempt(session: Session, job: Job, status: AttemptStatus, reason: Reason | None, message: str) -> None:
    """Once: of a job that was queued again, the newest attempt has ended before the job does."""
    attempt = session.get_one(Attempt, (job.id, job.attempt))
    if attempt.ended_at is not None:
        return
    attempt.status, attempt.reason, attempt.message, attempt.ended_at = status.value, reason, message, now(session)
    quotas.charge(session, project=job.project, gpus=job.gpus, start=attempt.started_at, end=attempt.ended_at)


def requeue(session: Session, job: Job, *, reason: Reason, message: str, after: timedelta, actor: str) -> None:
    """End the attempt, which the cluster lost or took its room from, and queue the job for the next."""
    end_attempt(session, job, AttemptStatus.LOST, reason, message)
    job.not_before, job.deadline_at = now(session) + after, None
    move(session, job, JobStatus.QUEUED, reason=reason, message=message, actor=actor)


def keep_failure(session: Session, job: Job, failure: Failure) -> None:
    """How the newest attempt failed, for whoever asks why."""
    session.get_one(Attempt, (job.id, job.attempt)).failure = asdict(failure)


def history(job: Job) -> History:
    """What `retry.decide` goes by. An attempt that was preempted is nobody's fault, and is not counted."""
    counted = [attempt for attempt in job.attempts if attempt.reason != Reason.PREEMPTED]
    failures = (retry.signature(Failure(**attempt.failure)) for attempt in counted if attempt.failure is not None)
    return History(len(counted), frozenset(failures))


def pending_until(job: Job) -> datetime | None:
    """Until when a job that has never been started may wait; null where it may for ever."""
    seconds = job.spec.get("pending_deadline_s")
    return None if seconds is None or job.attempt else job.created_at + timedelta(seconds=seconds)


def ran_for(job: Job) -> timedelta:
    """The time of its ended attempts: waiting in the queue does not count against its deadline."""
    spans = (attempt.ended_at - attempt.started_at for attempt in job.attempts if attempt.ended_at is not None)
    return sum(spans, timedelta(0))


def ensure_cluster(session: Session) -> Cluster:
    """The row of the cluster, made when there is none: from then on it is looked at every few seconds."""
    row = session.get(Cluster, CLUSTER)
    if row is None:
        row = Cluster(id=CLUSTER)
        session.add(row)
        session.flush()
    return row


def _draft(project: str, spec: JobSpec, actor: str) -> Job:
    needs = checks.demand(spec)
    job_id = new_id("job")
    return Job(
        id=job_id,
        project=project,
        kind=spec.kind,
        name=spec.name or job_id,
        spec=spec.model_dump(mode="json"),
        created_by=actor,
        request_id=logs.request_id.get() or None,
        trace=tracing.current(),
        priority=spec.priority,
        cpus=needs.cpus,
        gpus=needs.gpus,
        memory_bytes=int(needs.memory_bytes),
        deadline_s=spec.deadline_s,
        preemptible=spec.preemptible,
        status=JobStatus.QUEUED.value,
        attempts=[],
    )


def _ended(status: JobStatus) -> str:
    return {JobStatus.CANCELLED: "was cancelled"}.get(status, status.value)
