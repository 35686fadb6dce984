"""What the platform needs of the systems it stands on, as Protocols; and the one tree of their errors.

Every call has a time-out. A call either answers, or raises one of two errors: `EngineUnavailable` (nobody can say what
happened: look again) or `EngineRefused` (it was understood and declined: asking again gives the same).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol


class EngineError(Exception):
    """A call to Ray, MLflow or the storage that did not succeed. `engine` says which of them."""

    def __init__(self, engine: str, message: str) -> None:
        super().__init__(message)
        self.engine = engine
        self.message = message


class EngineUnavailable(EngineError):
    """No connection, no answer in time, or a server error. What was asked for may or may not have happened."""


class EngineSilent(EngineUnavailable):
    """Nobody answered at all, or only that the engine is not there."""


class EngineFull(EngineUnavailable):
    """It has no space left for what was to be written."""


class EngineRefused(EngineError):
    """The engine answered that it will not (4xx); the message is its own."""

    def __init__(self, engine: str, message: str, status: int = 400, code: str = "") -> None:
        super().__init__(engine, message)
        self.status = status
        self.code = code
        """MLflow's error code, such as `RESOURCE_DOES_NOT_EXIST`."""


class RayStatus(StrEnum):
    """Ray's (`ray.job_submission.RayStatus`)."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    STOPPED = "STOPPED"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"

    @property
    def terminal(self) -> bool:
        return self not in (RayStatus.PENDING, RayStatus.RUNNING)


@dataclass(frozen=True)
class JobInfo:
    submission_id: str
    status: RayStatus
    message: str = ""
    error_type: str | None = None
    """Ray's `JobErrorType`, such as `JOB_SUPERVISOR_ACTOR_DIED`; None unless it failed."""
    exit_code: int | None = None
    """Of the driver process; None when it never ran or was killed with its supervisor."""


@dataclass(frozen=True)
class ClusterInfo:
    """What all living nodes have together, used or not."""

    cpus: float
    gpus: float
    memory_bytes: int


@dataclass(frozen=True)
class Driver:
    """Where a job's driver runs: on the head and for nothing, or on a node that has this, in a container or not."""

    cpus: float = 0
    gpus: float = 0
    memory_bytes: int = 0
    image: str | None = None


ON_HEAD = Driver()


class RayJobs(Protocol):
    def submit(
        self,
        submission_id: str,
        *,
        entrypoint: str,
        env: Mapping[str, str],
        metadata: Mapping[str, str],
        driver: Driver = ON_HEAD,
    ) -> None:
        """Start a job. When Ray has the id already, this job or an earlier answer to it is there: nothing happens."""

    def get(self, submission_id: str) -> JobInfo | None:
        """None when Ray knows no such job: it never got it, or its head was started anew since."""

    def stop(self, submission_id: str) -> None:
        """Ask a job to end (SIGINT, then SIGKILL after its grace). Nothing when it is unknown or has ended."""

    def logs(self, submission_id: str) -> str | None:
        """Everything the driver has printed; None when Ray knows no such job."""

    def cluster(self) -> ClusterInfo: ...

    def alive(self) -> None:
        """Raises `EngineUnavailable` when Ray's head does not answer within a moment."""

    def live_jobs(self, instance: str) -> list[str]:
        """Submission ids of the jobs that have not ended and have this `instance` in their metadata."""


class RayServe(Protocol):
    def put(self, config: Mapping[str, Any]) -> None:
        """Make this the whole of what Serve runs: an application that is not in it is deleted."""

    def get(self) -> dict[str, Any]:
        """`ServeInstanceDetails`: `applications` by name, each with `status`, `message`, `deployments`."""


@dataclass(frozen=True)
class Run:
    """An MLflow run: the last value of each metric, and all tags and parameters."""

    run_id: str
    experiment_id: str
    status: str
    """RUNNING, SCHEDULED, FINISHED, FAILED or KILLED."""
    name: str = ""
    params: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    start_time_ms: int = 0
    end_time_ms: int | None = None

    @property
    def ended(self) -> bool:
        return self.status not in ("RUNNING", "SCHEDULED")


@dataclass(frozen=True)
class MetricPoint:
    step: int
    value: float
    timestamp_ms: int


@dataclass(frozen=True)
class RegisteredVersion:
    name: str
    version: int
    source: str
    run_id: str
    created_at_ms: int
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class RegisteredModel:
    name: str
    aliases: dict[str, int] = field(default_factory=dict)
    description: str = ""


class Mlflow(Protocol):
    def ensure_experiment(self, name: str) -> str:
        """The id of the experiment of that name, made when there is none."""

    def find_run(self, experiment_id: str, tag: str, value: str) -> Run | None:
        """The oldest run that has the tag."""

    def create_run(self, experiment_id: str, name: str, tags: Mapping[str, str]) -> Run: ...

    def get_run(self, run_id: str) -> Run | None: ...

    def children(self, experiment_id: str, parent_run_id: str) -> list[Run]:
        """The runs with that `mlflow.parentRunId`, oldest first, at most 10,000."""

    def metric_history(self, run_id: str, key: str) -> list[MetricPoint]:
        """By step, at most 25,000 points."""

    def set_tags(self, run_id: str, tags: Mapping[str, str]) -> None: ...

    def end_run(self, run_id: str, status: str) -> None: ...

    def resume_run(self, run_id: str) -> None:
        """Have it run again, ended or not."""

    def get_artifact(self, run_id: str, path: str) -> bytes | None:
        """A small file of the run; None when there is none. At most 32 MiB, else `EngineRefused`."""

    def ensure_registered_model(self, name: str) -> None: ...

    def list_registered_models(self, prefix: str) -> list[RegisteredModel]: ...

    def get_registered_model(self, name: str) -> RegisteredModel | None: ...

    def find_version(self, name: str, run_id: str) -> RegisteredVersion | None:
        """The newest version that came of the run."""

    def create_version(self, name: str, *, source: str, run_id: str, tags: Mapping[str, str]) -> int:
        """Register `source` (`models:/m-…`) as the next version, and return its number."""

    def get_version(self, name: str, version: int) -> RegisteredVersion | None: ...

    def list_versions(self, name: str) -> list[RegisteredVersion]:
        """Newest first."""

    def set_version_tags(self, name: str, version: int, tags: Mapping[str, str]) -> None: ...

    def set_alias(self, name: str, alias: str, version: int) -> None: ...

    def delete_alias(self, name: str, alias: str) -> None:
        """Nothing when there is no such alias."""


class Storage(Protocol):
    """The files of the platform, by path below the storage root."""

    def uri(self, path: str) -> str: ...

    def write(self, path: str, data: bytes) -> None:
        """Whole or not at all to a reader: written beside, then moved."""

    def upload(self, path: str, file: Path) -> None:
        """As `write`, of a local file however large."""

    def read(self, path: str) -> bytes | None: ...

    def list(self, folder: str) -> Sequence[str]:
        """The paths of the files below a folder, sorted; empty when there is none."""

    def sizes(self, folder: str) -> Mapping[str, int]:
        """The size in bytes of each file below a folder, by path."""

    def delete(self, folder: str) -> None:
        """Take away a folder with all that is below it; nothing when there is none."""

    @property
    def look_every_s(self) -> float:
        """How long to rest between two looks at what grows: less for a folder than where each look is paid for."""


@dataclass(frozen=True)
class Clients:
    jobs: RayJobs
    serve: RayServe
    mlflow: Mlflow
    storage: Storage
