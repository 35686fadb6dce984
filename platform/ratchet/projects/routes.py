from __future__ import annotations

from fastapi import APIRouter, Request, Response

from ratchet.auth import COOKIE, Admin, Reader, Writer, find_principal
from ratchet.db import ReadSession, WriteSession
from ratchet.paging import PageOf
from ratchet.projects import service
from ratchet.projects.schemas import Me, NewProject, NewSession, NewToken, ProjectView, TokenCreated, TokenView

router = APIRouter()


@router.post("/session", status_code=204)
def sign_in(body: NewSession, request: Request, response: Response, session: ReadSession) -> None:
    """Keep the token in a cookie that scripts can't read: how the dashboard signs in."""
    find_principal(session, body.token)
    secure = request.app.state.settings.secure_cookies
    response.set_cookie(
        COOKIE, body.token, max_age=30 * 86_400, httponly=True, samesite="strict", secure=secure, path="/"
    )


@router.delete("/session", status_code=204)
def sign_out(response: Response) -> None:
    response.delete_cookie(COOKIE, path="/")


@router.get("/me")
def me(principal: Reader, session: ReadSession) -> Me:
    names = [project.name for project in service.visible(session, principal)]
    return Me(actor=principal.actor, scope=principal.scope, projects=names)


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


@router.get("/projects/{project}/tokens")
def list_tokens(project: str, principal: Writer, session: ReadSession) -> PageOf[TokenView]:
    return PageOf(items=[TokenView.model_validate(row) for row in service.tokens(session, project)])


@router.post("/projects/{project}/tokens", status_code=201)
def create_token(project: str, body: NewToken, principal: Writer, session: WriteSession) -> TokenCreated:
    row, secret = service.create_token(session, project, body, principal)
    session.refresh(row)
    return TokenCreated(**TokenView.model_validate(row).model_dump(), token=secret)


@router.delete("/projects/{project}/tokens/{token_id}", status_code=204)
def revoke_token(project: str, token_id: str, principal: Writer, session: WriteSession) -> None:
    service.revoke_token(session, project, token_id, principal)
