"""Leases and fencing, on both databases."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from sqlalchemy.orm import Session, sessionmaker

from ratchet.db import new_id, now
from ratchet.monitors.status import MonitorStatus
from ratchet.monitors.tables import Monitor
from ratchet.reconciler.loop import Loop, Reconciler, StaleClaimError, claim, make_due, step

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
