"""identity: accounts, their roles in projects, and tokens that belong to them"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from ratchet.db import UtcDateTime, db_now, new_id

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

ROLES = {"admin": "admin", "write": "editor", "read": "viewer", "predict": "viewer"}


def upgrade() -> None:
    op.create_table(
        "accounts",
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("project", sa.String(), nullable=True),
        sa.Column("email", sa.String(), nullable=True),
        sa.Column("issuer", sa.String(), nullable=True),
        sa.Column("subject", sa.String(), nullable=True),
        sa.Column("platform_admin", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("disabled_at", UtcDateTime(), nullable=True),
        sa.Column("last_login_at", UtcDateTime(), nullable=True),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("created_at", UtcDateTime(), server_default=db_now(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), server_default=db_now(), nullable=False),
        sa.ForeignKeyConstraint(["project"], ["projects.name"], name=op.f("fk_accounts_project")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_accounts")),
        sa.UniqueConstraint("issuer", "subject", name=op.f("uq_accounts_issuer_subject")),
        sa.UniqueConstraint("name", name=op.f("uq_accounts_name")),
    )
    with op.batch_alter_table("accounts", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_accounts_email"), ["email"], unique=False)
        batch_op.create_index(batch_op.f("ix_accounts_project"), ["project"], unique=False)

    op.create_table(
        "memberships",
        sa.Column("project", sa.String(), nullable=False),
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("created_at", UtcDateTime(), server_default=db_now(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_memberships_account_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["project"], ["projects.name"], name=op.f("fk_memberships_project")),
        sa.PrimaryKeyConstraint("project", "account_id", name=op.f("pk_memberships")),
    )
    with op.batch_alter_table("memberships", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_memberships_account_id"), ["account_id"], unique=False)

    with op.batch_alter_table("tokens", schema=None) as batch_op:
        batch_op.add_column(sa.Column("owner_id", sa.String(), nullable=True))
        batch_op.add_column(sa.Column("kind", sa.String(), server_default="api", nullable=False))
        batch_op.add_column(sa.Column("parent_id", sa.String(), nullable=True))
        batch_op.add_column(sa.Column("last_used_at", UtcDateTime(), nullable=True))
        batch_op.create_index(batch_op.f("ix_tokens_owner_id"), ["owner_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_tokens_parent_id"), ["parent_id"], unique=False)
        batch_op.create_foreign_key(
            batch_op.f("fk_tokens_owner_id"), "accounts", ["owner_id"], ["id"], ondelete="CASCADE"
        )

    _give_owners()


def _give_owners() -> None:
    """A token of before belonged to nobody: one for all projects goes to the first administrator, each other one to a
    service account of its own with the role that its scope was."""
    connection = op.get_bind()
    accounts = sa.table("accounts", *map(sa.column, ("id", "kind", "name", "project", "platform_admin")))
    memberships = sa.table("memberships", *map(sa.column, ("project", "account_id", "role", "source")))
    tokens = sa.table("tokens", *map(sa.column, ("id", "project", "name", "scope", "owner_id")))
    admin: str | None = None
    for token in connection.execute(sa.select(tokens)).mappings().all():
        if token["project"] is None:
            if admin is None:
                admin = new_id("usr")
                row = {"id": admin, "kind": "user", "name": "admin", "project": None, "platform_admin": True}
                connection.execute(accounts.insert().values(row))
            owner = admin
        else:
            owner = new_id("sa")
            name = f"{token['project']}/{token['name']}-{token['id'][-6:]}"
            row = {"id": owner, "kind": "service_account", "name": name, "project": token["project"]}
            connection.execute(accounts.insert().values(**row, platform_admin=False))
            member = {"project": token["project"], "account_id": owner, "role": ROLES[token["scope"]]}
            connection.execute(memberships.insert().values(**member, source="manual"))
        connection.execute(tokens.update().where(tokens.c.id == token["id"]).values(owner_id=owner))


def downgrade() -> None:
    with op.batch_alter_table("tokens", schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f("fk_tokens_owner_id"), type_="foreignkey")
        batch_op.drop_index(batch_op.f("ix_tokens_parent_id"))
        batch_op.drop_index(batch_op.f("ix_tokens_owner_id"))
        batch_op.drop_column("last_used_at")
        batch_op.drop_column("parent_id")
        batch_op.drop_column("kind")
        batch_op.drop_column("owner_id")
    op.drop_table("memberships")
    op.drop_table("accounts")
