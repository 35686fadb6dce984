"""Small files in storage by which a job and the platform tell each other what Ray can't; under `jobs/<job>/`.

The platform has a storage of its own to read and write them with: it imports the models and the paths alone.
"""

from __future__ import annotations

from ratchet_pipelines.spec import Spec, Uri

MAX_CHARACTERS = 2_000


class FailureNote(Spec):
    """Why an attempt failed, as the job itself knows it."""

    message: str
    """For the person who submitted it: what is wrong and what to change."""
    error: str = ""
    """The last line of the traceback, such as `KeyError: 'x'`."""
    rank: int | None = None
    """The worker it happened on, where it was one of several."""


def failure_path(job: str, attempt: int) -> str:
    """Below the storage's root."""
    return f"jobs/{job}/failure-{attempt}.json"


def bar_path(job: str, attempt: int) -> str:
    """Where this file is, the attempt must not begin. Ray can't stop a job that it has not started yet."""
    return f"jobs/{job}/barred-{attempt}"


def preempt_path(job: str, attempt: int) -> str:
    """Where this file is, the attempt is asked to stop at its next checkpoint: a job that goes first needs its room."""
    return f"jobs/{job}/preempt-{attempt}"


def exists(uri: Uri) -> bool:
    """Raises `OSError` when the storage does not say."""
    import fsspec

    files, target = fsspec.core.url_to_fs(uri)
    return bool(files.exists(target))


def write(storage: Uri, path: str, note: Spec) -> None:
    """Raises `OSError` when the storage does not take it."""
    import fsspec

    files, target = fsspec.core.url_to_fs(f"{storage}/{path}")
    files.makedirs(target.rpartition("/")[0], exist_ok=True)
    files.pipe_file(target, note.model_dump_json().encode())
