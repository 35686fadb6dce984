"""durability"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from ratchet.db import UtcDateTime, db_now
from ratchet.migrations.types import Json

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "reconcilers",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("host", sa.String(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("version", sa.String(), nullable=False),
        sa.Column("started_at", UtcDateTime(), server_default=db_now(), nullable=False),
        sa.Column("beat_at", UtcDateTime(), server_default=db_now(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reconcilers")),
    )
    with op.batch_alter_table("reconcilers", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_reconcilers_beat_at"), ["beat_at"], unique=False)
    with op.batch_alter_table("clusters", schema=None) as batch_op:
        batch_op.add_column(sa.Column("sized_at", UtcDateTime(), nullable=True))
        batch_op.add_column(sa.Column("swept_at", UtcDateTime(), nullable=True))
        batch_op.add_column(sa.Column("instance", sa.String(), server_default="", nullable=False))
        batch_op.add_column(sa.Column("orphans", Json, server_default="[]", nullable=False))


def downgrade() -> None:
    with op.batch_alter_table("clusters", schema=None) as batch_op:
        for column in ("orphans", "instance", "swept_at", "sized_at"):
            batch_op.drop_column(column)
    op.drop_table("reconcilers")
