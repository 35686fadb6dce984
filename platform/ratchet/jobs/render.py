"""What Ray is given of a job: rendered in one place, so that a plan shows what a start sends."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ratchet.clients.ports import ON_HEAD, Driver
from ratchet.settings import Settings
from ratchet_pipelines.spec import ENVELOPE_VARIABLE, Custom, Envelope, JobSpec
from ratchet_pipelines.usercode import FILE_GIT_VARIABLE, Image

STOP_WAIT_S = 7
"""Seconds between Ray's SIGINT and its SIGKILL: time to end the workers and write a last word, so that a job that is
cancelled is gone with all its processes within 10 s."""
DRAFT = "job-00000000000000000000"
"""Stands in a plan for the id that a job gets when it is submitted."""


@dataclass(frozen=True)
class EngineRequest:
    """One start of a job on Ray, but for the attempt's own token."""

    submission_id: str
    entrypoint: str
    env: dict[str, str]
    metadata: dict[str, str]
    driver: Driver


def request(
    settings: Settings,
    *,
    job: str,
    attempt: int,
    project: str,
    run_id: str,
    spec: Mapping[str, Any],
    instance: str,
    resume_from: Sequence[str] = (),
    request_id: str = "",
    trace: str | None = None,
) -> EngineRequest:
    envelope = Envelope.model_validate(
        {
            "job": job,
            "attempt": attempt,
            "project": project,
            "run_id": run_id,
            "storage": settings.storage,
            "resume_from": list(resume_from),
            "spec": spec,
        }
    )
    driver = driver_of(envelope.spec)
    python = "python" if driver.image else settings.python
    return EngineRequest(
        submission_id=f"{job}-{attempt}",
        entrypoint=f"{shlex.quote(python)} -m ratchet_pipelines.run",
        env={
            # Ray puts the variables of a job in an image between single quotes, into a line that a shell reads.
            ENVELOPE_VARIABLE: envelope.model_dump_json().replace("'", "\\u0027"),
            "MLFLOW_TRACKING_URI": settings.mlflow_for_jobs,
            # The job itself decides how long it waits for MLflow; its client must not hang for minutes in one call.
            "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
            "PYTHONUNBUFFERED": "1",
            **({"TRACEPARENT": trace} if trace else {}),
            **({FILE_GIT_VARIABLE: "1"} if settings.allow_file_git else {}),
            # Ray Train ends its workers on SIGINT alone, and not within Ray's default of 3 s.
            "RAY_JOB_STOP_SIGNAL": "SIGINT",
            "RAY_JOB_STOP_WAIT_TIME_S": str(STOP_WAIT_S),
        },
        metadata={
            **{"job": job, "project": project, "instance": instance},
            **({"request_id": request_id} if request_id else {}),
        },
        driver=driver,
    )


def driver_of(spec: JobSpec) -> Driver:
    """Where a job's driver runs. That of a custom job is the user's program: it has what its only worker asks for."""
    if not isinstance(spec, Custom):
        return ON_HEAD
    image = spec.code.uri if isinstance(spec.code, Image) else None
    if spec.resources.workers > 1:
        return Driver(image=image)
    return Driver(spec.resources.cpus, spec.resources.gpus, spec.resources.memory_bytes, image)


def draft(settings: Settings, *, project: str, spec: Mapping[str, Any], instance: str) -> EngineRequest:
    """As `request` for a job that is not submitted yet: its id and its run's are zeros."""
    return request(settings, job=DRAFT, attempt=1, project=project, run_id="0" * 32, spec=spec, instance=instance)
