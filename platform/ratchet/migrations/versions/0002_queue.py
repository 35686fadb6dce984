"""queue"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from ratchet.db import UtcDateTime, db_now
from ratchet.migrations.types import Json

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

JOBS = sa.table("jobs", sa.column("deadline_s", sa.Integer()), sa.column("spec", Json))


def upgrade() -> None:
    queues = op.create_table(
        "queues",
        sa.Column("woken_lease", sa.Integer(), server_default="0", nullable=False),
        sa.Column("rest_until", UtcDateTime(), nullable=True),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("created_at", UtcDateTime(), server_default=db_now(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), server_default=db_now(), nullable=False),
        sa.Column("due_at", UtcDateTime(), server_default=db_now(), nullable=True),
        sa.Column("lease", sa.Integer(), nullable=False),
        sa.Column("lease_until", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_queues")),
    )
    with op.batch_alter_table("queues", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_queues_due_at"), ["due_at"], unique=False)
    op.bulk_insert(queues, [{"id": "queue", "lease": 0}])

    op.create_table(
        "quotas",
        sa.Column("project", sa.String(), nullable=False),
        sa.Column("cpus", sa.Double(), nullable=True),
        sa.Column("gpus", sa.Double(), nullable=True),
        sa.Column("memory_bytes", sa.BigInteger(), nullable=True),
        sa.Column("jobs", sa.Integer(), nullable=True),
        sa.Column("gpu_hours", sa.Double(), nullable=True),
        sa.Column("weight", sa.Double(), server_default="1", nullable=False),
        sa.Column("updated_at", UtcDateTime(), server_default=db_now(), nullable=False),
        sa.ForeignKeyConstraint(["project"], ["projects.name"], name=op.f("fk_quotas_project_projects")),
        sa.PrimaryKeyConstraint("project", name=op.f("pk_quotas")),
    )
    op.create_table(
        "gpu_usage",
        sa.Column("project", sa.String(), nullable=False),
        sa.Column("month", sa.String(), nullable=False),
        sa.Column("gpu_s", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["project"], ["projects.name"], name=op.f("fk_gpu_usage_project_projects")),
        sa.PrimaryKeyConstraint("project", "month", name=op.f("pk_gpu_usage")),
    )
    with op.batch_alter_table("jobs", schema=None) as batch_op:
        batch_op.add_column(sa.Column("memory_bytes", sa.BigInteger(), server_default="0", nullable=False))
        batch_op.add_column(sa.Column("deadline_s", sa.Integer(), server_default="86400", nullable=False))
        batch_op.add_column(sa.Column("preemptible", sa.Boolean(), server_default=sa.false(), nullable=False))
        batch_op.add_column(sa.Column("queued_at", UtcDateTime(), nullable=True))
        batch_op.add_column(sa.Column("waited_s", sa.Double(), server_default="0", nullable=False))
    op.execute(JOBS.update().values(deadline_s=JOBS.c.spec["deadline_s"].as_integer()))


def downgrade() -> None:
    with op.batch_alter_table("jobs", schema=None) as batch_op:
        for column in ("waited_s", "queued_at", "preemptible", "deadline_s", "memory_bytes"):
            batch_op.drop_column(column)
    op.drop_table("gpu_usage")
    op.drop_table("quotas")
    op.drop_table("queues")
