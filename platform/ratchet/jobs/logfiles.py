"""The logs of a job's drivers: Ray's while an attempt lives, ours in storage once it has ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ratchet.clients.ports import Clients
from ratchet.logs import masked

MAX_CHARACTERS = 256 * 1024
"""In one answer."""


@dataclass(frozen=True)
class LogPart:
    text: str
    next_offset: int
    """In characters."""
    complete: bool


def path(job_id: str, attempt: int) -> str:
    return f"jobs/{job_id}/driver-{attempt}.log"


def save(clients: Clients, job_id: str, attempt: int) -> str:
    """Copy the driver's log from Ray to storage, with secrets masked. What Ray has lost is left as it was saved."""
    text = clients.jobs.logs(f"{job_id}-{attempt}")
    if text is None:
        return ""
    text = masked(text)
    clients.storage.write(path(job_id, attempt), text.encode())
    return text


def read(clients: Clients, job_id: str, attempts: Sequence[tuple[int, bool]], offset: int, *, ended: bool) -> LogPart:
    """The log from a character on. `attempts` are (number, ended) in order; a later one follows under a heading."""
    text = "".join(_of_attempt(clients, job_id, number, over) for number, over in attempts)
    part = text[offset : offset + MAX_CHARACTERS]
    following = max(offset, 0) + len(part)
    return LogPart(part, following, ended and following >= len(text))


def _of_attempt(clients: Clients, job_id: str, number: int, over: bool) -> str:
    heading = f"--- attempt {number} ---\n" if number > 1 else ""
    saved = clients.storage.read(path(job_id, number)) if over else None
    if saved is not None:
        return heading + saved.decode(errors="replace")
    return heading + masked(clients.jobs.logs(f"{job_id}-{number}") or "")
