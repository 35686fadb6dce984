"""Leases and fencing, on both databases."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from sqlalchemy.orm import Session, sessionmaker

from ratchet.db import new_id, now
from ratchet.monitors.status import MonitorStatus
from ratchet.monitors.tables import Monitor
from ratchet.reconciler import claims, heartbeat
from ratchet.reconciler.claims import Claim, StaleClaimError
from ratchet.reconciler.heartbeat import Heartbeat
from ratchet.reconciler.loop import Loop, Reconciler, claim, make_due, step

Sessions = sessionmaker[Session]


class Touch(Reconciler[Monitor, str, str]):
    """Any table will do: this one notes who acted in the row's `pipeline`."""

    table = Monitor

    def __init__(self, word: str = "acted", again: timedelta | None = None) -> None:
        self.word = word
        self.again = again
        self.acting = threading.Event()
        self.go_on = threading.Event()
        self.go_on.set()
        self.acts = 0

    def load(self, session: Session, row: Monitor) -> str | None:
        return None if row.status == MonitorStatus.PAUSED else row.name

    def act(self, seen: str) -> str:
        self.acts += 1
        self.acting.set()
        assert self.go_on.wait(10)
        return self.word

    def record(self, session: Session, row: Monitor, seen: str, found: str) -> timedelta | None:
        row.pipeline = found
        return self.again


def monitor(sessions: Sessions, status: MonitorStatus = MonitorStatus.ACTIVE) -> str:
    with sessions() as session:
        row = Monitor(
            id=new_id("mon"),
            project="default",
            name=new_id("name"),
            endpoint="e",
            schedule="* * * * *",
            window_s=60,
            alpha=0.01,
            min_rows=10,
            max_rows=10,
            status=status,
            created_by="test",
        )
        session.add(row)
        session.commit()
        return row.id


def get(sessions: Sessions, row_id: str) -> Monitor:
    with sessions() as session:
        return session.get_one(Monitor, row_id)


def take(sessions: Sessions, reconciler: Reconciler[Monitor, str, str], limit: int = 10) -> list[tuple[str, int]]:
    with sessions() as session:
        return claim(session, reconciler, limit)


def test_a_row_is_claimed_once_while_its_lease_runs(sessions: Sessions) -> None:
    row_id = monitor(sessions)
    assert take(sessions, Touch()) == [(row_id, 1)]
    assert take(sessions, Touch()) == []


def test_a_lease_that_ran_out_is_claimed_again_under_a_higher_token(sessions: Sessions) -> None:
    row_id = monitor(sessions)
    reconciler = Touch()
    reconciler.lease_for = timedelta(seconds=-1)
    assert take(sessions, reconciler) == [(row_id, 1)]
    assert take(sessions, reconciler) == [(row_id, 2)]


def test_the_result_of_a_lost_claim_is_dropped(sessions: Sessions) -> None:
    row_id = monitor(sessions)
    slow, quick = Touch("slow"), Touch("quick")
    slow.lease_for = timedelta(seconds=-1)
    [(_, old)] = take(sessions, slow)
    [(_, new)] = take(sessions, quick)
    step(sessions, quick, row_id, new)
    with pytest.raises(StaleClaimError):
        step(sessions, slow, row_id, old)
    assert get(sessions, row_id).pipeline == "quick"


def test_a_row_is_due_again_when_the_reconciler_says_so(sessions: Sessions) -> None:
    row_id = monitor(sessions)
    step(sessions, Touch(again=timedelta(hours=1)), *take(sessions, Touch())[0])
    with sessions() as session:
        row = session.get_one(Monitor, row_id)
        assert row.due_at is not None
        assert timedelta(minutes=59) < row.due_at - now(session) <= timedelta(hours=1)


def test_a_row_with_nothing_to_do_is_due_no_more(sessions: Sessions) -> None:
    row_id = monitor(sessions, MonitorStatus.PAUSED)
    reconciler = Touch()
    step(sessions, reconciler, *take(sessions, reconciler)[0])
    assert get(sessions, row_id).due_at is None
    assert reconciler.acts == 0


def test_what_is_asked_for_while_acting_is_not_lost(sessions: Sessions) -> None:
    """A service made the row due after the step had looked: the step's own 'never again' must not swallow that."""
    row_id = monitor(sessions)
    reconciler = Touch(again=None)
    reconciler.go_on.clear()
    claimed = take(sessions, reconciler)[0]
    thread = threading.Thread(target=step, args=[sessions, reconciler, *claimed])
    thread.start()
    assert reconciler.acting.wait(10)
    with sessions() as session:
        make_due(session, session.get_one(Monitor, row_id))
        session.commit()
    reconciler.go_on.set()
    thread.join(10)
    assert take(sessions, reconciler) == [(row_id, 2)]


def test_many_claim_at_once_and_no_row_is_taken_twice(sessions: Sessions) -> None:
    rows = {monitor(sessions) for _ in range(40)}
    taken: list[str] = []
    lock = threading.Lock()

    def work() -> None:
        while claimed := take(sessions, Touch(), limit=3):
            with lock:
                taken.extend(row_id for row_id, _ in claimed)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(taken) == sorted(rows)


def test_a_step_that_fails_leaves_the_loop_running(sessions: Sessions) -> None:
    class Broken(Touch):
        def act(self, seen: str) -> str:
            self.acts += 1
            if self.acts == 1:
                raise RuntimeError("the world broke")
            loop.stop()
            return "mended"

    row_id = monitor(sessions)
    broken = Broken()
    broken.retry_after = timedelta(0)
    loop = Loop(sessions, [broken])
    thread = threading.Thread(target=loop.run)
    thread.start()
    thread.join(20)
    assert not thread.is_alive()
    assert get(sessions, row_id).pipeline == "mended"


def test_the_only_reconciler_takes_over_at_once_and_the_one_before_records_nothing_more(sessions: Sessions) -> None:
    row_id = monitor(sessions)
    before = Touch("before")
    [(_, old)] = take(sessions, before)
    Loop(sessions, [Touch()]).take_over()
    [(_, new)] = take(sessions, Touch())
    assert new > old
    with pytest.raises(StaleClaimError):
        step(sessions, before, row_id, old)


def test_a_lease_is_kept_while_its_step_lasts_and_no_longer(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeat, "BEAT_S", 0.0)
    row_id = monitor(sessions)
    reconciler = Touch()
    reconciler.lease_for = timedelta(seconds=-1)
    [(_, token)] = take(sessions, reconciler)
    beating = Heartbeat(sessions)
    with beating.holding(Claim(Monitor, row_id, token)):
        beating.beat()
        assert take(sessions, reconciler) == []
    with sessions() as session:
        session.get_one(Monitor, row_id).lease_until = now(session) - timedelta(seconds=1)
        session.commit()
    beating.beat()
    assert take(sessions, reconciler) == [(row_id, token + 1)]


def test_a_heartbeat_does_not_bring_a_lost_claim_back(sessions: Sessions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "BEAT_S", 0.0)
    row_id = monitor(sessions)
    stopped, other = Touch(), Touch()
    stopped.lease_for = other.lease_for = timedelta(seconds=-1)
    [(_, old)] = take(sessions, stopped)
    [(_, new)] = take(sessions, other)
    beating = Heartbeat(sessions)
    with beating.holding(Claim(Monitor, row_id, old)):
        beating.beat()
    assert take(sessions, other) == [(row_id, new + 1)]


def test_a_step_that_hangs_loses_its_lease_at_last(sessions: Sessions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "BEAT_S", 0.0)
    monkeypatch.setattr(heartbeat, "LONGEST_STEP_S", 0.0)
    row_id = monitor(sessions)
    reconciler = Touch()
    reconciler.lease_for = timedelta(seconds=-1)
    [(_, token)] = take(sessions, reconciler)
    beating = Heartbeat(sessions)
    with beating.holding(Claim(Monitor, row_id, token)):
        beating.beat()
        assert take(sessions, reconciler) == [(row_id, token + 1)]


@pytest.mark.parametrize(("by", "claimed"), [(timedelta(hours=1), True), (timedelta(seconds=1), False)])
def test_a_clock_that_was_set_back_holds_up_nothing(sessions: Sessions, by: timedelta, claimed: bool) -> None:
    """What was written before it lies ahead now: a beat, a due time, a lease."""
    waiting, held = monitor(sessions), monitor(sessions)
    beating = Heartbeat(sessions, [Monitor])
    beating.beat()
    with sessions() as session:
        moment = now(session)
        session.get_one(heartbeat.Instance, beating.id).beat_at = moment + by
        session.get_one(Monitor, waiting).due_at = moment + timedelta(hours=1)
        session.get_one(Monitor, held).lease_until = moment + timedelta(hours=1)
        session.commit()
    beating.beat()
    assert {row_id for row_id, _ in take(sessions, Touch())} == ({waiting, held} if claimed else set())
    with sessions() as session:
        assert session.get_one(heartbeat.Instance, beating.id).beat_at <= now(session)


def test_a_step_that_lost_its_claim_changes_nothing_outside(sessions: Sessions) -> None:
    row_id = monitor(sessions)
    done: list[str] = []

    class Slow(Touch):
        def act(self, seen: str) -> str:
            claims.still_mine()
            done.append("first")
            with sessions() as session:  # meanwhile: the lease runs out, and another takes the row
                session.get_one(Monitor, row_id).lease_until = now(session) - timedelta(seconds=1)
                session.commit()
            assert take(sessions, Touch()) == [(row_id, 2)]
            claims.still_mine()
            done.append("second")
            return "acted"

    slow = Slow()
    with pytest.raises(StaleClaimError):
        step(sessions, slow, *take(sessions, slow)[0])
    assert done == ["first"]
    claims.still_mine()  # outside of a step nobody is fenced


def test_living_reconcilers_are_known_by_their_heartbeat(sessions: Sessions) -> None:
    dead, alive = Heartbeat(sessions), Heartbeat(sessions)
    dead.beat()
    alive.beat()
    alive.beat()
    with sessions() as session:
        session.get_one(heartbeat.Instance, dead.id).beat_at = now(session) - heartbeat.SILENT
        session.commit()
        assert [each.id for each in heartbeat.living(session)] == [alive.id]


def test_a_slow_step_holds_up_no_other_row(sessions: Sessions) -> None:
    """A free worker takes what is due, also while the others of its reconciler are at work."""

    class OneSlow(Touch):
        def act(self, seen: str) -> str:
            if seen == slow_name:
                assert others_done.wait(10)
                loop.stop()
            elif len(quick) == 2:
                others_done.set()
            else:
                quick.append(seen)
            return "acted"

    slow_name = get(sessions, monitor(sessions)).name
    others_done, quick = threading.Event(), list[str]()
    reconciler = OneSlow()
    reconciler.workers = 2
    for _ in range(3):
        monitor(sessions)
    loop = Loop(sessions, [reconciler])
    thread = threading.Thread(target=loop.run)
    thread.start()
    thread.join(30)
    assert not thread.is_alive()
    assert others_done.is_set()
