from __future__ import annotations

from enum import StrEnum


class MonitorStatus(StrEnum):
    ACTIVE = "active"
    PAUSED = "paused"


class CheckStatus(StrEnum):
    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


CHECK_MOVES: dict[CheckStatus, set[CheckStatus]] = {
    CheckStatus.PENDING: {CheckStatus.RUNNING, CheckStatus.FAILED},
    CheckStatus.RUNNING: {CheckStatus.SUCCEEDED, CheckStatus.FAILED},
    CheckStatus.SUCCEEDED: set(),
    CheckStatus.FAILED: set(),
}


class Verdict(StrEnum):
    DRIFT = "drift"
    NO_DRIFT = "no_drift"
    INSUFFICIENT_DATA = "insufficient_data"
