from __future__ import annotations

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from ratchet import events
from ratchet.errors import Conflict
from ratchet.identity.principals import Principal
from ratchet.projects.schemas import NewProject
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
        session,
        project=new.name,
        actor=principal.actor,
        action="project.created",
        target=("project", new.name),
        after={"name": new.name, "description": new.description},
    )
    return project


def visible(principal: Principal) -> Select[Project]:
    """The projects in which the principal may do anything."""
    query = select(Project)
    if not principal.platform_admin:
        query = query.where(Project.name.in_(principal.roles))
    elif principal.project is not None:
        query = query.where(Project.name == principal.project)
    return query
