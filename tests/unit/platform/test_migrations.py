from __future__ import annotations

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from ratchet import db
from ratchet.migrations import tables


def test_the_migrations_make_exactly_the_tables(database: str) -> None:
    engine = db.open_engine(database)
    with engine.connect() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), tables.metadata)
    engine.dispose()
    assert differences == []


def test_migrating_twice_changes_nothing(database: str) -> None:
    db.upgrade(database)
