"""Alembic's entry: one transaction, and on Postgres a lock, so that two starts do not migrate at once."""

from __future__ import annotations

from alembic import context
from sqlalchemy import text

from ratchet import db
from ratchet.migrations import tables

LOCK = 7_246_382


def run() -> None:
    engine = db.open_engine(context.config.attributes["url"])
    with engine.connect() as connection:
        context.configure(
            connection=connection,
            target_metadata=tables.metadata,
            render_as_batch=connection.dialect.name == "sqlite",
            compare_type=True,
        )
        with context.begin_transaction():
            if connection.dialect.name == "postgresql":
                connection.execute(text(f"SELECT pg_advisory_xact_lock({LOCK})"))
            context.run_migrations()
        connection.commit()
    engine.dispose()


run()
