"""The sealer: adds a link to the chain for each new event, in batches. Whoever writes an event never waits for it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from prometheus_client import Gauge
from sqlalchemy import insert
from sqlalchemy.orm import Session

from ratchet.audit.chain import Anchor, link
from ratchet.audit.service import SEALED, WINDOW, unsealed
from ratchet.audit.tables import EventChain, EventSeal
from ratchet.events import Event
from ratchet.logs import logger
from ratchet.reconciler.loop import Reconciler

log = logger("audit")

AT_ONCE = timedelta(0)
SEAL_EVERY = timedelta(seconds=5)
BATCH = 1_000
HEAD = Gauge("ratchet_event_chain_length", "Links in the chain of hashes over the audit log.")


@dataclass(frozen=True)
class Seen:
    head: Anchor
    events: list[dict[str, Any]]


class EventSealer(Reconciler[EventChain, Seen, list[dict[str, Any]]]):
    table = EventChain
    workers = 1

    def load(self, session: Session, row: EventChain) -> Seen:
        query = unsealed().where(Event.id > row.event_id - WINDOW).order_by(Event.id).limit(BATCH)
        names = [column.key for column in SEALED]
        events = [dict(zip(names, found, strict=True)) for found in session.execute(query)]
        return Seen(Anchor(row.seq, row.hash), events)

    def act(self, seen: Seen) -> list[dict[str, Any]]:
        seals, last = [], seen.head
        for event in seen.events:
            last = Anchor(last.seq + 1, link(last.hash, event))
            seals.append({"seq": last.seq, "event_id": event["id"], "hash": last.hash})
        return seals

    def record(self, session: Session, row: EventChain, seen: Seen, found: list[dict[str, Any]]) -> timedelta:
        HEAD.set(seen.head.seq + len(found))
        if not found:
            return SEAL_EVERY
        session.execute(insert(EventSeal), found)
        row.seq, row.hash = found[-1]["seq"], found[-1]["hash"]
        row.event_id = max(row.event_id, found[-1]["event_id"])
        log.info("events_sealed", anchor=str(Anchor(row.seq, row.hash)), events=len(found))
        return AT_ONCE if len(found) == BATCH else SEAL_EVERY
