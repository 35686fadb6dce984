from __future__ import annotations

from typing import Annotated

from fastapi import Depends

from ratchet.auth import Admin, Reader
from ratchet.db import ReadSession
from ratchet.idempotency import IdempotentSession
from ratchet.lists.paging import Page, PageOf, listing
from ratchet.projects import service
from ratchet.projects.schemas import PROJECT_FIELDS, NewProject, ProjectView
from ratchet.projects.tables import Project
from ratchet.routing import Router

router = Router()
ProjectPage = Annotated[Page, Depends(listing(PROJECT_FIELDS))]


@router.get("/projects")
def list_projects(principal: Reader, session: ReadSession, page: ProjectPage) -> PageOf[ProjectView]:
    rows, following = page.take(session, service.visible(principal))
    return PageOf(items=[ProjectView.model_validate(row) for row in rows], next_page_token=following)


@router.post("/projects", status_code=201)
def create_project(body: NewProject, principal: Admin, session: IdempotentSession) -> ProjectView:
    return ProjectView.model_validate(service.create(session, body, principal))


@router.get("/projects/{project}")
def get_project(project: str, principal: Reader, session: ReadSession) -> ProjectView:
    return ProjectView.model_validate(session.get_one(Project, project))
