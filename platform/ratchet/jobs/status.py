"""The states of a job, the legal moves between them, and the reasons.

queued ─► starting ─► running ─► finalizing ─► succeeded
             ▲            │
             └────────────┘  the cluster lost it: a new attempt
starting, running ─► cancelling ─► cancelled
any that has not ended ─► failed
"""

from __future__ import annotations

from enum import StrEnum


class JobStatus(StrEnum):
    QUEUED = "queued"
    """Waits for room; nothing of it is on the cluster."""
    STARTING = "starting"
    """Has its room. Its MLflow run is opened and it is handed to Ray."""
    RUNNING = "running"
    """Ray has it."""
    FINALIZING = "finalizing"
    """The computing is done: the result is read and the model registered."""
    CANCELLING = "cancelling"
    """Ray is asked to stop it, until it has."""
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        return not MOVES[self]

    @property
    def occupies(self) -> bool:
        """Whether it holds room on the cluster."""
        return self in OCCUPYING


MOVES: dict[JobStatus, frozenset[JobStatus]] = {
    JobStatus.QUEUED: frozenset({JobStatus.STARTING, JobStatus.CANCELLED, JobStatus.FAILED}),
    JobStatus.STARTING: frozenset({JobStatus.RUNNING, JobStatus.CANCELLING, JobStatus.FAILED}),
    JobStatus.RUNNING: frozenset({JobStatus.STARTING, JobStatus.FINALIZING, JobStatus.CANCELLING, JobStatus.FAILED}),
    JobStatus.FINALIZING: frozenset({JobStatus.SUCCEEDED, JobStatus.FAILED}),
    JobStatus.CANCELLING: frozenset({JobStatus.CANCELLED, JobStatus.FAILED}),
    JobStatus.SUCCEEDED: frozenset(),
    JobStatus.FAILED: frozenset(),
    JobStatus.CANCELLED: frozenset(),
}

OCCUPYING = frozenset({JobStatus.STARTING, JobStatus.RUNNING, JobStatus.CANCELLING})


class Reason(StrEnum):
    """Why a job is as it is: a word for programs; `message` says it to a person."""

    WAITING_FOR_ROOM = "waiting_for_room"
    WAITING_FOR_CLUSTER = "waiting_for_cluster"
    """The cluster can't be reached, or was never seen."""
    USER_ERROR = "user_error"
    DATA_ERROR = "data_error"
    OUT_OF_MEMORY = "out_of_memory"
    ENGINE_LOST = "engine_lost"
    """Ray forgot it or its driver was killed: tried again."""
    ENGINE_ERROR = "engine_error"
    """Ray could not start it."""
    DEADLINE_EXCEEDED = "deadline_exceeded"
    CANCELLED = "cancelled"
    STOPPED_IN_RAY = "stopped_in_ray"
    INTERNAL = "internal"


class AttemptStatus(StrEnum):
    STARTING = "starting"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    LOST = "lost"
    CANCELLED = "cancelled"


UNREACHABLE = "unreachable"
"""The `engine_status` while Ray or MLflow does not answer: the job's own status stays."""
