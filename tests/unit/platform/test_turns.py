"""Writers of one SQLite file take turns, whichever engine (here for: process) they write through."""

from __future__ import annotations

import fcntl
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError
from tests.integration.private_ray import await_value

from ratchet import db
from ratchet.turns import Turns


@pytest.fixture
def engines(tmp_path: Path) -> list[Engine]:
    made = [db.open_engine(f"sqlite:///{tmp_path / 'turns.db'}") for _ in range(2)]
    with made[0].begin() as connection:
        connection.execute(text("CREATE TABLE written (number INTEGER PRIMARY KEY, by INTEGER)"))
    return made


def test_whoever_waits_first_writes_first(engines: list[Engine], tmp_path: Path) -> None:
    """Left to SQLite's own polling the one that came last, whose pauses are still short, most often goes first."""
    line = tmp_path / "turns.db.line.lock"

    def write(number: int) -> None:
        with engines[number].begin() as connection:
            connection.execute(text("INSERT INTO written (by) VALUES (:by)"), {"by": number})

    for _ in range(20):
        with ThreadPoolExecutor(2) as pool:
            with closing(sqlite3.connect(tmp_path / "turns.db", isolation_level=None)) as holder:
                holder.execute("BEGIN IMMEDIATE")
                first = pool.submit(write, 1)
                await_value(lambda: _held(line), 5)
                time.sleep(0.05)  # so long has the first been waiting: its pauses have grown
                second = pool.submit(write, 0)
                holder.execute("COMMIT")
            first.result()
            second.result()
    with engines[0].begin() as connection:
        order = list(connection.execute(text("SELECT by FROM written ORDER BY number")).scalars())
    assert order == [1, 0] * 20


def _held(line: Path) -> bool | None:
    with line.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return None


def test_all_that_many_threads_write_is_there(engines: list[Engine]) -> None:
    def write(number: int) -> None:
        with engines[number % 2].begin() as connection:
            connection.execute(text("INSERT INTO written (by) VALUES (:by)"), {"by": number})

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(write, range(200)))
    with engines[0].begin() as connection:
        assert connection.execute(text("SELECT count(DISTINCT by) FROM written")).scalar_one() == 200


def test_a_turn_that_does_not_come_is_said_to_be_a_lock(engines: list[Engine], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Turns, "take", lambda _: False)
    with pytest.raises(OperationalError, match="database is locked"), engines[0].begin():
        pass


def test_the_turn_is_given_back_by_a_writer_that_fails(engines: list[Engine]) -> None:
    for _ in range(3):
        with pytest.raises(OperationalError, match="no such table"), engines[0].begin() as connection:
            connection.execute(text("INSERT INTO nowhere VALUES (1)"))
    with engines[0].begin() as connection:
        connection.execute(text("INSERT INTO written (by) VALUES (2)"))


def test_a_process_that_holds_the_line_for_ever_is_waited_for_a_while_only(tmp_path: Path) -> None:
    path = str(tmp_path / "line")
    mine, other = Turns(path, 0.05), Turns(path, 0.05)
    with mine.in_line() as ours, other.in_line() as theirs:
        assert (ours, theirs) == (True, False)
    with other.in_line() as theirs:
        assert theirs
