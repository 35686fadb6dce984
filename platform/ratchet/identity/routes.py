"""HTTP for accounts, members, tokens and sessions."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request, Response

from ratchet import auth
from ratchet.auth import Admin, PlatformAdmin, Reader, Writer
from ratchet.conditional import IfMatchHeader
from ratchet.db import ReadSession, WriteSession
from ratchet.idempotency import IdempotentSession
from ratchet.identity import service, tokens
from ratchet.identity.schemas import (
    MEMBER_FIELDS,
    TOKEN_FIELDS,
    USER_FIELDS,
    Me,
    MemberChanges,
    MemberView,
    NewMember,
    NewProjectToken,
    NewServiceAccount,
    NewSession,
    NewToken,
    NewUser,
    TokenCreated,
    TokenView,
    UserChanges,
    UserView,
)
from ratchet.identity.tables import Account, Token
from ratchet.paging import Page, PageOf, listing
from ratchet.projects.service import visible
from ratchet.projects.tables import Project
from ratchet.routing import Router

router = Router(tags=["identity"])
TokenPage = Annotated[Page, Depends(listing(TOKEN_FIELDS))]
UserPage = Annotated[Page, Depends(listing(USER_FIELDS))]
MemberPage = Annotated[Page, Depends(listing(MEMBER_FIELDS))]
MEMBERS = "/projects/{project}/members"
SERVICE_ACCOUNTS = "/projects/{project}/service-accounts"
TOKENS = "/projects/{project}/tokens"


@router.post("/session", status_code=204)
def sign_in(body: NewSession, request: Request, response: Response, session: WriteSession) -> None:
    """Begin a browser's session with a token: its secret goes into a cookie that scripts can't read."""
    principal = auth.of_token(request, body.token)
    parent = session.get_one(Token, principal.token_id)
    auth.set_cookie(request, response, tokens.begin_session(session, session.get_one(Account, principal.id), parent))


@router.delete("/session", status_code=204)
def sign_out(request: Request, response: Response, session: WriteSession) -> None:
    """End the browser's session, here and in the database."""
    secret = auth.cookie_of(request)
    if secret:
        auth.require_same_origin(request)
        tokens.end_session(session, secret)
    auth.clear_cookie(request, response)


@router.get("/me")
def me(principal: Reader, session: ReadSession) -> Me:
    names = [project.name for project in session.scalars(visible(principal).order_by(Project.name))]
    roles = {name: principal.role_in(name) for name in names}
    return Me(
        id=principal.id,
        actor=principal.actor,
        scope=principal.scope,
        platform_admin=principal.is_platform_admin,
        projects=names,
        roles={name: role for name, role in roles.items() if role is not None},
    )


@router.get("/me/tokens")
def list_my_tokens(principal: Reader, session: ReadSession, page: TokenPage) -> PageOf[TokenView]:
    """Your tokens, newest first, revoked ones too; never a secret."""
    found = tokens.of_owner(session, principal.id)
    items, following = page.take_from(TokenView.of(row, owner) for row, owner in found)
    return PageOf(items=items, next_page_token=following)


@router.post("/me/tokens", status_code=201)
def create_my_token(body: NewToken, principal: Writer, session: IdempotentSession, response: Response) -> TokenCreated:
    """A token for everything that you may do, as far as its scope reaches."""
    return _created(response, "/api/v1/me/tokens", *service.create_own_token(session, body, principal))


@router.delete("/me/tokens/{token_id}", status_code=204)
def revoke_my_token(token_id: str, principal: Writer, session: WriteSession) -> None:
    service.revoke_own_token(session, token_id, principal)


@router.get("/users")
def list_users(principal: PlatformAdmin, session: ReadSession, page: UserPage) -> PageOf[UserView]:
    rows, following = service.list_users(session, page)
    return PageOf(items=[UserView.of(row) for row in rows], next_page_token=following)


@router.post("/users", status_code=201)
def create_user(body: NewUser, principal: PlatformAdmin, session: IdempotentSession) -> UserView:
    return UserView.of(service.create_user(session, body, actor=principal.actor))


@router.get("/users/{user_id}")
def get_user(user_id: str, principal: PlatformAdmin, session: ReadSession) -> UserView:
    return UserView.of(service.get_user(session, user_id))


@router.patch("/users/{user_id}")
def change_user(
    user_id: str, body: UserChanges, principal: PlatformAdmin, session: WriteSession, if_match: IfMatchHeader
) -> UserView:
    """Change what is given. Nobody can take away the last platform administrator."""
    row = service.get_user(session, user_id)
    if_match.check(session, row, lambda: UserView.of(row))
    return UserView.of(service.change_user(session, user_id, body, actor=principal.actor))


@router.get(MEMBERS)
def list_members(project: str, principal: Reader, session: ReadSession, page: MemberPage) -> PageOf[MemberView]:
    """Users and service accounts, and what each may do here."""
    items, following = page.take_from(MemberView.of(*found) for found in service.list_members(session, project))
    return PageOf(items=items, next_page_token=following)


@router.post(MEMBERS, status_code=201)
def add_member(project: str, body: NewMember, principal: Admin, session: IdempotentSession) -> MemberView:
    return MemberView.of(*service.add_member(session, project, body, actor=principal.actor))


@router.patch(f"{MEMBERS}/{{account_id}}")
def change_member(
    project: str, account_id: str, body: MemberChanges, principal: Admin, session: WriteSession
) -> MemberView:
    return MemberView.of(*service.change_member(session, project, account_id, body.role, actor=principal.actor))


@router.delete(f"{MEMBERS}/{{account_id}}", status_code=204)
def remove_member(project: str, account_id: str, principal: Admin, session: WriteSession) -> None:
    service.remove_member(session, project, account_id, actor=principal.actor)


@router.get(SERVICE_ACCOUNTS)
def list_service_accounts(
    project: str, principal: Reader, session: ReadSession, page: MemberPage
) -> PageOf[MemberView]:
    found = service.list_service_accounts(session, project)
    items, following = page.take_from(MemberView.of(*each) for each in found)
    return PageOf(items=items, next_page_token=following)


@router.post(SERVICE_ACCOUNTS, status_code=201)
def create_service_account(
    project: str, body: NewServiceAccount, principal: Admin, session: IdempotentSession
) -> MemberView:
    """An account for a program, which belongs to this project and to no person."""
    return MemberView.of(*service.create_service_account(session, project, body, actor=principal.actor))


@router.delete(f"{SERVICE_ACCOUNTS}/{{account_id}}", status_code=204)
def delete_service_account(project: str, account_id: str, principal: Admin, session: WriteSession) -> None:
    """With its tokens."""
    service.delete_service_account(session, project, account_id, actor=principal.actor)


@router.get(TOKENS)
def list_tokens(project: str, principal: Writer, session: ReadSession, page: TokenPage) -> PageOf[TokenView]:
    """The tokens that open this project alone: all of them for its administrators, else your own."""
    found = service.list_project_tokens(session, project, principal)
    items, following = page.take_from(TokenView.of(row, owner) for row, owner in found)
    return PageOf(items=items, next_page_token=following)


@router.post(TOKENS, status_code=201)
def create_token(
    project: str, body: NewProjectToken, principal: Writer, session: IdempotentSession, response: Response
) -> TokenCreated:
    where = f"/api/v1/projects/{project}/tokens"
    return _created(response, where, *service.create_project_token(session, project, body, principal))


@router.delete(f"{TOKENS}/{{token_id}}", status_code=204)
def revoke_token(project: str, token_id: str, principal: Writer, session: WriteSession) -> None:
    service.revoke_project_token(session, project, token_id, principal)


def _created(response: Response, where: str, row: Token, owner: Account, secret: str) -> TokenCreated:
    response.headers["Location"] = f"{where}/{row.id}"
    response.headers["Cache-Control"] = "no-store"
    return TokenCreated(**TokenView.of(row, owner.name).model_dump(), token=secret)
