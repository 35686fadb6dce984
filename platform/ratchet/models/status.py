"""The states of a promotion, the legal moves between them, and the one function that makes a move."""

from __future__ import annotations

from enum import StrEnum

from sqlalchemy.orm import Session

from ratchet import events
from ratchet.db import now
from ratchet.models.tables import Promotion


class Status(StrEnum):
    PENDING = "pending"
    EVALUATING = "evaluating"
    PASSED = "passed"
    REFUSED = "refused"
    """The gate was evaluated, and says no."""
    FAILED = "failed"
    """The gate could not be evaluated, or the alias could not be moved."""


MOVES: dict[Status, frozenset[Status]] = {
    Status.PENDING: frozenset({Status.EVALUATING, Status.FAILED}),
    # Back to pending: the champion changed meanwhile, and the candidate was compared with one that is no more.
    Status.EVALUATING: frozenset({Status.PENDING, Status.PASSED, Status.REFUSED, Status.FAILED}),
    # Passed with its move asked for later, when the alias no longer points to what the gate compared with.
    Status.PASSED: frozenset({Status.FAILED}),
    Status.REFUSED: frozenset(),
    Status.FAILED: frozenset(),
}
OPEN = frozenset({Status.PENDING, Status.EVALUATING})


def change(
    session: Session,
    promotion: Promotion,
    to: Status,
    *,
    actor: str = events.SYSTEM,
    reason: str | None = None,
    message: str | None = None,
) -> None:
    """Move a promotion to another state, and say so in the audit log, in this transaction."""
    before = Status(promotion.status)
    if to not in MOVES[before]:
        raise ValueError(f"promotion {promotion.id} can't go from {before} to {to}")
    promotion.status, promotion.reason, promotion.message = to.value, reason, message
    if to not in OPEN:
        promotion.decided_at = promotion.decided_at or now(session)
    events.emit(
        session,
        project=promotion.project,
        actor=actor,
        action=f"promotion.{to.value}",
        target=("promotion", promotion.id),
        before={"status": before.value},
        after={"status": to.value, "model": promotion.model, "version": promotion.version, "alias": promotion.alias},
        message=message or "",
    )
