from __future__ import annotations

from fastapi import APIRouter

from ratchet.auth import Admin, Reader
from ratchet.db import ReadSession, WriteSession
from ratchet.paging import PageOf
from ratchet.projects import service
from ratchet.projects.schemas import NewProject, ProjectView

router = APIRouter()


@router.get("/projects")
def list_projects(principal: Reader, session: ReadSession) -> PageOf[ProjectView]:
    return PageOf(items=[ProjectView.model_validate(row) for row in service.visible(session, principal)])


@router.post("/projects", status_code=201)
def create_project(body: NewProject, principal: Admin, session: WriteSession) -> ProjectView:
    return ProjectView.model_validate(service.create(session, body, principal))


@router.get("/projects/{project}")
def get_project(project: str, principal: Reader, session: ReadSession) -> ProjectView:
    row = next(row for row in service.visible(session, principal) if row.name == project)
    return ProjectView.model_validate(row)
