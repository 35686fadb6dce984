"""job lifecycle"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from ratchet.db import UtcDateTime
from ratchet.migrations.types import Json

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("jobs", schema=None) as batch_op:
        batch_op.add_column(sa.Column("not_before", UtcDateTime(), nullable=True))
        batch_op.add_column(sa.Column("cloned_from", sa.String(), nullable=True))
        batch_op.add_column(sa.Column("retry_of", sa.String(), nullable=True))
    with op.batch_alter_table("job_attempts", schema=None) as batch_op:
        batch_op.add_column(sa.Column("failure", Json, nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("job_attempts", schema=None) as batch_op:
        batch_op.drop_column("failure")
    with op.batch_alter_table("jobs", schema=None) as batch_op:
        batch_op.drop_column("retry_of")
        batch_op.drop_column("cloned_from")
        batch_op.drop_column("not_before")
