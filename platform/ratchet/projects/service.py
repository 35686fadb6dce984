from __future__ import annotations

from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from ratchet import auth, events
from ratchet.auth import Principal, Token
from ratchet.db import now
from ratchet.endpoints.service import make_serving_due
from ratchet.errors import Conflict, Forbidden, NotFound
from ratchet.projects.schemas import NewProject, NewToken
from ratchet.projects.tables import DEFAULT_PROJECT, Project


def ensure_default(session: Session) -> None:
    if session.get(Project, DEFAULT_PROJECT) is None:
        session.add(Project(name=DEFAULT_PROJECT, description="Made at the first start."))
        session.flush()


def create(session: Session, new: NewProject, principal: Principal) -> Project:
    if session.get(Project, new.name) is not None:
        raise Conflict(f"There is a project {new.name!r} already.")
    project = Project(name=new.name, description=new.description)
    session.add(project)
    session.flush()
    events.emit(
        session, project=new.name, actor=principal.actor, action="project.created", target=("project", new.name)
    )
    return project


def visible(session: Session, principal: Principal) -> list[Project]:
    query = select(Project).order_by(Project.name)
    if principal.project is not None:
        query = query.where(Project.name == principal.project)
    return list(session.scalars(query))


def create_token(session: Session, project: str, new: NewToken, principal: Principal) -> tuple[Token, str]:
    """A token of this project, never of a wider scope than the one that asks."""
    principal_scope = principal.scope
    if not principal_scope.includes(new.scope) or (new.scope is auth.Scope.ADMIN and principal.project is not None):
        raise Forbidden(f"A token of scope {principal_scope.value!r} can't make one of scope {new.scope.value!r}.")
    ends = None if new.expires_in_days is None else now(session) + timedelta(days=new.expires_in_days)
    made = auth.create_token(
        session, project=project, name=new.name, scope=new.scope, actor=principal.actor, expires_at=ends
    )
    make_serving_due(session)
    return made


def revoke_token(session: Session, project: str, token_id: str, principal: Principal) -> None:
    row = session.get(Token, token_id)
    if row is None or row.project != project:
        raise NotFound(f"There is no token {token_id!r} in project {project!r}.")
    row.revoked_at = row.revoked_at or now(session)
    events.emit(session, project=project, actor=principal.actor, action="token.revoked", target=("token", token_id))
    make_serving_due(session)


def tokens(session: Session, project: str) -> list[Token]:
    return list(session.scalars(select(Token).where(Token.project == project).order_by(Token.id.desc())))
