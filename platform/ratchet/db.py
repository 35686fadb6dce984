"""The database: SQLite (one API, one reconciler) or Postgres (any number of each), through one sync engine.

Services never commit: the request (`routes`) or the reconciler's step does, once.
"""

from __future__ import annotations

import secrets
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, Request
from sqlalchemy import (
    JSON,
    Connection,
    DateTime,
    Engine,
    Insert,
    MetaData,
    QueuePool,
    create_engine,
    event,
    insert,
    select,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Session,
    make_transient_to_detached,
    mapped_column,
    sessionmaker,
)
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator

from ratchet.turns import Turns

CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz"
BUSY_TIMEOUT_S = 5
POOL = {"pool_timeout": BUSY_TIMEOUT_S, "pool_use_lifo": True}
"""The connection that was used last is the next: few stay warm, rather than all in turn."""
WRITING = "ratchet_writing"
"""Marks a connection that has its process's turn to write."""
POSTGRES_LIMITS = (
    "-c lock_timeout=5s",
    # A process that is stopped (SIGSTOP) in a transaction must not keep its rows: the others pass over locked ones.
    "-c idle_in_transaction_session_timeout=10s",
)
MIGRATIONS = Path(__file__).parent / "migrations"


class UtcDateTime(TypeDecorator[datetime]):
    """A moment in UTC, with microseconds. SQLite keeps no zone, so it is put on again when read."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value!r} has no time zone")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class db_now(FunctionElement[datetime]):  # noqa: N801 (used like a SQL function)
    """The database's clock: leases and due times must not depend on which machine looks at them."""

    type = UtcDateTime()
    inherit_cache = True


@compiles(db_now, "sqlite")
def _now_sqlite(element: db_now, compiler: SQLCompiler, **_: Any) -> str:
    # The form in which SQLAlchemy stores a DateTime: six decimals, so that text compares as time does.
    return "(strftime('%Y-%m-%d %H:%M:%f', 'now') || '000')"


@compiles(db_now, "postgresql")
def _now_postgresql(element: db_now, compiler: SQLCompiler, **_: Any) -> str:
    # Not now(): that is the start of the transaction, which may have waited for a lock.
    return "clock_timestamp()"


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {
        datetime: UtcDateTime(),
        dict[str, Any]: JSON().with_variant(JSONB(), "postgresql"),
        list[Any]: JSON().with_variant(JSONB(), "postgresql"),
    }


class Identified:
    """What every resource's row has."""

    id: Mapped[str] = mapped_column(primary_key=True)
    created_at: Mapped[datetime] = mapped_column(server_default=db_now())
    updated_at: Mapped[datetime] = mapped_column(server_default=db_now(), onupdate=db_now())


class Leased:
    """What a row has that a reconciler works on: see `ratchet.reconciler.loop`."""

    due_at: Mapped[datetime | None] = mapped_column(server_default=db_now(), index=True)
    """When a reconciler should look again; never when null."""
    lease: Mapped[int] = mapped_column(default=0)
    """The fencing token: it rises with every claim, and a result with an older one is dropped."""
    lease_until: Mapped[datetime | None]


def new_id(prefix: str) -> str:
    """`<prefix>-` and 20 characters of `[a-z0-9]` that sort by time: 48 bits of milliseconds, 52 random bits."""
    number = (time.time_ns() // 1_000_000 << 52) | secrets.randbits(52)
    return prefix + "-" + "".join(CROCKFORD[number >> shift & 31] for shift in range(95, -1, -5))


def open_engine(url: str) -> Engine:
    """An engine whose connections wait at most a few seconds for a lock, and notice a database that was restarted."""
    if not url.startswith("sqlite"):
        url = url.replace("postgresql://", "postgresql+psycopg://", 1)
        limits = {"connect_timeout": 5, "tcp_user_timeout": 10_000, "options": " ".join(POSTGRES_LIMITS)}
        return create_engine(url, pool_pre_ping=True, pool_size=20, connect_args=limits, **POOL)
    options = {"timeout": BUSY_TIMEOUT_S, "check_same_thread": False}
    # Each connection keeps three files open and two megabytes of the database: those of a burst are closed after it.
    engine = create_engine(url, poolclass=QueuePool, pool_size=5, max_overflow=25, connect_args=options, **POOL)

    @event.listens_for(engine, "connect")
    def _pragmas(connection: Any, _: Any) -> None:
        connection.isolation_level = None
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    file = engine.url.database
    turns = Turns(f"{file}.line.lock" if file and file != ":memory:" else None, BUSY_TIMEOUT_S)

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        if connection.get_execution_options().get("readonly", False):
            connection.exec_driver_sql("BEGIN")
            return
        if WRITING not in connection.info:
            if not turns.take():
                raise _locked()
            connection.info[WRITING] = True
        with turns.in_line() as ours:
            if not ours:
                raise _locked()
            # A transaction that reads, then writes, fails at once when another wrote in between (SQLITE_BUSY_SNAPSHOT),
            # without waiting. Taking the write lock at the start makes it wait its turn instead.
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    @event.listens_for(engine, "checkin")
    def _checkin(_: Any, record: ConnectionPoolEntry) -> None:
        if record.info.pop(WRITING, False):
            turns.give_back()

    @event.listens_for(engine, "engine_disposed")
    def _disposed(_: Engine) -> None:
        turns.close()

    return engine


def _locked() -> OperationalError:
    return OperationalError("BEGIN IMMEDIATE", None, sqlite3.OperationalError("database is locked"))


def session_factory(engine: Engine, *, readonly: bool = False) -> sessionmaker[Session]:
    """Sessions that keep objects readable after the commit and flush only when told: no hidden queries.

    `readonly` ones take no write lock (SQLite): readers never wait for writers.
    """
    return sessionmaker(engine.execution_options(readonly=True) if readonly else engine, expire_on_commit=False)


def upgrade(url: str, revision: str = "head") -> None:
    """Bring the schema to a revision, the newest unless told."""
    from alembic import command
    from alembic.config import Config

    if url.startswith("sqlite:///"):
        Path(url.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["url"] = url
    command.upgrade(config, revision)


def insert_row(session: Session, row: Base) -> None:
    """What `session.add` and a flush do, in less than half of their time: for what a busy platform writes most.

    Attributes must be named like their columns. One that is not set gets its default, else what the database makes of
    it, else None.
    """
    inserting, columns, defaults = _insertion(type(row))
    state = row.__dict__
    for name, default in defaults.items():
        if name not in state:
            state[name] = default.arg(None) if default.is_callable else default.arg
    made = session.connection().execute(inserting, {name: state[name] for name in columns if name in state}).one()
    state.update(made._mapping)
    for name in columns:
        state.setdefault(name)
    make_transient_to_detached(row)
    session.add(row)


@cache
def _insertion(model: type[Base]) -> tuple[Insert, list[str], dict[str, Any]]:
    """The statement, which returns what the database makes; the names of the columns; and the defaults of Python."""
    columns = Base.metadata.tables[model.__tablename__].columns
    made_there = [each for each in columns if each.server_default is not None and each.default is None]
    defaults = {each.name: each.default for each in columns if each.default is not None}
    return insert(columns[0].table).returning(*made_there), columns.keys(), defaults


_NOW = select(db_now())


def now(session: Session) -> datetime:
    moment: datetime = session.connection().execute(_NOW).scalar_one()
    return moment


@contextmanager
def read_only(factory: sessionmaker[Session]) -> Iterator[Session]:
    """A session that takes no write lock (SQLite): readers never wait for writers."""
    with factory() as session:
        session.connection(execution_options={"readonly": True})
        yield session


async def _write_session(request: Request) -> Session:
    session: Session = request.app.state.sessions()
    return session


async def _read_session(request: Request) -> Session:
    session: Session = request.app.state.read_sessions()
    return session


# They connect when they are first used, in the handler's thread. `ratchet.routing` commits and closes them there before
# the answer is sent, so that nobody is told of a job that was not written.
WriteSession = Annotated[Session, Depends(_write_session)]
ReadSession = Annotated[Session, Depends(_read_session)]
