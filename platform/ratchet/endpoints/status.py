"""The states of an endpoint, the legal moves between them, and the one function that makes a move."""

from __future__ import annotations

from enum import StrEnum

from sqlalchemy.orm import Session

from ratchet import events
from ratchet.endpoints.tables import Endpoint


class Status(StrEnum):
    DEPLOYING = "deploying"
    """Nothing answers yet."""
    READY = "ready"
    """What was last asked for is what answers."""
    UPDATING = "updating"
    """Something answers, and what was last asked for is on its way."""
    DEGRADED = "degraded"
    """Something answers, but not all of what was asked for can."""
    FAILED = "failed"
    """Nothing answers, and it will not get better by waiting."""
    DELETING = "deleting"


MOVES: dict[Status, frozenset[Status]] = {
    # What serves may get better or worse by itself at any time (a replica dies, a node comes back) ...
    Status.DEPLOYING: frozenset(Status),
    Status.READY: frozenset(Status),
    Status.UPDATING: frozenset(Status),
    Status.DEGRADED: frozenset(Status),
    Status.FAILED: frozenset(Status),
    # ... but what is being deleted stays so.
    Status.DELETING: frozenset({Status.DELETING}),
}
UNSETTLED = frozenset({Status.DEPLOYING, Status.UPDATING, Status.DELETING})
"""Worth another look soon."""


def change(
    session: Session,
    endpoint: Endpoint,
    to: Status,
    *,
    actor: str = events.SYSTEM,
    reason: str | None = None,
    message: str | None = None,
) -> None:
    """Move an endpoint to another state (or give the same state another reason), and say so in the audit log."""
    before = Status(endpoint.status)
    if to not in MOVES[before]:
        raise ValueError(f"endpoint {endpoint.id} can't go from {before} to {to}")
    if (before, endpoint.reason, endpoint.message) == (to, reason, message):
        return
    changed = before is not to or endpoint.reason != reason
    endpoint.status, endpoint.reason, endpoint.message = to.value, reason, message
    if changed:
        events.emit(
            session,
            project=endpoint.project,
            actor=actor,
            action=f"endpoint.{to.value}",
            target=("endpoint", endpoint.id),
            before={"status": before.value},
            after={"status": to.value, "reason": reason, "generation": endpoint.generation},
            message=message or "",
        )
