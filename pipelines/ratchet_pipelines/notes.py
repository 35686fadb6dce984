"""Small files in storage by which a job tells the platform what an exit status can't; under `jobs/<job>/`.

The platform reads them with a storage of its own: it imports the models and the paths alone.
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


def write(storage: Uri, path: str, note: Spec) -> None:
    """Raises `OSError` when the storage does not take it."""
    import fsspec

    files, target = fsspec.core.url_to_fs(f"{storage}/{path}")
    files.makedirs(target.rpartition("/")[0], exist_ok=True)
    files.pipe_file(target, note.model_dump_json().encode())
