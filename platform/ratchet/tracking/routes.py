"""MLflow's UI and REST API at `/mlflow`: one address and one login for people, for jobs and for plain `mlflow` clients.

MLflow itself listens where only this process and the reconciler are let in. It knows no projects: `rules` and `access`
say what a caller may do. A platform administrator's token opens all of it.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import httpx2
from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import JSONResponse, RedirectResponse, StreamingResponse
from starlette.responses import Response

from ratchet.auth import Principal, authenticate, while_allowed
from ratchet.errors import TooLarge, Unavailable
from ratchet.identity.roles import Role
from ratchet.tracking import access, graphql, rules
from ratchet.tracking.access import Refusal
from ratchet.tracking.owners import Owners
from ratchet.tracking.rules import Call, Rule

router = APIRouter()

# `host` and `origin` would be those of this API; the token is ours.
NOT_FORWARDED = {
    *("host", "authorization", "cookie", "origin", "referer", "connection", "content-length", "accept-encoding"),
    *("content-encoding", "transfer-encoding", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"),
}
NOT_RETURNED = {
    "connection",
    "transfer-encoding",
    "content-encoding",
    "content-length",
    "keep-alive",
    "set-cookie",
    "x-frame-options",
}
TIMEOUT = httpx2.Timeout(60, connect=5)
Params = list[tuple[str, str | int | float | bool | None]]
MAX_JSON_BYTES = 8 * 1024 * 1024
"""MLflow takes a batch of at most 1 MB; a model's description may be larger."""


@asynccontextmanager
async def upstream(app: FastAPI) -> AsyncIterator[None]:
    """The connections to MLflow, open while the application runs.

    `mlflow_url` ends with /mlflow, the prefix under which all its pages and its REST API are.
    """
    settings = app.state.settings

    async def sign(request: httpx2.Request) -> None:
        request.headers["Authorization"] = f"Bearer {settings.read_mlflow_token()}"

    async with httpx2.AsyncClient(
        base_url=settings.mlflow_url, timeout=TIMEOUT, trust_env=False, event_hooks={"request": [sign]}
    ) as client:
        app.state.mlflow_upstream = client
        app.state.mlflow_owners = Owners(client)
        yield


@router.get("/mlflow", include_in_schema=False)
def add_slash() -> RedirectResponse:
    return RedirectResponse("/mlflow/")


@router.api_route(
    "/mlflow/{path:path}", methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"], include_in_schema=False
)
async def forward(path: str, request: Request) -> Response:
    principal = await authenticate(request)
    if principal.is_platform_admin:
        return await _forward(
            request, path, params=list(request.query_params.multi_items()), content=_stream_of(request)
        )
    refusal = access.forbidden(f"{request.method} /mlflow/{path[:200]} is not for this token.")
    if principal.scope.role is None or "%" in path or "\\" in path:
        return _answer(refusal)
    if (request.method, path) == ("POST", "graphql"):
        return await _ask_graphql(request, principal)
    found = rules.find("GET" if request.method == "HEAD" else request.method, path)
    return _answer(refusal) if found is None else await _judge(request, principal, path, *found)


async def _judge(request: Request, principal: Principal, path: str, rule: Rule, values: dict[str, str]) -> Response:
    """What is sent on is what was judged, and nothing beside it: of a GET the query, of others the body."""
    params: Params = []
    content: AsyncIterator[bytes] | bytes | None = None
    fields: dict[str, Any] = {}
    if request.method in ("GET", "HEAD") or rule.streams:
        given = request.query_params.multi_items()
        params = list(given)
        for name, value in given:
            fields.setdefault(name, []).append(value)
        content = _stream_of(request) if rule.streams else None
    else:
        fields = await _json_of(request)
        content = json.dumps(fields).encode()
    refusal = None if rule.free else await access.check(principal, rule, Call(values, fields), _owners(request))
    if refusal is not None:
        return _answer(refusal)
    return await _forward(request, path, params=params, content=content, principal=principal, rule=rule)


async def _ask_graphql(request: Request, principal: Principal) -> Response:
    body = await _json_of(request)
    subjects = graphql.subjects(body)
    if subjects is None:
        return _answer(access.forbidden("This query is for platform administrators alone."))
    refusal = await access.check_subjects(principal, Role.VIEWER, subjects, _owners(request))
    if refusal is not None:
        return _answer(refusal)
    return await _forward(request, "graphql", params=[], content=json.dumps(body).encode())


async def _forward(
    request: Request,
    path: str,
    *,
    params: Params,
    content: AsyncIterator[bytes] | bytes | None,
    principal: Principal | None = None,
    rule: Rule | None = None,
) -> Response:
    client: httpx2.AsyncClient = request.app.state.mlflow_upstream
    headers = {name: value for name, value in request.headers.items() if name not in NOT_FORWARDED}
    if isinstance(content, bytes):
        headers["content-type"] = "application/json"
    elif request.headers.get("content-length") and content is not None:
        headers["content-length"] = request.headers["content-length"]
    outgoing = client.build_request(
        request.method, "/" + quote(path, safe="/:@!$&'()*+,;=~"), params=params, headers=headers, content=content
    )
    try:
        answer = await client.send(outgoing, stream=True)
        kept = {name: value for name, value in answer.headers.items() if name.lower() not in NOT_RETURNED}
        if "artifact" in path:
            # A page that somebody logged as a file runs nothing under this address, where others are signed in.
            kept["content-security-policy"] = "sandbox"
        if principal is not None and rule is not None and rule.filters and answer.status_code == 200:
            body = await answer.aread()
            await answer.aclose()
            return Response(access.filtered(principal, rule, body), 200, headers=kept)
    except httpx2.TransportError as error:
        raise Unavailable("MLflow does not answer.", hint="`ratchet status` shows whether it runs.") from error
    return StreamingResponse(while_allowed(request, _body(answer)), answer.status_code, headers=kept)


async def _body(answer: httpx2.Response) -> AsyncIterator[bytes]:
    try:
        async for chunk in answer.aiter_bytes():
            yield chunk
    finally:
        await answer.aclose()


def _stream_of(request: Request) -> AsyncIterator[bytes] | None:
    return request.stream() if request.method in {"POST", "PUT", "PATCH", "DELETE"} else None


async def _json_of(request: Request) -> dict[str, Any]:
    """The body, a JSON object; an empty one for none. MLflow takes nothing else where it takes JSON."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_JSON_BYTES:
            raise TooLarge(f"The body is larger than {MAX_JSON_BYTES:,} bytes.", headers={"Connection": "close"})
    try:
        parsed = json.loads(body or b"{}")
    except (ValueError, RecursionError):
        parsed = None
    if not isinstance(parsed, dict):
        return {}
    return parsed


def _owners(request: Request) -> Owners:
    owners: Owners = request.app.state.mlflow_owners
    return owners


def _answer(refusal: Refusal) -> JSONResponse:
    return JSONResponse({"error_code": refusal.code, "message": refusal.message}, refusal.status)
