"""The audit log can't be changed through the database as it is, and what is done past that is found."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import delete, insert, select, text, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session, sessionmaker

from ratchet import events
from ratchet.audit import service
from ratchet.audit.chain import GENESIS, Anchor, link
from ratchet.audit.reconcile import EventSealer
from ratchet.audit.schemas import VerificationView
from ratchet.audit.tables import CHAIN, EventChain, EventSeal
from ratchet.db import db_now, now, read_only
from ratchet.events import Event
from ratchet.reconciler.loop import claim, step


def write(sessions: sessionmaker[Session], count: int = 1) -> None:
    with sessions() as session:
        for number in range(count):
            after = {"status": "queued", "n": number, "share": 0.1, "name": "Zoë"}
            events.emit(
                session,
                project="default",
                actor="ann",
                action="job.submitted",
                target=("job", f"job-{number}"),
                after=after,
                message="naïve — 日本",
            )
        session.commit()


def seal(sessions: sessionmaker[Session]) -> None:
    """Looks of the sealer until nothing is left to seal."""
    for _ in range(5):
        with sessions() as session:
            session.execute(update(EventChain).values(due_at=db_now(), lease_until=None))
            session.commit()
            [(row_id, lease)] = claim(session, EventSealer(), 10)
        step(sessions, EventSealer(), row_id, lease)


def verify(sessions: sessionmaker[Session], after: str = "", limit: int = 1_000) -> VerificationView:
    with read_only(sessions) as session:
        return service.verify(session, Anchor.parse(after) if after else Anchor(), limit)


def past_the_triggers(sessions: sessionmaker[Session], change: Callable[[Session], object]) -> None:
    """What somebody does who owns the database."""
    with sessions() as session:
        if session.get_bind().dialect.name == "postgresql":
            session.execute(text("SET session_replication_role = replica"))
        else:
            for name in session.scalars(text("SELECT name FROM sqlite_master WHERE type = 'trigger'")).all():
                session.execute(text(f"DROP TRIGGER {name}"))
        change(session)
        session.commit()
        if session.get_bind().dialect.name == "postgresql":
            session.execute(text("SET session_replication_role = DEFAULT"))
            session.commit()


@pytest.mark.parametrize("table", [Event, EventSeal])
@pytest.mark.parametrize("change", ["update", "delete", "truncate"])
def test_the_database_refuses_to_change_the_past(sessions, table, change):
    write(sessions)
    seal(sessions)
    with sessions() as session:
        if change == "truncate" and session.get_bind().dialect.name == "sqlite":
            change = "delete"  # SQLite knows no other
        statement = {
            "update": update(table).values({"message": "x"} if table is Event else {"hash": "x"}),
            "delete": delete(table),
            "truncate": text(f"TRUNCATE {table.__tablename__}"),
        }[change]
        with pytest.raises(DBAPIError, match="append-only"):
            session.execute(statement)


def test_every_event_is_sealed_once_in_an_unbroken_chain(sessions):
    write(sessions, 3)
    assert verify(sessions).pending == 3
    seal(sessions)
    write(sessions, 2)
    seal(sessions)
    found = verify(sessions)
    assert (found.ok, found.complete, found.checked, found.pending, found.backdated) == (True, True, 5, 0, 0)
    with read_only(sessions) as session:
        rows = session.execute(select(EventSeal.event_id, EventSeal.hash).order_by(EventSeal.seq)).all()
        columns = session.execute(select(*service.SEALED).order_by(Event.id)).mappings().all()
    last = GENESIS
    for (event_id, sealed), event in zip(rows, columns, strict=True):
        last = link(last, dict(event))
        assert (event_id, sealed) == (event["id"], last)
    assert found.anchor == f"5:{last}"


def test_a_long_log_is_checked_in_stretches(sessions):
    write(sessions, 5)
    seal(sessions)
    first = verify(sessions, limit=3)
    assert (first.checked, first.complete) == (3, False)
    rest = verify(sessions, first.anchor, limit=3)
    assert (rest.ok, rest.checked, rest.complete, rest.anchor) == (True, 2, True, verify(sessions).anchor)


TAMPERING = {
    "altered": (lambda session: session.execute(update(Event).where(Event.id == 3).values(actor="eve")), 3),
    "altered at": (lambda session: session.execute(update(Event).where(Event.id == 2).values(at=db_now())), 2),
    "altered json": (lambda session: session.execute(update(Event).where(Event.id == 4).values(after={})), 4),
    "altered link": (lambda session: session.execute(update(EventSeal).where(EventSeal.seq == 4).values(hash="0")), 4),
    "deleted": (lambda session: session.execute(delete(Event).where(Event.id == 2)), 2),
    "unsealed": (lambda session: session.execute(delete(EventSeal).where(EventSeal.seq == 2)), 2),
    "truncated": (lambda session: session.execute(delete(EventSeal).where(EventSeal.seq >= 4)), 4),
}


@pytest.mark.parametrize("kind", TAMPERING)
def test_tampering_is_found_and_the_first_broken_entry_named(sessions, kind):
    write(sessions, 5)
    seal(sessions)
    change, seq = TAMPERING[kind]
    past_the_triggers(sessions, change)
    found = verify(sessions)
    assert not found.ok
    assert found.broken is not None
    assert (found.broken.kind, found.broken.seq) == (kind.split()[0], seq)
    assert found.anchor.startswith(f"{seq - 1}:")


def test_the_end_cut_off_with_its_links_is_found_by_an_anchor_that_was_kept(sessions):
    write(sessions, 5)
    seal(sessions)
    kept = verify(sessions).anchor

    def cut_off(session: Session) -> None:
        session.execute(delete(Event).where(Event.id > 3))
        session.execute(delete(EventSeal).where(EventSeal.seq > 3))
        last = session.get_one(EventSeal, 3)
        session.execute(update(EventChain).values(seq=3, hash=last.hash, event_id=3))

    past_the_triggers(sessions, cut_off)
    assert verify(sessions).ok
    found = verify(sessions, kept)
    assert found.broken is not None
    assert found.broken.kind == "truncated"
    write(sessions, 4)
    seal(sessions)
    assert verify(sessions).ok
    found = verify(sessions, kept)
    assert found.broken is not None
    assert (found.broken.kind, found.broken.seq) == ("anchor", 5)


def test_an_event_put_in_below_what_is_sealed_is_found(sessions, monkeypatch):
    monkeypatch.setattr(service, "WINDOW", 2)
    monkeypatch.setattr("ratchet.audit.reconcile.WINDOW", 2)
    write(sessions, 2)
    forged = {"id": 1, "project": "default", "actor": "eve", "action": "x", "target_kind": "job", "target_id": "j"}
    with sessions() as session:
        session.execute(insert(Event), [{**forged, "id": number} for number in (10, 11, 12)])
        session.commit()
    seal(sessions)
    with sessions() as session:
        session.execute(insert(Event), [{**forged, "id": 5}])
        session.commit()
    seal(sessions)
    found = verify(sessions)
    assert found.broken is not None
    assert (found.broken.kind, found.broken.event_id) == ("inserted", 5)


def test_an_event_that_became_visible_late_is_sealed_all_the_same(sessions):
    late = {"id": 1, "project": "default", "actor": "a", "action": "x", "target_kind": "job", "target_id": "j"}
    with sessions() as session:
        session.execute(insert(Event), [{**late, "id": 7}])
        session.commit()
    seal(sessions)
    with sessions() as session:
        session.execute(insert(Event), [{**late, "id": 6}])
        session.commit()
    seal(sessions)
    found = verify(sessions)
    assert (found.ok, found.checked, found.backdated) == (True, 2, 0)


def test_an_event_under_an_old_date_is_counted(sessions):
    write(sessions, 1)
    with sessions() as session:
        old = {"at": now(session) - timedelta(days=1), "id": 9, "project": "default", "actor": "eve"}
        session.execute(insert(Event), [{**old, "action": "x", "target_kind": "job", "target_id": "j"}])
        session.commit()
    seal(sessions)
    found = verify(sessions)
    assert (found.ok, found.backdated) == (True, 1)


def test_a_sealer_that_lost_its_lease_adds_nothing(sessions):
    write(sessions, 2)
    with sessions() as session:
        [(row_id, lease)] = claim(session, EventSealer(), 10)
        session.execute(update(EventChain).values(lease=lease + 1))
        session.commit()
    with pytest.raises(Exception, match="was lost"):
        step(sessions, EventSealer(), row_id, lease)
    with read_only(sessions) as session:
        assert session.get_one(EventChain, CHAIN).seq == 0
        assert session.scalars(select(EventSeal)).all() == []


def test_over_http(api):
    write(api.sessions, 2)
    seal(api.sessions)
    found = api.http.get("/api/v1/events:verify", headers=api.headers()).json()
    assert (found["ok"], found["complete"]) == (True, True)
    assert api.http.get(f"/api/v1/events:verify?after={found['anchor']}", headers=api.headers()).json()["checked"] == 0
    answer = api.http.get("/api/v1/events:verify?after=nonsense", headers=api.headers())
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/query/after")
    listed = api.http.get("/api/v1/events?action=job.submitted", headers=api.headers()).json()["items"]
    assert [(each["project"], each["target"]["id"]) for each in listed] == [("default", "job-1"), ("default", "job-0")]
    for address in ("/api/v1/events", "/api/v1/events:verify"):
        assert api.http.get(address, headers=api.headers("writer")).status_code == 403
