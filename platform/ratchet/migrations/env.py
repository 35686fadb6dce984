"""Alembic's entry: one transaction, and on Postgres a lock, so that two starts do not migrate at once."""

from __future__ import annotations

from typing import Any, Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext
from sqlalchemy import JSON, text

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


def run() -> None:
    engine = db.open_engine(context.config.attributes["url"])
    with engine.connect() as connection:
        context.configure(
            connection=connection,
            target_metadata=tables.metadata,
            render_as_batch=connection.dialect.name == "sqlite",
            compare_type=True,
            render_item=_render,
        )
        with context.begin_transaction():
            if connection.dialect.name == "postgresql":
                connection.execute(text(f"SELECT pg_advisory_xact_lock({LOCK})"))
            context.run_migrations()
        connection.commit()
    engine.dispose()


run()
