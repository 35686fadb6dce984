"""The states of a job, the legal moves between them, and the reasons.

queued ─► starting ─► running ─► finalizing ─► succeeded
                        ▲ │
                        │ ▼
                      unknown      Ray does not answer: it may run, it may be gone
starting, running, unknown ─► queued              the cluster lost it: a new attempt, by the queue like any other
running, unknown ─► preempting ─► queued          its room is needed for a job that goes first
queued ─► cancelled;  starting, running, unknown, preempting, queued again ─► cancelling ─► cancelled
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
    UNKNOWN = "unknown"
    """It was running when Ray last answered. Ray does not answer now, so nobody can say."""
    PREEMPTING = "preempting"
    """Asked to stop at its next checkpoint, so that a job that goes first gets the room; then queued again."""
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
    JobStatus.QUEUED: frozenset({JobStatus.STARTING, JobStatus.CANCELLED, JobStatus.CANCELLING, JobStatus.FAILED}),
    JobStatus.STARTING: frozenset(
        {JobStatus.RUNNING, JobStatus.QUEUED, JobStatus.CANCELLING, JobStatus.FAILED},
    ),
    JobStatus.RUNNING: frozenset(
        {
            JobStatus.UNKNOWN,
            JobStatus.QUEUED,
            JobStatus.PREEMPTING,
            JobStatus.FINALIZING,
            JobStatus.CANCELLING,
            JobStatus.FAILED,
        }
    ),
    JobStatus.UNKNOWN: frozenset(
        {
            JobStatus.RUNNING,
            JobStatus.QUEUED,
            JobStatus.PREEMPTING,
            JobStatus.FINALIZING,
            JobStatus.CANCELLING,
            JobStatus.FAILED,
        }
    ),
    JobStatus.PREEMPTING: frozenset(
        {JobStatus.QUEUED, JobStatus.FINALIZING, JobStatus.CANCELLING, JobStatus.FAILED},
    ),
    JobStatus.FINALIZING: frozenset({JobStatus.SUCCEEDED, JobStatus.FAILED}),
    JobStatus.CANCELLING: frozenset({JobStatus.CANCELLED, JobStatus.FAILED}),
    JobStatus.SUCCEEDED: frozenset(),
    JobStatus.FAILED: frozenset(),
    JobStatus.CANCELLED: frozenset(),
}

OCCUPYING = frozenset(
    {JobStatus.STARTING, JobStatus.RUNNING, JobStatus.UNKNOWN, JobStatus.PREEMPTING, JobStatus.CANCELLING}
)


class Reason(StrEnum):
    """Why a job is as it is: a word for programs; `message` says it to a person."""

    WAITING_FOR_ROOM = "waiting_for_room"
    WAITING_FOR_TURN = "waiting_for_turn"
    """Others go first: by priority, or because its project has had more than its share."""
    WAITING_FOR_QUOTA = "waiting_for_quota"
    """Its project's quota has no room for it now."""
    WAITING_FOR_RETRY = "waiting_for_retry"
    """An attempt was lost; the next waits out its back-off."""
    WAITING_FOR_CLUSTER = "waiting_for_cluster"
    """The cluster can't be reached, or was never seen."""
    USER_ERROR = "user_error"
    DATA_ERROR = "data_error"
    OUT_OF_MEMORY = "out_of_memory"
    ENGINE_LOST = "engine_lost"
    """Ray forgot it or its driver was killed: tried again."""
    ENGINE_ERROR = "engine_error"
    """Ray could not start it."""
    NODE_LOST = "node_lost"
    """A node or a worker of it was lost: tried again."""
    ENVIRONMENT_ERROR = "environment_error"
    """Its image, package or code could not be set up."""
    PREEMPTED = "preempted"
    PENDING_DEADLINE_EXCEEDED = "pending_deadline_exceeded"
    """It was not started in the time it had to wait."""
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
