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


class EngineError(JobError):
    """Ray lost a part of the job (a worker, a node) as often as the job may lose one."""


class CancelledJobError(JobError):
    """The job was asked to stop (SIGINT)."""
