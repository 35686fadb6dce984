"""HTTP for accounts, members, tokens and sessions."""

from __future__ import annotations

import hmac
from typing import Annotated
from urllib.parse import urlencode

from fastapi import Depends, Query, Request, Response
from fastapi.responses import RedirectResponse

from ratchet import auth
from ratchet.auth import Admin, PlatformAdmin, Reader, Writer
from ratchet.conditional import IfMatchHeader
from ratchet.db import ReadSession, WriteSession
from ratchet.errors import NotFound, RatchetError, Unauthorized
from ratchet.idempotency import IdempotentSession
from ratchet.identity import login, service, tokens
from ratchet.identity.oidc import Pending, Provider
from ratchet.identity.schemas import (
    MEMBER_FIELDS,
    TOKEN_FIELDS,
    USER_FIELDS,
    AuthConfig,
    Me,
    MemberChanges,
    MemberView,
    NewMember,
    NewProjectToken,
    NewServiceAccount,
    NewSession,
    NewToken,
    NewUser,
    OidcConfig,
    TokenCreated,
    TokenView,
    UserChanges,
    UserView,
)
from ratchet.identity.tables import Account, Token
from ratchet.lists.paging import Page, PageOf, listing
from ratchet.logs import logger
from ratchet.projects.service import visible
from ratchet.projects.tables import Project
from ratchet.routing import Router
from ratchet.settings import Settings

log = logger("identity")
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
    principal = auth.look_up(request, body.token)
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


@router.get("/auth/config")
def get_auth_config(request: Request) -> AuthConfig:
    """How one signs in here. Open to all: the login page asks it."""
    settings = _settings(request)
    if not settings.oidc_issuer:
        return AuthConfig(oidc=None)
    return AuthConfig(oidc=OidcConfig(name=settings.oidc_name, login_url=f"{settings.public}/api/v1/auth/login"))


@router.get("/auth/login", status_code=302, response_class=RedirectResponse)
def begin_login(
    request: Request, next: Annotated[str, Query(max_length=2_000, description="The page to come back to.")] = "/"
) -> RedirectResponse:
    """Lead the browser to the OpenID provider."""
    pending, provider = Pending.begin(next), _provider(request)
    try:
        response = RedirectResponse(provider.login_url(pending), 302)
    except RatchetError as failure:
        return _back_to_login(request, failure, pending)
    auth.set_login_cookie(request, response, pending.cookie())
    return response


@router.get("/auth/callback", status_code=302, response_class=RedirectResponse)
def end_login(
    request: Request,
    session: WriteSession,
    code: Annotated[str, Query(max_length=4_096)] = "",
    state: Annotated[str, Query(max_length=200)] = "",
    error: Annotated[str, Query(max_length=200)] = "",
) -> RedirectResponse:
    """Where the OpenID provider leads the browser back to. The session begins here, or the login page says why not."""
    settings, provider = _settings(request), _provider(request)
    pending = Pending.read(auth.login_cookie_of(request))
    try:
        if pending is None or not hmac.compare_digest(pending.state.encode(), state.encode()):
            raise Unauthorized("This browser began no such login.", code="login_expired", hint="Sign in once more.")
        if error or not code:
            raise Unauthorized(f"The login was refused: {error or 'no code'}.", code="login_refused")
        claims = provider.claims(code, pending)  # asks the provider, before the session touches the database
        account = login.sign_in(session, claims, groups_claim=settings.oidc_groups_claim, gifts=settings.oidc_roles)
    except RatchetError as failure:
        session.rollback()
        return _back_to_login(request, failure, pending)
    response = RedirectResponse(pending.next, 302)
    auth.set_cookie(request, response, tokens.begin_session(session, account))
    auth.clear_login_cookie(request, response)
    return response


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


@router.get(f"{MEMBERS}/{{account_id}}")
def get_member(project: str, account_id: str, principal: Reader, session: ReadSession) -> MemberView:
    return MemberView.of(*service.get_member(session, project, account_id))


@router.patch(f"{MEMBERS}/{{account_id}}")
def change_member(
    project: str,
    account_id: str,
    body: MemberChanges,
    principal: Admin,
    session: WriteSession,
    if_match: IfMatchHeader,
) -> MemberView:
    row, account = service.get_member(session, project, account_id)
    if_match.check(session, row, lambda: MemberView.of(row, account))
    return MemberView.of(*service.change_member(session, project, account_id, body.role, actor=principal.actor))


@router.delete(f"{MEMBERS}/{{account_id}}", status_code=204)
def remove_member(
    project: str, account_id: str, principal: Admin, session: WriteSession, if_match: IfMatchHeader
) -> None:
    row, account = service.get_member(session, project, account_id)
    if_match.check(session, row, lambda: MemberView.of(row, account))
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


@router.get(f"{SERVICE_ACCOUNTS}/{{account_id}}")
def get_service_account(project: str, account_id: str, principal: Reader, session: ReadSession) -> MemberView:
    return MemberView.of(*service.get_service_account(session, project, account_id))


@router.delete(f"{SERVICE_ACCOUNTS}/{{account_id}}", status_code=204)
def delete_service_account(
    project: str, account_id: str, principal: Admin, session: WriteSession, if_match: IfMatchHeader
) -> None:
    """With its tokens."""
    row, account = service.get_service_account(session, project, account_id)
    if_match.check(session, row, lambda: MemberView.of(row, account))
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


def _settings(request: Request) -> Settings:
    settings: Settings = request.app.state.settings
    return settings


def _back_to_login(request: Request, failure: RatchetError, pending: Pending | None) -> RedirectResponse:
    """A person sees the login page, which has its own words for the error's code. A program gets the problem."""
    log.warning("login_failed", code=failure.code, detail=failure.detail)
    if "text/html" not in request.headers.get("accept", ""):
        raise failure
    told = {"error": failure.code, "next": pending.next if pending is not None else "/"}
    return RedirectResponse(f"/sign-in?{urlencode(told)}", 302)


def _provider(request: Request) -> Provider:
    if not _settings(request).oidc_issuer:
        raise NotFound("No OpenID provider is set.", hint="RATCHET_OIDC_ISSUER names one.")
    provider: Provider = request.app.state.oidc
    return provider
