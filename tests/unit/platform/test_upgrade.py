"""The schema goes forward while the version before runs on it; and a migration that is killed is whole or was not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, MetaData, Table, select, text
from sqlalchemy.exc import OperationalError
from tests.conftest import empty_database

from ratchet import db

FIRST, NEWEST = "0001", "head"
KILLING = """
import os, signal, sys
from sqlalchemy import Engine, event
from ratchet import db

left = int(sys.argv[2])

@event.listens_for(Engine, "before_cursor_execute")
def count(connection, cursor, statement, parameters, context, many):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)

db.upgrade(sys.argv[1])
"""


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.slow)])
def old(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database with the schema of the first version."""
    url = empty_database(request, tmp_path)
    db.upgrade(url, FIRST)
    return url


def tables_of(engine: Engine) -> list[Table]:
    """As they are in the database now, each after those that it refers to."""
    metadata = MetaData()
    metadata.reflect(engine)
    return [table for table in metadata.sorted_tables if table.name != "alembic_version"]


def filled(table: Table, word: str) -> dict[str, Any]:
    """A value for each column, as a program would write that knows these columns alone."""
    by_type = {
        object: {"deadline_s": 60},  # JSON
        datetime: datetime(2026, 3, 1, tzinfo=UTC),
        bool: False,
        int: len(word),
        float: float(len(word)),
        Decimal: len(word),
        bytes: word.encode(),
        str: word,
    }
    values = {column.name: by_type[column.type.python_type] for column in table.columns}
    return values | ({"scope": "read"} if "scope" in values else {})


def test_the_version_before_writes_and_reads_on_the_newer_schema(old: str) -> None:
    engine = db.open_engine(old)
    known = tables_of(engine)
    with engine.begin() as connection:
        for table in known:
            connection.execute(table.insert().values(filled(table, "before")))
    db.upgrade(old, NEWEST)
    with engine.begin() as connection:
        for table in known:
            connection.execute(table.insert().values(filled(table, "a word after")))
    with engine.connect() as connection:
        for table in known:
            rows = connection.execute(select(table)).all()
            assert len(rows) >= 2, table.name
    engine.dispose()


def test_the_version_before_goes_on_writing_while_the_schema_changes(old: str) -> None:
    """A write waits, or is refused as any is of a database that is busy; what went through is there."""
    engine = db.open_engine(old)
    jobs = next(table for table in tables_of(engine) if table.name == "jobs")
    projects = next(table for table in tables_of(engine) if table.name == "projects")
    with engine.begin() as connection:
        connection.execute(projects.insert().values(filled(projects, "p")))
    done, written = threading.Event(), list[str]()

    def write() -> None:
        number = 0
        while not done.is_set() or number < 5:
            number += 1
            row = {**filled(jobs, "p"), "id": f"job-{number}"}
            try:
                with engine.begin() as connection:
                    connection.execute(jobs.insert().values(row))
            except OperationalError:
                continue
            written.append(row["id"])

    writer = threading.Thread(target=write)
    writer.start()
    try:
        db.upgrade(old, NEWEST)
    finally:
        done.set()
        writer.join(60)
    with engine.connect() as connection:
        assert set(connection.scalars(select(jobs.c.id))) == set(written)
    assert len(written) >= 5
    engine.dispose()


@pytest.mark.parametrize("statement", [3, 25, 60])
def test_a_migration_that_is_killed_can_be_made_again(old: str, statement: int) -> None:
    engine = db.open_engine(old)
    known = tables_of(engine)
    with engine.begin() as connection:
        for table in known:
            connection.execute(table.insert().values(filled(table, "kept")))
    killed = subprocess.run(
        [sys.executable, "-c", KILLING, old, str(statement)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        timeout=60,
    )
    assert killed.returncode == -signal.SIGKILL
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT version_num FROM alembic_version")) == FIRST
        if engine.dialect.name == "sqlite":
            assert connection.scalar(text("PRAGMA integrity_check")) == "ok"
    assert {table.name for table in tables_of(engine)} == {table.name for table in known}
    db.upgrade(old, NEWEST)
    with engine.connect() as connection:
        for table in known:
            assert len(connection.execute(select(table)).all()) >= 1, table.name
    engine.dispose()
