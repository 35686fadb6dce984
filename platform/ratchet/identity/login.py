"""Who a login at the OpenID provider makes of a person here: their account, and the roles that their groups give."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from ratchet import events
from ratchet.db import new_id
from ratchet.errors import Forbidden
from ratchet.identity import service
from ratchet.identity.roles import Role
from ratchet.identity.tables import Account, AccountKind, Membership, Source
from ratchet.logs import logger
from ratchet.projects.tables import Project

PLATFORM_ADMIN = "platform_admin"
"""What a group may give beside `<project>:<role>`."""
log = logger("identity")


def sign_in(
    session: Session, claims: Mapping[str, Any], *, groups_claim: str, gifts: Mapping[str, Sequence[str]]
) -> Account:
    """The account of whom `claims` are about, made at their first login, with what their groups give them now.

    `gifts`: by group, `<project>:<role>` or `platform_admin`. `Forbidden` for a disabled account.
    """
    account = _find(session, claims) or _create(session, claims)
    if account.disabled_at is not None:
        raise Forbidden("This account is disabled.", hint="A platform administrator can enable it.")
    if email := _verified_email(claims):
        account.email = email
    given = claims.get(groups_claim)
    groups = [given] if isinstance(given, str) else [str(group) for group in given or ()]
    wanted = {gift for group in groups for gift in gifts.get(group, ())}
    _set_roles(session, account, wanted)
    if any(PLATFORM_ADMIN in each for each in gifts.values()):
        _set_platform_admin(session, account, PLATFORM_ADMIN in wanted)
    session.flush()
    return account


def _find(session: Session, claims: Mapping[str, Any]) -> Account | None:
    known = session.scalar(
        select(Account).where(Account.issuer == claims["iss"], Account.subject == str(claims["sub"]))
    )
    email = _verified_email(claims)
    if known is not None or email is None:
        return known
    # An administrator may have made the user before: the first login with that address becomes it.
    query = select(Account).where(Account.email == email, Account.kind == AccountKind.USER.value)
    found = session.scalars(query.where(Account.subject.is_(None)).limit(2)).all()
    if len(found) != 1:
        return None
    found[0].issuer, found[0].subject = claims["iss"], str(claims["sub"])
    return found[0]


def _create(session: Session, claims: Mapping[str, Any]) -> Account:
    email = _verified_email(claims)
    account = Account(
        id=new_id("usr"),
        kind=AccountKind.USER.value,
        name=_free_name(session, claims),
        email=email,
        issuer=claims["iss"],
        subject=str(claims["sub"]),
        platform_admin=False,
    )
    session.add(account)
    session.flush()
    events.emit(
        session,
        project="",
        actor=account.name,
        action="user.created",
        target=("user", account.id),
        after={"name": account.name, "email": email, "issuer": claims["iss"]},
    )
    return account


def _free_name(session: Session, claims: Mapping[str, Any]) -> str:
    """As the provider calls the person. Whom it calls as somebody here is called already, gets a name of their own:
    a name in the audit log must be one person's."""
    wished = str(claims.get("preferred_username") or claims.get("email") or claims["sub"])
    name = re.sub(r"[^A-Za-z0-9._@+-]", "-", wished).strip("-._@+")[:100] or "user"
    if session.scalar(select(Account.id).where(Account.name == name)) is None:
        return name
    person = f"{claims['iss']} {claims['sub']}"
    return f"{name}-{hashlib.sha256(person.encode()).hexdigest()[:8]}"


def _verified_email(claims: Mapping[str, Any]) -> str | None:
    email = claims.get("email")
    return email.lower() if isinstance(email, str) and claims.get("email_verified") is True else None


def _set_roles(session: Session, account: Account, gifts: set[str]) -> None:
    """What the groups give, instead of what they gave at the last login. What was set by hand stays."""
    wanted: dict[str, Role] = {}
    for gift in gifts - {PLATFORM_ADMIN}:
        project, _, role = gift.rpartition(":")
        if project not in wanted or Role(role).includes(wanted[project]):
            wanted[project] = Role(role)
    rows = session.scalars(select(Membership).where(Membership.account_id == account.id)).all()
    for row in rows:
        if row.source == Source.OIDC.value and row.project not in wanted:
            service.leave(session, row, account, actor=account.name)
        elif row.source == Source.OIDC.value:
            service.set_role(session, row, account, wanted[row.project], actor=account.name)
    there = set(session.scalars(select(Project.name).where(Project.name.in_(wanted))))
    for project in wanted.keys() - {row.project for row in rows}:
        if project in there:
            service.join(session, project, account, wanted[project], actor=account.name, source=Source.OIDC)
        else:
            log.warning("group_gives_role_in_unknown_project", project=project, account=account.name)


def _set_platform_admin(session: Session, account: Account, wanted: bool) -> None:
    if account.platform_admin == wanted:
        return
    if not wanted and service.is_last_admin(session, account):
        log.warning("last_platform_admin_kept", account=account.name)
        return
    service.set_platform_admin(session, account, wanted, actor=account.name)
