"""Who sends a request, and whether they may: a route asks with `Reader`, `Writer`, `Admin` or `PlatformAdmin`.

Programs send a token. A browser sends the secret of its session in an HttpOnly cookie, and then every change must come
from a page of our own origin. See `ratchet.identity` for accounts, roles and tokens.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Annotated, TypeVar
from urllib.parse import urlsplit

from anyio import to_thread
from fastapi import Depends, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.security import HTTPBearer
from sqlalchemy.exc import DBAPIError, TimeoutError

from ratchet.errors import Forbidden, NotFound, RatchetError, Unauthorized
from ratchet.identity.limits import Limits
from ratchet.identity.principals import REMEMBER_S, AttemptEnded, Principal, Principals
from ratchet.identity.roles import Role
from ratchet.identity.tokens import SESSION_FOR, SESSION_PREFIX

COOKIE = "ratchet_session"
LOGIN_COOKIE = "ratchet_login"
SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}
T = TypeVar("T")


async def authenticate(request: Request) -> Principal:
    """The principal of a request, by bearer token or session cookie."""
    secret = _secret(request)
    principal = _principals(request).known(secret)
    if principal is None:
        principal = await run_in_threadpool(look_up, request, secret)
    _count(request, principal)
    request.state.refusal = lambda now: None if now.reaches(principal) else Forbidden("This is no longer for you.")
    return principal


async def while_allowed(request: Request, items: AsyncIterator[T | None]) -> AsyncIterator[T]:
    """An answer that lasts: what is given of it, each only while a new request would be let in.

    None is a moment without an item: a stream that may be silent gives one every `REMEMBER_S`, so that it ends, too.
    While the database does not answer, nothing is given. Raises what a new request would be refused with.
    """
    async for item in items:
        await _ask_again(request)
        if item is not None:
            yield item


async def _ask_again(request: Request) -> None:
    secret, principals = _secret(request), _principals(request)
    principal = principals.known(secret)
    while principal is None:
        # Past the limits on wrong secrets: a hundred streams of a token that was revoked lock out no address.
        try:
            principal = await to_thread.run_sync(
                principals.find, secret, request.path_params.get("project"), limiter=request.app.state.one_at_a_time
            )
        except (DBAPIError, TimeoutError):
            await asyncio.sleep(REMEMBER_S)
    if (refusal := request.state.refusal(principal)) is not None:
        raise refusal


def look_up(request: Request, secret: str) -> Principal:
    """Whose a secret is, asked of the database: `Unauthorized` when it is nobody's, `TooManyRequests` when too many
    that were nobody's came from the same address."""
    limits: Limits = request.app.state.limits
    address = request.client.host if request.client else ""
    principals = _principals(request)
    if not principals.familiar(secret):  # many may share an address: one's old token must not lock the others out
        limits.check_address(address)
    try:
        return principals.look_up(secret, request.path_params.get("project"))
    except AttemptEnded:
        raise
    except Unauthorized:
        limits.failed(address)
        raise


def _require(role: Role, *, platform: bool = False) -> Callable[[Request], Awaitable[Principal]]:
    async def allowed(request: Request) -> Principal:
        secret = _secret(request)
        principal = _principals(request).known(secret)
        refusal = None if principal is None else _refusal(request, principal, role, platform)
        if principal is None or refusal is not None:
            # What is remembered may be older than the role: nobody is refused by memory alone.
            principal = await run_in_threadpool(look_up, request, secret)
            refusal = _refusal(request, principal, role, platform)
        _count(request, principal)
        if refusal is not None:
            raise refusal
        request.state.principal = principal
        request.state.refusal = partial(_refusal, request, role=role, platform=platform)
        return principal

    return allowed


def _count(request: Request, principal: Principal) -> None:
    limits: Limits = request.app.state.limits
    request.state.allowance = limits.count(principal.id)


def _principals(request: Request) -> Principals:
    principals: Principals = request.app.state.principals
    return principals


def _refusal(request: Request, principal: Principal, role: Role, platform: bool) -> RatchetError | None:
    if principal.tracking_only:
        return Forbidden("This token opens MLflow at /mlflow, and nothing of the API.")
    limit = principal.scope.role
    if limit is None:
        return Forbidden(
            f"A token of scope {principal.scope.value!r} asks endpoints for predictions, and nothing else."
        )
    project = request.path_params.get("project")
    if project is None:
        if (platform or role is Role.ADMIN) and not principal.is_platform_admin:
            return Forbidden("This needs a platform administrator, with a token of scope 'admin'.")
        if not limit.includes(role):
            return Forbidden(f"A token of scope {principal.scope.value!r} does not reach this.")
        return None
    mine = principal.role_in(project)
    if mine is None or (principal.platform_admin and not _principals(request).exists(project)):
        # Not 403: whether another tenant's project exists is nobody's business.
        return NotFound(f"There is no project {project[:80]!r}.", hint="`ratchet projects list` shows yours.")
    if platform and not principal.is_platform_admin:
        return Forbidden("This needs a platform administrator, with a token of scope 'admin'.")
    if not mine.includes(role):
        return Forbidden(
            f"This needs the role {role.value!r} in the project; here you are {mine.value!r}.",
            hint="Either the role in the project or the token's scope is too narrow: `ratchet info` shows both.",
        )
    return None


def _secret(request: Request) -> str:
    scheme, _, secret = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and secret.strip():
        return secret.strip()
    secret = cookie_of(request)
    if not secret:
        raise Unauthorized(
            "This needs a token.",
            hint="Send `Authorization: Bearer <token>`; `ratchet config` shows yours.",
            headers={"WWW-Authenticate": "Bearer"},
        )
    if request.method not in SAFE_METHODS:
        require_same_origin(request)
    return secret


# -- the browser's cookie


def cookie_name(request: Request) -> str:
    """With TLS it has the prefix by which a browser takes it from this very host alone (RFC 6265bis, 4.1.3.2)."""
    return f"__Host-{COOKIE}" if request.app.state.settings.secure_cookies else COOKIE


def cookie_of(request: Request) -> str:
    """The session's secret; empty without one. Only what was made for a cookie is taken from one."""
    secret = request.cookies.get(cookie_name(request), "")
    return secret if secret.startswith(SESSION_PREFIX) else ""


def set_cookie(request: Request, response: Response, secret: str) -> None:
    # Lax, not Strict: a person who comes back from the OpenID provider, or by a link, is signed in.
    response.set_cookie(
        cookie_name(request),
        secret,
        max_age=int(SESSION_FOR.total_seconds()),
        httponly=True,
        samesite="lax",
        secure=request.app.state.settings.secure_cookies,
        path="/",
    )


def clear_cookie(request: Request, response: Response) -> None:
    secure = request.app.state.settings.secure_cookies
    response.delete_cookie(cookie_name(request), path="/", httponly=True, samesite="lax", secure=secure)


def set_login_cookie(request: Request, response: Response, value: str) -> None:
    """What a login at the OpenID provider needs when it comes back, ten minutes at most."""
    secure = request.app.state.settings.secure_cookies
    response.set_cookie(
        LOGIN_COOKIE, value, max_age=600, httponly=True, samesite="lax", secure=secure, path="/api/v1/auth"
    )


def login_cookie_of(request: Request) -> str:
    return request.cookies.get(LOGIN_COOKIE, "")


def clear_login_cookie(request: Request, response: Response) -> None:
    response.delete_cookie(LOGIN_COOKIE, path="/api/v1/auth", httponly=True, samesite="lax")


def require_same_origin(request: Request) -> None:
    """A cookie is sent by the browser whoever asks: only a page of this address may use it to change something."""
    origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site", "same-origin")
    if origin is None or urlsplit(origin).netloc != request.headers.get("host") or site != "same-origin":
        raise Forbidden("The request did not come from a page of this address.", code="cross_origin")


_bearer = Depends(HTTPBearer(auto_error=False, description="A token of `ratchet tokens create`."))
Reader = Annotated[Principal, Depends(_require(Role.VIEWER))]
"""A viewer of the path's project; without a project in the path, whoever is signed in."""
Writer = Annotated[Principal, Depends(_require(Role.EDITOR))]
"""An editor of the path's project; without one, whoever is signed in with more than a token to read."""
Admin = Annotated[Principal, Depends(_require(Role.ADMIN))]
"""An administrator of the path's project; without one, of the platform."""
PlatformAdmin = Annotated[Principal, Depends(_require(Role.ADMIN, platform=True))]
bearer_security = [_bearer]

__all__ = ["Admin", "PlatformAdmin", "Principal", "Reader", "Writer", "authenticate"]
