"""Accounts and their roles: who is made, changed, let in and put out, each with its event."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from ratchet import events
from ratchet.db import new_id, now
from ratchet.endpoints.service import make_serving_due
from ratchet.errors import Conflict, Forbidden, NotFound
from ratchet.identity import tokens
from ratchet.identity.principals import Principal, changed
from ratchet.identity.roles import Role, Scope
from ratchet.identity.schemas import (
    NewMember,
    NewProjectToken,
    NewServiceAccount,
    NewToken,
    NewUser,
    UserChanges,
)
from ratchet.identity.tables import Account, AccountKind, Membership, Source, Token, TokenKind
from ratchet.lists.paging import Page

USER, SERVICE = AccountKind.USER.value, AccountKind.SERVICE.value


# -- users


def create_user(session: Session, new: NewUser, *, actor: str) -> Account:
    if session.scalar(select(Account.id).where(Account.name == new.name)) is not None:
        raise Conflict(f"There is a user {new.name!r} already.")
    row = Account(
        id=new_id("usr"), kind=USER, name=new.name, email=_lower(new.email), platform_admin=new.platform_admin
    )
    session.add(row)
    session.flush()
    session.refresh(row)
    after = {"name": row.name, "email": row.email, "platform_admin": row.platform_admin}
    events.emit(session, project="", actor=actor, action="user.created", target=("user", row.id), after=after)
    return row


def get_user(session: Session, user_id: str) -> Account:
    row = session.get(Account, user_id)
    if row is None or row.kind != USER:
        raise NotFound(f"There is no user {user_id[:80]!r}.")
    return row


def list_users(session: Session, page: Page) -> tuple[Sequence[Account], str]:
    return page.take(session, select(Account).where(Account.kind == USER))


def change_user(session: Session, user_id: str, changes: UserChanges, *, actor: str) -> Account:
    """`Conflict` when it would leave the platform without an administrator."""
    row = get_user(session, user_id)
    before = _facts(row)
    given = changes.model_dump(exclude_unset=True)
    if "email" in given:
        row.email = _lower(changes.email)
    if changes.platform_admin is not None:
        row.platform_admin = changes.platform_admin
    if changes.disabled is not None:
        row.disabled_at = (row.disabled_at or now(session)) if changes.disabled else None
    session.flush()
    if not _admins(session):
        raise Conflict("This is the last platform administrator.", hint="Make another one first.")
    after = _facts(row)
    if after != before:
        events.emit(
            session, project="", actor=actor, action="user.changed", target=("user", row.id), before=before, after=after
        )
        _changed(session)
    return row


def _facts(row: Account) -> dict[str, object]:
    return {"email": row.email, "platform_admin": row.platform_admin, "disabled": row.disabled_at is not None}


def set_platform_admin(session: Session, row: Account, platform_admin: bool, *, actor: str) -> None:
    change_user(session, row.id, UserChanges(platform_admin=platform_admin), actor=actor)


def is_last_admin(session: Session, row: Account) -> bool:
    return row.platform_admin and row.disabled_at is None and _admins(session) == 1


def _admins(session: Session) -> int:
    query = select(func.count()).where(Account.platform_admin, Account.disabled_at.is_(None), Account.kind == USER)
    return session.scalar(query) or 0


# -- members


def list_members(session: Session, project: str) -> list[tuple[Membership, Account]]:
    query = (
        select(Membership, Account)
        .join(Account, Account.id == Membership.account_id)
        .where(Membership.project == project)
        .order_by(Account.name)
    )
    return [(membership, account) for membership, account in session.execute(query)]


def add_member(session: Session, project: str, new: NewMember, *, actor: str) -> tuple[Membership, Account]:
    wanted = or_(Account.name == new.user, Account.id == new.user, Account.email == new.user.lower())
    found = session.scalars(select(Account).where(Account.kind == USER, wanted).limit(2)).all()
    if len(found) != 1:
        raise NotFound(
            f"There is {'no' if not found else 'more than one'} user {new.user!r}.",
            hint="A user is there after their first login, or once a platform administrator made them.",
        )
    if session.get(Membership, (project, found[0].id)) is not None:
        raise Conflict(f"{found[0].name} is a member already.", hint="Change the role of the member instead.")
    return join(session, project, found[0], new.role, actor=actor), found[0]


def get_member(session: Session, project: str, account_id: str) -> tuple[Membership, Account]:
    row = session.get(Membership, (project, account_id))
    if row is None:
        raise NotFound(f"There is no member {account_id[:80]!r} in the project {project!r}.")
    return row, session.get_one(Account, account_id)


def change_member(
    session: Session, project: str, account_id: str, role: Role, *, actor: str
) -> tuple[Membership, Account]:
    """Give a member another role. From now on it is set by hand: no login changes it."""
    row, account = get_member(session, project, account_id)
    row.source = Source.MANUAL.value
    set_role(session, row, account, role, actor=actor)
    return row, account


def set_role(session: Session, row: Membership, account: Account, role: Role, *, actor: str) -> None:
    before, row.role = row.role, role.value
    session.flush()
    if before != role.value:
        _emit_member(session, row.project, account, "changed", actor=actor, before=before, after=role.value)
        _changed(session)


def remove_member(session: Session, project: str, account_id: str, *, actor: str) -> None:
    row, account = get_member(session, project, account_id)
    if account.kind == SERVICE:
        raise Conflict(
            f"{account.name} is a service account of this project.", hint="Delete the service account itself."
        )
    leave(session, row, account, actor=actor)


def leave(session: Session, row: Membership, account: Account, *, actor: str) -> None:
    session.delete(row)
    session.flush()
    _emit_member(session, row.project, account, "removed", actor=actor, before=row.role)
    _changed(session)


def join(
    session: Session, project: str, account: Account, role: Role, *, actor: str, source: Source = Source.MANUAL
) -> Membership:
    row = Membership(project=project, account_id=account.id, role=role.value, source=source.value)
    session.add(row)
    session.flush()
    session.refresh(row)
    _emit_member(session, project, account, "added", actor=actor, after=role.value)
    _changed(session)
    return row


def _emit_member(
    session: Session,
    project: str,
    account: Account,
    verb: str,
    *,
    actor: str,
    before: str | None = None,
    after: str | None = None,
) -> None:
    events.emit(
        session,
        project=project,
        actor=actor,
        action=f"member.{verb}",
        target=(account.kind, account.id),
        before=None if before is None else {"role": before},
        after=None if after is None else {"role": after},
        message=account.name,
    )


# -- service accounts


def create_service_account(
    session: Session, project: str, new: NewServiceAccount, *, actor: str
) -> tuple[Membership, Account]:
    name = f"{project}/{new.name}"
    if session.scalar(select(Account.id).where(Account.name == name)) is not None:
        raise Conflict(f"There is a service account {new.name!r} in this project already.")
    account = Account(id=new_id("sa"), kind=SERVICE, name=name, project=project)
    session.add(account)
    session.flush()
    return join(session, project, account, new.role, actor=actor), account


def list_service_accounts(session: Session, project: str) -> list[tuple[Membership, Account]]:
    return [(row, account) for row, account in list_members(session, project) if account.kind == SERVICE]


def get_service_account(session: Session, project: str, account_id: str) -> tuple[Membership, Account]:
    account = session.get(Account, account_id)
    if account is None or account.kind != SERVICE or account.project != project:
        raise NotFound(f"There is no service account {account_id[:80]!r} in the project {project!r}.")
    return session.get_one(Membership, (project, account_id)), account


def delete_service_account(session: Session, project: str, account_id: str, *, actor: str) -> None:
    """With its tokens. What it did stays in the audit log."""
    row, account = get_service_account(session, project, account_id)
    leave(session, row, account, actor=actor)
    session.delete(account)
    session.flush()


# -- tokens


def create_project_token(
    session: Session, project: str, new: NewProjectToken, principal: Principal
) -> tuple[Token, Account, str]:
    """A token for this project alone: of the one who asks, or (for its administrators) of a service account."""
    _require_scope(principal, new.scope)
    owner = session.get_one(Account, principal.id)
    if new.service_account is not None:
        if not principal.may(Role.ADMIN, project):
            raise Forbidden("Only an administrator of the project makes tokens of its service accounts.")
        found = session.scalar(select(Account).where(Account.name == f"{project}/{new.service_account}"))
        if found is None:
            raise NotFound(f"There is no service account {new.service_account!r} in the project {project!r}.")
        owner = found
    return _create_token(session, owner, new, principal.actor, project)


def create_own_token(session: Session, new: NewToken, principal: Principal) -> tuple[Token, Account, str]:
    """A token for all that its owner may do, in every project, narrowed by its scope."""
    _require_scope(principal, new.scope)
    if principal.project is not None:
        raise Forbidden(f"This token is limited to the project {principal.project!r}, and can't make a wider one.")
    return _create_token(session, session.get_one(Account, principal.id), new, principal.actor, None)


def list_project_tokens(session: Session, project: str, principal: Principal) -> Sequence[tuple[Token, str]]:
    """All of them for an administrator of the project, else one's own."""
    owner = None if principal.may(Role.ADMIN, project) else principal.id
    return tokens.of_project(session, project, owner)


def revoke_project_token(session: Session, project: str, token_id: str, principal: Principal) -> None:
    row = session.get(Token, token_id)
    mine = row is not None and (row.owner_id == principal.id or principal.may(Role.ADMIN, project))
    if row is None or row.project != project or row.kind != TokenKind.API or not mine:
        raise NotFound(f"There is no token {token_id[:80]!r} of yours in the project {project!r}.")
    tokens.revoke(session, row, actor=principal.actor)
    make_serving_due(session)


def revoke_own_token(session: Session, token_id: str, principal: Principal) -> None:
    row = session.get(Token, token_id)
    if row is None or row.owner_id != principal.id or row.kind != TokenKind.API:
        raise NotFound(f"There is no token {token_id[:80]!r} of yours.")
    tokens.revoke(session, row, actor=principal.actor)
    make_serving_due(session)


def _require_scope(principal: Principal, scope: Scope) -> None:
    if not principal.scope.includes(scope):
        raise Forbidden(f"A token of scope {principal.scope.value!r} can't make one of scope {scope.value!r}.")


def _create_token(
    session: Session, owner: Account, new: NewToken, actor: str, project: str | None
) -> tuple[Token, Account, str]:
    ends: datetime | None = None
    if new.expires_in_days is not None:
        ends = now(session) + timedelta(days=new.expires_in_days)
    row, secret = tokens.create(
        session, owner, name=new.name, scope=new.scope, actor=actor, project=project, expires_at=ends
    )
    make_serving_due(session)
    session.refresh(row)
    return row, owner, secret


def _changed(session: Session) -> None:
    """Forget what this process remembers, and have the endpoints told whose tokens they take."""
    changed(session)
    make_serving_due(session)


def _lower(email: str | None) -> str | None:
    return None if email is None else email.lower()
