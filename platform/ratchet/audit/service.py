"""The audit log as it is read, and the check that it is what was written."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, Select, func, select
from sqlalchemy.orm import Session

from ratchet.audit.chain import Anchor, link
from ratchet.audit.schemas import BreakView, VerificationView
from ratchet.audit.tables import CHAIN, EventChain, EventSeal
from ratchet.events import Event

SEALED = (
    Event.id,
    Event.at,
    Event.project,
    Event.actor,
    Event.action,
    Event.target_kind,
    Event.target_id,
    Event.before,
    Event.after,
    Event.message,
)
"""What a link holds of an event: all of it."""
WINDOW = 20_000
"""An event may become visible after others with larger ids (Postgres): the sealer looks this many ids back. What
appears below was not written by the platform."""
LATE = timedelta(minutes=10)


def listed(*, project: str | None = None, target: str | None = None, action: str | None = None) -> Select[Any]:
    """The events of one project or of all."""
    query = select(Event)
    if project is not None:
        query = query.where(Event.project == project)
    if target:
        query = query.where(Event.target_id == target)
    if action:
        query = query.where(Event.action == action)
    return query


def unsealed() -> Select[Any]:
    return select(*SEALED).where(~select(EventSeal.seq).where(EventSeal.event_id == Event.id).exists())


def verify(session: Session, after: Anchor, limit: int) -> VerificationView:
    """Check at most `limit` links after an anchor; without one, from the first. Stops at the first that is broken."""
    head = session.get_one(EventChain, CHAIN)  # read first: links may be added while we look
    check = _Check(after)
    check.start(session, head)
    if check.broken is None:
        check.links(session, head, limit)
    complete = check.broken is None and check.last.seq >= head.seq
    if complete:
        check.rest(session, head)
    return VerificationView(
        ok=check.broken is None,
        broken=check.broken,
        checked=check.last.seq - after.seq,
        anchor=str(check.last),
        complete=complete,
        pending=check.pending,
        backdated=check.backdated,
    )


class _Check:
    def __init__(self, after: Anchor) -> None:
        self.last = after
        self.broken: BreakView | None = None
        self.pending = self.backdated = 0
        self._latest: datetime | None = None

    def start(self, session: Session, head: EventChain) -> None:
        if self.last.seq > head.seq:
            self._break("truncated", self.last.seq, None, f"The chain ends at {head.seq}, before the anchor.")
        elif self.last.seq > 0:
            seal = session.get(EventSeal, self.last.seq)
            if seal is None:
                self._break("unsealed", self.last.seq, None, "The link of the anchor is gone.")
            elif seal.hash != self.last.hash:
                self._break("anchor", seal.seq, seal.event_id, "The chain has another hash here than the anchor says.")

    def links(self, session: Session, head: EventChain, limit: int) -> None:
        query = (
            select(EventSeal.seq, EventSeal.event_id, EventSeal.hash, *SEALED)
            .outerjoin(Event, Event.id == EventSeal.event_id)
            .where(EventSeal.seq > self.last.seq, EventSeal.seq <= head.seq)
            .order_by(EventSeal.seq)
            .limit(limit)
            .execution_options(yield_per=1_000)
        )
        found = 0
        for row in session.execute(query):
            found += 1
            self._link(row)
            if self.broken is not None:
                return
        if found < limit and self.last.seq < head.seq:
            self._break("truncated", self.last.seq + 1, None, f"The chain should go on to {head.seq}; its end is gone.")
        elif self.last.seq == head.seq and self.last.hash != head.hash:
            self._break("altered", head.seq, head.event_id, "The chain ends in another hash than was recorded.")

    def _link(self, row: Row[Any]) -> None:
        seq, event_id, sealed, *values = tuple(row)
        event: dict[str, Any] = dict(zip((column.key for column in SEALED), values, strict=True))
        if seq != self.last.seq + 1:
            return self._break("unsealed", self.last.seq + 1, None, "The link is gone.")
        if event["id"] is None:
            return self._break("deleted", seq, event_id, f"The event {event_id} was sealed and is gone.")
        if link(self.last.hash, event) != sealed:
            return self._break("altered", seq, event_id, f"The event {event_id} or its link is not what was sealed.")
        if self._latest is not None and event["at"] < self._latest - LATE:
            self.backdated += 1
        self._latest = max(self._latest or event["at"], event["at"])
        self.last = Anchor(seq, sealed)
        return None

    def rest(self, session: Session, head: EventChain) -> None:
        """What has no link: below the sealer's window it was put in later."""
        floor = head.event_id - WINDOW
        stranger = session.scalar(unsealed().with_only_columns(func.min(Event.id)).where(Event.id <= floor))
        if stranger is not None:
            self._break("inserted", 0, stranger, f"The event {stranger} was put in after its neighbours were sealed.")
        waiting = unsealed().with_only_columns(func.count()).where(Event.id > floor)
        self.pending = session.scalar(waiting) or 0

    def _break(self, kind: Any, seq: int, event_id: int | None, message: str) -> None:
        self.broken = BreakView(kind=kind, seq=seq, event_id=event_id, message=message)
