"""The audit log: every change of state, who made it, and the state before and after.

The database refuses to change or delete an entry (triggers), and `ratchet.audit` shows whether somebody did.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel
from sqlalchemy import JSON, Index, insert
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, Session, mapped_column

from ratchet.db import Base, db_now
from ratchet.lists.fields import Fields, column, values

SYSTEM = "system"
"""The actor when a reconciler acts on its own: a retry, a verdict, an alert."""


class Event(Base):
    __tablename__ = "events"
    __table_args__ = (
        Index(None, "at", "id"),
        Index(None, "project", "at", "id"),
        Index(None, "project", "action", "at", "id"),
        Index(None, "project", "target_id", "at", "id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    at: Mapped[datetime] = mapped_column(server_default=db_now())
    project: Mapped[str]
    actor: Mapped[str]
    action: Mapped[str]
    """`<kind>.<verb>`, such as `job.submitted`."""
    target_kind: Mapped[str]
    target_id: Mapped[str]
    before: Mapped[dict[str, Any] | None] = mapped_column(JSON().with_variant(JSONB(), "postgresql"))
    after: Mapped[dict[str, Any] | None] = mapped_column(JSON().with_variant(JSONB(), "postgresql"))
    message: Mapped[str] = mapped_column(default="")


_INSERT = insert(Event.metadata.tables[Event.__tablename__])
"""Past the unit of work, and built once: nobody needs the row, and each change of anything writes one."""


class EventTarget(BaseModel):
    kind: str
    id: str


class EventView(BaseModel):
    """One entry of the audit log."""

    id: int
    at: datetime
    project: str
    """Empty for what belongs to none."""
    actor: str
    action: str
    target: EventTarget
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    message: str

    @classmethod
    def of(cls, row: Event) -> EventView:
        return cls(
            id=row.id,
            at=row.at,
            project=row.project,
            actor=row.actor,
            action=row.action,
            target=EventTarget(kind=row.target_kind, id=row.target_id),
            before=row.before,
            after=row.after,
            message=row.message,
        )


EVENT_FIELDS = Fields(
    {
        "id": column(Event.id),
        "at": column(Event.at),
        "project": column(Event.project),
        "actor": column(Event.actor),
        "action": column(Event.action),
        "target.kind": column(Event.target_kind),
        "target.id": column(Event.target_id),
        "before": values(Event.before),
        "after": values(Event.after),
        "message": column(Event.message, orderable=False),
    },
    order="at",
    indexed=frozenset({"action", "target.id"}),
)


def emit(
    session: Session,
    *,
    project: str,
    actor: str,
    action: str,
    target: tuple[str, str],
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
    message: str = "",
) -> int:
    """Write the event in the caller's transaction: it is there exactly when the change is. Gives its id."""
    kind, target_id = target
    written = session.connection().execute(
        _INSERT,
        {
            "project": project,
            "actor": actor,
            "action": action,
            "target_kind": kind,
            "target_id": target_id,
            "before": before,
            "after": after,
            "message": message,
        },
    )
    return int(written.inserted_primary_key[0])  # type: ignore[index]
