"""The token of one attempt of a job: it opens the attempt's MLflow run until the attempt ends, and nothing else.

It is kept nowhere. It says what it is for and is signed with the platform's key, so that a reconciler that was killed
between making it and using it makes the same one again. Whether the attempt lives is read from its row: there is
nothing to revoke, and nothing that could be forgotten.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass

PREFIX = "rj_"


@dataclass(frozen=True)
class JobClaim:
    """What an attempt's token is for."""

    job_id: str
    attempt: int
    experiment_id: str
    run_id: str


def sign(key: bytes, claim: JobClaim) -> str:
    text = f"{claim.job_id}.{claim.attempt}.{claim.experiment_id}.{claim.run_id}"
    return f"{PREFIX}{text}.{_signature(key, text)}"


def verify(key: bytes, token: str) -> JobClaim | None:
    """What the token is for; None when the signature is not ours."""
    text, _, signature = token.removeprefix(PREFIX).rpartition(".")
    if not hmac.compare_digest(signature.encode(), _signature(key, text).encode()):
        return None
    job_id, attempt, experiment_id, run_id = text.split(".")
    return JobClaim(job_id, int(attempt), experiment_id, run_id)


def _signature(key: bytes, text: str) -> str:
    return hmac.new(key, f"job token\0{text}".encode(), hashlib.sha256).hexdigest()
