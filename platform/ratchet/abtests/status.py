from __future__ import annotations

from enum import StrEnum


class ABTestStatus(StrEnum):
    RUNNING = "running"
    DECIDED = "decided"
    STOPPED = "stopped"
    """Ended without a verdict: by a person, or because what it compared was changed."""


MOVES: dict[ABTestStatus, set[ABTestStatus]] = {
    ABTestStatus.RUNNING: {ABTestStatus.DECIDED, ABTestStatus.STOPPED},
    ABTestStatus.DECIDED: set(),
    ABTestStatus.STOPPED: set(),
}


class Reason(StrEnum):
    """Why a test was stopped; a decided one has the word of `ratchet.stats.decide`."""

    STOPPED_BY_USER = "stopped_by_user"
    ENDPOINT_CHANGED = "endpoint_changed"
