from __future__ import annotations

from sqlalchemy.orm import Mapped, mapped_column

from ratchet.audit.chain import GENESIS
from ratchet.db import Base, Identified, Leased

CHAIN = "events"
"""The id of the only row of `event_chains`."""


class EventSeal(Base):
    """A link of the chain: one for each event, in the order in which they were sealed. Append-only, by triggers."""

    __tablename__ = "event_seals"

    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    """From 1, without a gap."""
    event_id: Mapped[int] = mapped_column(unique=True)
    hash: Mapped[str]
    """`chain.link` of the hash before and the event."""


class EventChain(Identified, Leased, Base):
    """The end of the chain: what the sealer goes on from."""

    __tablename__ = "event_chains"

    seq: Mapped[int] = mapped_column(default=0)
    hash: Mapped[str] = mapped_column(default=GENESIS)
    event_id: Mapped[int] = mapped_column(default=0)
    """The largest that is sealed."""
