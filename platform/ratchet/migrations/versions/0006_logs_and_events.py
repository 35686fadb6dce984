"""logs and events"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from ratchet.db import UtcDateTime, db_now

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

APPEND_ONLY = ("events", "event_seals")


def upgrade() -> None:
    op.create_table(
        "event_chains",
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.Column("event_id", sa.Integer(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("created_at", UtcDateTime(), server_default=db_now(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), server_default=db_now(), nullable=False),
        sa.Column("due_at", UtcDateTime(), server_default=db_now(), nullable=True),
        sa.Column("lease", sa.Integer(), nullable=False),
        sa.Column("lease_until", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_event_chains")),
    )
    with op.batch_alter_table("event_chains", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_event_chains_due_at"), ["due_at"], unique=False)

    op.create_table(
        "event_seals",
        sa.Column("seq", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("event_id", sa.Integer(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_event_seals")),
        sa.UniqueConstraint("event_id", name=op.f("uq_event_seals_event_id")),
    )
    op.create_table(
        "log_retentions",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("created_at", UtcDateTime(), server_default=db_now(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), server_default=db_now(), nullable=False),
        sa.Column("due_at", UtcDateTime(), server_default=db_now(), nullable=True),
        sa.Column("lease", sa.Integer(), nullable=False),
        sa.Column("lease_until", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_log_retentions")),
    )
    with op.batch_alter_table("log_retentions", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_log_retentions_due_at"), ["due_at"], unique=False)

    op.execute(sa.table("log_retentions", sa.column("id"), sa.column("lease")).insert().values(id="logs", lease=0))
    chain = sa.table("event_chains", *map(sa.column, ("id", "seq", "hash", "event_id", "lease")))
    op.execute(chain.insert().values(id="events", seq=0, hash="0" * 64, event_id=0, lease=0))
    _forbid_changes()
    with op.batch_alter_table("jobs", schema=None) as batch_op:
        batch_op.add_column(sa.Column("logs_deleted_at", UtcDateTime(), nullable=True))


def _forbid_changes() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE FUNCTION ratchet_append_only() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            "RAISE EXCEPTION USING MESSAGE = 'the table ' || TG_TABLE_NAME || ' is append-only'; END $$"
        )
        for table in APPEND_ONLY:
            op.execute(
                f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
                "FOR EACH STATEMENT EXECUTE FUNCTION ratchet_append_only()"
            )
        return
    for table in APPEND_ONLY:
        for change in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{change.lower()} BEFORE {change} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, 'the table {table} is append-only'); END"
            )


def downgrade() -> None:
    with op.batch_alter_table("jobs", schema=None) as batch_op:
        batch_op.drop_column("logs_deleted_at")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP TRIGGER events_append_only ON events")
        op.drop_table("event_seals")
        op.execute("DROP FUNCTION ratchet_append_only()")
    else:
        op.execute("DROP TRIGGER events_no_update")
        op.execute("DROP TRIGGER events_no_delete")
        op.drop_table("event_seals")
    op.drop_table("event_chains")
    op.drop_table("log_retentions")
