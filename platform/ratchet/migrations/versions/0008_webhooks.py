"""webhooks, and the indexes by which lists are filtered and ordered"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from ratchet.db import UtcDateTime, db_now

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

INDEXES: dict[str, list[tuple[str, ...]]] = {
    "jobs": [("project", *field, "created_at", "id") for field in ((), ("name",), ("kind",), ("status",))],
    "events": [
        ("at", "id"),
        ("project", "at", "id"),
        ("project", "action", "at", "id"),
        ("project", "target_id", "at", "id"),
    ],
    "checks": [("monitor_id", "created_at", "id")],
    "pipeline_runs": [("project", "created_at", "id")],
}
REPLACED: dict[str, list[tuple[str, ...]]] = {
    "jobs": [("project", "id")],
    "events": [("project", "id"), ("target_kind", "target_id", "id")],
    "checks": [("monitor_id",)],
    "pipeline_runs": [("project",)],
}


def upgrade() -> None:
    op.create_table(
        "platform_keys",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("value", sa.String(), nullable=False),
        sa.Column("created_at", UtcDateTime(), server_default=db_now(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_platform_keys")),
    )
    with op.batch_alter_table("idempotency_keys", schema=None) as batch_op:
        batch_op.add_column(sa.Column("status", sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column("body", sa.LargeBinary(), nullable=True))
        batch_op.create_index(batch_op.f("ix_idempotency_keys_created_at"), ["created_at"], unique=False)
    for table, indexes in INDEXES.items():
        for columns in indexes:
            op.create_index(_name(table, columns), table, list(columns))
    for table, indexes in REPLACED.items():
        for columns in indexes:
            op.drop_index(_name(table, columns), table)


def downgrade() -> None:
    for table, indexes in REPLACED.items():
        for columns in indexes:
            op.create_index(_name(table, columns), table, list(columns))
    for table, indexes in INDEXES.items():
        for columns in indexes:
            op.drop_index(_name(table, columns), table)
    with op.batch_alter_table("idempotency_keys", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_idempotency_keys_created_at"))
        batch_op.drop_column("body")
        batch_op.drop_column("status")
    op.drop_table("platform_keys")


def _name(table: str, columns: tuple[str, ...]) -> str:
    return f"ix_{table}_{'_'.join(columns)}"
