from __future__ import annotations

from typing import Literal

from pydantic import BaseModel


class BreakView(BaseModel):
    """The first entry at which the chain does not hold."""

    kind: Literal["altered", "deleted", "inserted", "unsealed", "truncated", "anchor"]
    """`altered`: the event is not what was sealed. `deleted`: it is gone. `inserted`: it was put in later. `unsealed`:
    a link is gone. `truncated`: the chain ends too early. `anchor`: it has another hash at the anchor."""
    seq: int
    """The number of the link, from 1; 0 for an event that has none."""
    event_id: int | None
    message: str


class VerificationView(BaseModel):
    """What was found on one stretch of the chain."""

    ok: bool
    broken: BreakView | None
    checked: int
    """Links on this stretch."""
    anchor: str
    """The last link that holds, `<seq>:<hash>`: go on from here, or keep it where the platform can't write."""
    complete: bool
    """The stretch reached the end of the chain."""
    pending: int
    """Events that are not sealed yet; a sealer does so within seconds."""
    backdated: int
    """Entries whose time lies more than ten minutes before that of one sealed earlier: put in under an old date, or
    the database's clock was set back."""
