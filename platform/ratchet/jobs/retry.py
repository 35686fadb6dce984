"""Whether and when a failed attempt is followed by another: the one place that decides it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from ratchet.jobs.status import Reason


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
    Reason.ENGINE_ERROR: Backoff(5, 300),  # Ray could not start it: it is given time to come to itself
    Reason.ENVIRONMENT_ERROR: Backoff(10, 300),  # a registry or a package index that fails is not well in a second
}
OTHERWISE = Backoff(5, 60)


def backoff(reason: Reason, attempts: int) -> timedelta:
    return BACKOFF.get(reason, OTHERWISE).after(attempts)
