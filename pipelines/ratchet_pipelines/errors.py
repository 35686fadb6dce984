"""What can go wrong in a job, by whose turn it is to act. The message is for the person who submitted the job."""

from __future__ import annotations

from ratchet_pipelines.spec import ExitCode


class JobError(Exception):
    """A job that can't go on; its message says what is wrong and what to change."""

    exit_code = ExitCode.INTERNAL


class UserError(JobError):
    """The spec or the user's code is wrong: trying again gives the same."""

    exit_code = ExitCode.USER_ERROR


class DataError(JobError):
    """The data can't be read, or is not what the spec says."""

    exit_code = ExitCode.DATA_ERROR


class OutOfMemoryError(JobError):
    """A process of the job was given less memory than it needed."""

    exit_code = ExitCode.OUT_OF_MEMORY


class BadEnvironmentError(JobError):
    """What the job runs in is not what it needs: a package, a program or its code is missing."""

    exit_code = ExitCode.ENVIRONMENT_ERROR


class EngineError(JobError):
    """Ray lost a part of the job: a worker or a node."""

    exit_code = ExitCode.NODE_LOST


class PreemptedJobError(JobError):
    """The job was asked to make room, and has saved what it needs to go on from here."""

    exit_code = ExitCode.PREEMPTED


class CancelledJobError(JobError):
    """The job was asked to stop (SIGINT)."""


def on_rank(error: Exception, rank: int) -> Exception:
    """The error, with the worker that raised it: kept for `rank_of`, and shown with its traceback."""
    error.ratchet_rank = rank  # type: ignore[attr-defined]
    error.add_note(f"On rank {rank}.")
    return error


def rank_of(error: BaseException) -> int | None:
    return getattr(error, "ratchet_rank", None)
