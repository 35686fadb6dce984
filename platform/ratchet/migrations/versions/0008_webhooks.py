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
    op.drop_table("platform_keys")


def _name(table: str, columns: tuple[str, ...]) -> str:
    return f"ix_{table}_{'_'.join(columns)}"
