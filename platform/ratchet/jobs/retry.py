"""Whether and when a failed attempt is followed by another: the one place that decides it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from ratchet.jobs.classify import Failure
from ratchet.jobs.status import Reason
from ratchet_pipelines.spec import Job

LONGEST_S = 300.0
"""Of all back-offs. What is to wait for longer does so because the clock was set back."""


@dataclass(frozen=True)
class Backoff:
    """How long the queue keeps the next attempt back, in seconds: doubled from one attempt to the next."""

    first_s: float
    most_s: float

    def after(self, attempts: int) -> timedelta:
        """The wait after that many attempts were lost, from 1."""
        return timedelta(seconds=min(self.first_s * 2 ** min(attempts - 1, 20), self.most_s))


BACKOFF: dict[Reason, Backoff] = {
    Reason.ENGINE_LOST: Backoff(2, 60),  # the queue itself waits for the cluster to be back
    Reason.NODE_LOST: Backoff(2, 60),
    Reason.ENGINE_ERROR: Backoff(5, LONGEST_S),  # Ray could not start it: it is given time to come to itself
    Reason.ENVIRONMENT_ERROR: Backoff(10, LONGEST_S),  # a registry that fails is not well in a second
}
OTHERWISE = Backoff(5, 60)
OWN = {Reason.USER_ERROR, Reason.DATA_ERROR, Reason.OUT_OF_MEMORY, Reason.ENVIRONMENT_ERROR, Reason.INTERNAL}
"""What a job fails of by itself. The same a second time will come a third; the cluster may fail it alike any number."""
DETAILS = re.compile(r"0x[0-9a-fA-F]+|\d+(?:\.\d+)?")
"""Addresses, sizes, process ids: what differs between two failures that are the same."""


@dataclass(frozen=True)
class History:
    """What became of a job's attempts so far."""

    tried: int
    """Attempts that count, with the one that has just failed."""
    failures: frozenset[str] = frozenset()
    """The `signature` of each that failed before."""


@dataclass(frozen=True)
class Verdict:
    """`after` is when the next attempt may start; null when there is none. `message` is for a person."""

    message: str
    after: timedelta | None = None


def decide(spec: Mapping[str, Any], failure: Failure, history: History) -> Verdict:
    """Pure. `spec` is a `JobSpec` as JSON."""
    most = int(spec["max_attempts"])
    if failure.reason not in spec.get("retry_on", Job.model_fields["retry_on"].default):
        return Verdict(failure.message)
    if history.tried >= most:
        return Verdict(f"{failure.message} Attempt {history.tried} of {most}.")
    if failure.reason in OWN and signature(failure) in history.failures:
        return Verdict(f"{failure.message} The same came of an earlier attempt, so it is not tried again.")
    after = BACKOFF.get(failure.reason, OTHERWISE).after(history.tried)
    return Verdict(f"{failure.message} Attempt {history.tried + 1} of {most} follows.", after)


def signature(failure: Failure) -> str:
    """Equal for two failures that are the same but for numbers."""
    return f"{failure.reason} {DETAILS.sub('#', failure.error or failure.message)}"
