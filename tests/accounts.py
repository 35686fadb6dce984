"""Accounts with tokens, as tests need them."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from ratchet.db import new_id
from ratchet.identity import tokens
from ratchet.identity.roles import Role, Scope
from ratchet.identity.tables import Account, AccountKind, Membership, Token


def token_of(
    session: Session,
    name: str,
    *,
    role: Role | None = None,
    project: str = "default",
    scope: Scope = Scope.ADMIN,
) -> tuple[Token, str]:
    """A token of the user `name`, made where there is none: with `role` in `project`, or for a platform administrator
    without one."""
    account = session.scalar(select(Account).where(Account.name == name))
    if account is None:
        account = Account(id=new_id("usr"), kind=AccountKind.USER.value, name=name, platform_admin=role is None)
        session.add(account)
        session.flush()
    if role is not None and session.get(Membership, (project, account.id)) is None:
        session.add(Membership(project=project, account_id=account.id, role=role.value))
        session.flush()
    return tokens.create(session, account, name=name, scope=scope, actor="test")
