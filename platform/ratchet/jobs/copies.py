"""New jobs made of old ones: a clone with changes, and a retry that goes on where the old one stopped."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter, ValidationError
from sqlalchemy.orm import Session

from ratchet.errors import Conflict, Invalid, field_errors
from ratchet.jobs import service
from ratchet.jobs.status import JobStatus
from ratchet.jobs.tables import Job
from ratchet_pipelines.spec import JobSpec

SPECS: TypeAdapter[JobSpec] = TypeAdapter(JobSpec)
MOST_EARLIER = 20
"""How far back a job looks for a checkpoint, over retries of retries."""


def clone(session: Session, job: Job, changes: dict[str, Any], *, actor: str) -> Job:
    """Submit the job's spec anew with a merge patch (RFC 7396) applied. Nothing of the old job's work is used."""
    spec = parse(merge_patch(job.spec, changes))
    return service.submit(session, project=job.project, spec=spec, actor=actor, cloned_from=job.id)


def retry(session: Session, job: Job, *, actor: str) -> Job:
    """Submit the spec of a job that failed or was cancelled anew, to go on from its last checkpoint.

    It is a new job, with a run of its own: the old one has ended, and an end stays.
    """
    status = JobStatus(job.status)
    if not status.ended:
        raise Conflict(f"The job has not ended: it is {status.value}.", code="job_not_ended", hint="Cancel it first.")
    if status is JobStatus.SUCCEEDED:
        hint = "Clone it to run it again from the beginning."
        raise Conflict("The job has succeeded: there is nothing to retry.", code="job_succeeded", hint=hint)
    return service.submit(session, project=job.project, spec=parse(job.spec), actor=actor, retry_of=job.id)


def earlier(session: Session, job: Job) -> list[str]:
    """The jobs whose work a job goes on with, newest first."""
    found: list[str] = []
    before: Job | None = job
    while before is not None and before.retry_of is not None and len(found) < MOST_EARLIER:
        found.append(before.retry_of)
        before = session.get(Job, before.retry_of)
    return found


def parse(spec: dict[str, Any]) -> JobSpec:
    """`Invalid` names each field that is wrong: of a spec from before an upgrade, or of a patched one."""
    try:
        return SPECS.validate_python(spec)
    except ValidationError as error:
        fields = field_errors(error)
        where = ", ".join(field.pointer or "the spec" for field in fields[:3])
        message = f"{len(fields)} field(s) of the new spec are not valid: {where}."
        raise Invalid(message, errors=fields) from error


def merge_patch(target: Any, patch: Any) -> Any:
    """RFC 7396: objects are merged, null removes, anything else replaces."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge_patch(merged.get(name), value)
    return merged
