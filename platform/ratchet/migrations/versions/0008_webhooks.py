"""webhooks, and the indexes by which lists are filtered and ordered"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

from ratchet.db import UtcDateTime, db_now
from ratchet.migrations.types import Json

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
    _make_webhooks()
    op.create_table(
        "housekeeping",
        sa.Column("forgotten", sa.Integer(), nullable=False),
        *_identified(),
        *_leased(),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_housekeeping")),
    )
    op.create_index(op.f("ix_housekeeping_due_at"), "housekeeping", ["due_at"])
    with op.batch_alter_table("jobs", schema=None) as batch_op:
        batch_op.add_column(sa.Column("request_id", sa.String(), nullable=True))
        batch_op.add_column(sa.Column("trace", sa.String(), nullable=True))
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
    with op.batch_alter_table("jobs", schema=None) as batch_op:
        batch_op.drop_column("trace")
        batch_op.drop_column("request_id")
    for table in ("housekeeping", "webhook_deliveries", "webhook_outbox", "webhooks", "platform_keys"):
        op.drop_table(table)


def _name(table: str, columns: tuple[str, ...]) -> str:
    return f"ix_{table}_{'_'.join(columns)}"


def _identified() -> list[sa.Column[Any]]:
    return [
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("created_at", UtcDateTime(), server_default=db_now(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), server_default=db_now(), nullable=False),
    ]


def _leased() -> list[sa.Column[Any]]:
    return [
        sa.Column("due_at", UtcDateTime(), server_default=db_now(), nullable=True),
        sa.Column("lease", sa.Integer(), nullable=False),
        sa.Column("lease_until", UtcDateTime(), nullable=True),
    ]


def _make_webhooks() -> None:
    op.create_table(
        "webhooks",
        sa.Column("project", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("url", sa.String(), nullable=False),
        sa.Column("events", Json, nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("secret", sa.String(), nullable=False),
        sa.Column("previous_secret", sa.String(), nullable=True),
        sa.Column("previous_until", UtcDateTime(), nullable=True),
        sa.Column("created_by", sa.String(), nullable=False),
        *_identified(),
        sa.ForeignKeyConstraint(["project"], ["projects.name"], name=op.f("fk_webhooks_project_projects")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhooks")),
        sa.UniqueConstraint("project", "name", name=op.f("uq_webhooks_project_name")),
    )
    op.create_table(
        "webhook_outbox",
        sa.Column("position", sa.Integer(), nullable=False),
        *_identified(),
        *_leased(),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_outbox")),
    )
    op.create_index(op.f("ix_webhook_outbox_due_at"), "webhook_outbox", ["due_at"])
    op.create_table(
        "webhook_deliveries",
        sa.Column("webhook_id", sa.String(), nullable=False),
        sa.Column("event_id", sa.Integer(), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("status_code", sa.Integer(), nullable=True),
        sa.Column("message", sa.String(), nullable=False),
        sa.Column("log", Json, nullable=False),
        sa.Column("ended_at", UtcDateTime(), nullable=True),
        *_identified(),
        *_leased(),
        sa.ForeignKeyConstraint(
            ["webhook_id"], ["webhooks.id"], name=op.f("fk_webhook_deliveries_webhook_id_webhooks"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_deliveries")),
    )
    for columns in (["webhook_id", "created_at", "id"], ["created_at"], ["due_at"]):
        op.create_index(_name("webhook_deliveries", tuple(columns)), "webhook_deliveries", columns)
