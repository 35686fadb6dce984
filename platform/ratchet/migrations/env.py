"""Alembic's entry: one transaction, and on Postgres a lock, so that two starts do not migrate at once."""

from __future__ import annotations

import sqlite3
from typing import Any, Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext
from sqlalchemy import JSON, event, text

from ratchet import db
from ratchet.migrations import tables

LOCK = 7_246_382


def _render(kind: str, item: Any, autogen: AutogenContext) -> str | Literal[False]:
    """Our own types and the database's clock by their names: what a revision says must hold for both databases."""
    if kind == "type" and isinstance(item, db.UtcDateTime):
        autogen.imports.add("from ratchet.db import UtcDateTime, db_now")
        return "UtcDateTime()"
    if kind == "server_default" and isinstance(getattr(item, "arg", None), db.db_now):
        return "db_now()"
    if kind == "type" and isinstance(item, JSON):
        autogen.imports.add("from ratchet.migrations.types import Json")
        return "Json"
    return False


def _unchecked(connection: sqlite3.Connection, _: Any) -> None:
    """SQLite changes a table by copying it and dropping the old one, to which others refer meanwhile."""
    connection.execute("PRAGMA foreign_keys = OFF")


def run() -> None:
    engine = db.open_engine(context.config.attributes["url"])
    sqlite = engine.dialect.name == "sqlite"
    if sqlite:
        event.listen(engine, "connect", _unchecked)
    with engine.connect() as connection:
        context.configure(
            connection=connection,
            target_metadata=tables.metadata,
            render_as_batch=sqlite,
            compare_type=True,
            transactional_ddl=True,  # so it is on SQLite too, where Alembic does not count on it
            render_item=_render,
        )
        with context.begin_transaction():
            if not sqlite:
                connection.execute(text(f"SELECT pg_advisory_xact_lock({LOCK})"))
            context.run_migrations()
            if sqlite and (broken := connection.execute(text("PRAGMA foreign_key_check")).all()):
                raise RuntimeError(f"The migration would leave references to nothing: {broken[:5]}")
        connection.commit()
    engine.dispose()


run()
