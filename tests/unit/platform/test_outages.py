"""The database is locked, full, read-only, gone or of another version: 503 or 507, never 500, and back by itself."""

from __future__ import annotations

import errno
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from fsspec.implementations.local import LocalFileSystem
from sqlalchemy import event, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session, sessionmaker

from ratchet import db, outages
from ratchet.clients.ports import EngineFull, EngineSilent, EngineUnavailable
from ratchet.clients.storage import FsspecStorage
from ratchet.errors import RatchetError
from ratchet.jobs.tables import CLUSTER, Cluster
from ratchet.projects.tables import Project
from ratchet.reconciler import loop
from ratchet.reconciler.loop import Loop, Reconciler

TRAIN: dict[str, Any] = {"kind": "train", "data": {"uri": "sklearn://breast_cancer"}, "name": "n" * 40}
JOBS = "/api/v1/projects/default/jobs"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits for a lock a moment, not seconds. To be asked for before the API."""
    monkeypatch.setattr(db, "BUSY_TIMEOUT_S", 0.1)


def path_of(api: Any) -> Path:
    return Path(api.http.app.state.engine.url.database)


def submit(api: Any) -> Any:
    return api.http.post(JOBS, json=TRAIN, headers=api.headers())


def pragma(api: Any, statement: str) -> Any:
    """Set something for every connection of the API from now on; returns what takes it off again."""
    engine = api.http.app.state.engine

    def on_connect(connection: Any, _: Any) -> None:
        connection.execute(statement)

    event.listen(engine, "connect", on_connect)
    engine.dispose()

    def undo() -> None:
        event.remove(engine, "connect", on_connect)
        engine.dispose()

    return undo


def test_while_the_database_is_locked_writes_are_answered_503_and_reads_go_on(impatient: None, api: Any) -> None:
    other = sqlite3.connect(path_of(api), isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    answer = submit(api)
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert answer.json()["code"] == "unavailable"
    assert api.http.get(JOBS, headers=api.headers()).status_code == 200
    other.execute("ROLLBACK")
    other.close()
    assert submit(api).status_code == 202


def test_a_full_disk_is_507_and_nothing_is_broken(api: Any) -> None:
    before = submit(api).json()["id"]
    undo = pragma(api, "PRAGMA max_page_count = 1")  # SQLite takes the size that it has: not one page more
    acknowledged, statuses = [before], []
    for _ in range(60):
        answer = submit(api)
        statuses.append(answer.status_code)
        if answer.status_code == 202:
            acknowledged.append(answer.json()["id"])
    assert set(statuses) <= {202, 507}
    assert statuses[-1] == 507
    assert api.http.get(f"{JOBS}/{before}", headers=api.headers()).status_code == 200
    with sqlite3.connect(path_of(api)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert {row[0] for row in connection.execute("SELECT id FROM jobs")} == set(acknowledged)
    undo()
    assert submit(api).status_code == 202


def test_a_database_that_is_read_only_is_read(api: Any) -> None:
    undo = pragma(api, "PRAGMA query_only = ON")
    answer = submit(api)
    assert (answer.status_code, "read-only" in answer.json()["detail"]) == (503, True)
    assert api.http.get(JOBS, headers=api.headers()).status_code == 200
    undo()
    assert submit(api).status_code == 202


def test_a_schema_of_another_version_is_503_and_says_what_to_run(api: Any) -> None:
    with api.sessions() as session:
        session.execute(text("ALTER TABLE jobs RENAME TO jobs_of_tomorrow"))
        session.commit()
    answer = api.http.get(JOBS, headers=api.headers())
    assert (answer.status_code, "ratchet.migrate" in answer.json()["hint"]) == (503, True)


@pytest.mark.slow
def test_when_every_connection_is_taken_the_answer_is_503(impatient: None, api: Any) -> None:
    engine = api.http.app.state.engine
    with engine.connect() as first:
        taken = [first] + [engine.connect() for _ in range(engine.pool.size() + engine.pool._max_overflow - 1)]
        try:
            answer = api.http.get(JOBS, headers=api.headers())
        finally:
            for connection in taken:
                connection.close()
    assert answer.status_code == 503
    assert api.http.get(JOBS, headers=api.headers()).status_code == 200


@pytest.mark.parametrize(
    ("sqlstate", "status", "code"),
    [
        ("53100", 507, "out_of_space"),  # disk_full
        ("25006", 503, "unavailable"),  # read_only_sql_transaction: a standby
        ("40001", 503, "unavailable"),  # serialization_failure
        ("40P01", 503, "unavailable"),  # deadlock_detected
        ("55P03", 503, "unavailable"),  # lock_not_available
        ("57P01", 503, "unavailable"),  # admin_shutdown
        ("53300", 503, "unavailable"),  # too_many_connections
        ("22021", 422, "invalid"),  # character_not_in_repertoire
        ("23505", 409, "conflict"),  # unique_violation
        ("23502", 500, "internal"),  # not_null_violation: a fault of ours
    ],
)
def test_what_postgres_says_is_told_as_what_it_means(
    postgres_server: str, sqlstate: str, status: int, code: str
) -> None:
    engine = db.open_engine(postgres_server)
    raising = f"DO $$ BEGIN RAISE EXCEPTION 'as if' USING ERRCODE = '{sqlstate}'; END $$"
    with engine.connect() as connection, pytest.raises(DBAPIError) as caught:
        connection.execute(text(raising))
    engine.dispose()
    answer: RatchetError = outages.told(caught.value)
    assert (answer.status, answer.code) == (status, code)


def test_a_row_that_somebody_else_wrote_at_the_same_moment_is_a_conflict(sessions: sessionmaker[Session]) -> None:
    with sessions() as session:
        session.add(Project(name="default"))
        with pytest.raises(DBAPIError) as caught:
            session.flush()
    assert outages.told(caught.value).status == 409


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    real = LocalFileSystem.pipe_file

    def pipe_file(self: LocalFileSystem, path: str, value: bytes, **kwargs: Any) -> None:
        real(self, path, value[:3], **kwargs)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(LocalFileSystem, "pipe_file", pipe_file)


def test_a_file_that_did_not_fit_leaves_no_piece(full_disk: None, tmp_path: Path) -> None:
    with pytest.raises(EngineFull, match="No space left"):
        FsspecStorage(tmp_path.as_uri()).write("jobs/a/log", b"0123456789")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(("error", "status"), [(EngineFull, 507), (EngineSilent, 503)])
def test_what_the_storage_could_not_do_is_told(error: type[EngineUnavailable], status: int) -> None:
    app = FastAPI()
    outages.install(app)

    @app.put("/file")
    def write() -> None:
        raise error("storage", "it went wrong")

    assert TestClient(app).put("/file").status_code == status


class Count(Reconciler[Cluster, bool, None]):
    table = Cluster
    retry_after = loop.timedelta(0)

    def __init__(self) -> None:
        self.looked = threading.Semaphore(0)

    def load(self, session: Session, row: Cluster) -> bool:
        return True

    def act(self, seen: bool) -> None:
        return None

    def record(self, session: Session, row: Cluster, seen: bool, found: None) -> loop.timedelta:
        self.looked.release()
        return loop.timedelta(0)


def test_a_loop_outlives_a_database_that_is_locked_for_a_while(
    monkeypatch: pytest.MonkeyPatch, sqlite_database: str
) -> None:
    monkeypatch.setattr(db, "BUSY_TIMEOUT_S", 0.1)
    monkeypatch.setattr(loop, "PAUSE_S", 0.05)
    engine = db.open_engine(sqlite_database)
    sessions = db.session_factory(engine)
    with sessions() as session:
        session.merge(Cluster(id=CLUSTER))
        session.commit()
    failed = threading.Semaphore(0)
    monkeypatch.setattr(loop.log, "warning", lambda *_, **__: failed.release(), raising=False)
    reconciler = Count()
    running = Loop(sessions, [reconciler])
    thread = threading.Thread(target=running.run)
    thread.start()
    assert reconciler.looked.acquire(timeout=10)
    other = sqlite3.connect(engine.url.database or "", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    for _ in range(3):
        assert failed.acquire(timeout=10)
    while reconciler.looked.acquire(blocking=False):
        pass
    other.execute("ROLLBACK")
    other.close()
    assert reconciler.looked.acquire(timeout=20)
    running.stop()
    thread.join(20)
    assert not thread.is_alive()
    engine.dispose()
