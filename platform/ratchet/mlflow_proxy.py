"""MLflow's UI and REST API at `/mlflow`: one address and one login for people and for plain `mlflow` clients.

MLflow itself listens where only this process and the jobs reach it. It knows no projects, so that a token limited to
one project is refused here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import RedirectResponse, StreamingResponse
from starlette.responses import Response

from ratchet.auth import Principal, authenticate
from ratchet.errors import Forbidden, Unavailable
from ratchet.identity.roles import Scope

router = APIRouter()

# `host` and `origin` would be those of this API, which MLflow's DNS-rebinding guard does not know; the token is ours.
NOT_FORWARDED = {
    "host",
    "authorization",
    "cookie",
    "origin",
    "referer",
    "connection",
    "content-length",
    "accept-encoding",
}
NOT_RETURNED = {"connection", "transfer-encoding", "content-encoding", "content-length", "keep-alive"}
TIMEOUT = httpx2.Timeout(60, connect=5)


@asynccontextmanager
async def upstream(app: FastAPI) -> AsyncIterator[None]:
    """The connections to MLflow, open while the application runs.

    `mlflow_url` ends with /mlflow: the server runs with `--static-prefix=/mlflow`, under which all its pages and its
    REST API then are (mlflow/server/handlers.py, `_add_static_prefix`, 3.17.2).
    """
    async with httpx2.AsyncClient(base_url=app.state.settings.mlflow_url, timeout=TIMEOUT) as client:
        app.state.mlflow_upstream = client
        yield


@router.get("/mlflow", include_in_schema=False)
def add_slash() -> RedirectResponse:
    return RedirectResponse("/mlflow/")


@router.api_route(
    "/mlflow/{path:path}", methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"], include_in_schema=False
)
async def forward(path: str, request: Request) -> Response:
    principal = await authenticate(request)
    _check(principal, request.method, path)
    client: httpx2.AsyncClient = request.app.state.mlflow_upstream
    headers = {name: value for name, value in request.headers.items() if name not in NOT_FORWARDED}
    if request.headers.get("content-length"):
        headers["content-length"] = request.headers["content-length"]
    body = request.stream() if request.method in {"POST", "PUT", "PATCH"} else None
    outgoing = client.build_request(
        request.method, f"/{path}", params=request.query_params, headers=headers, content=body
    )
    try:
        answer = await client.send(outgoing, stream=True)
    except httpx2.TransportError as error:
        raise Unavailable("MLflow does not answer.", hint="`ratchet status` shows whether it runs.") from error
    kept = {name: value for name, value in answer.headers.items() if name.lower() not in NOT_RETURNED}
    return StreamingResponse(_body(answer), answer.status_code, headers=kept)


async def _body(answer: httpx2.Response) -> AsyncIterator[bytes]:
    try:
        async for chunk in answer.aiter_bytes():
            yield chunk
    finally:
        await answer.aclose()


def _check(principal: Principal, method: str, path: str) -> None:
    reads = method in {"GET", "HEAD"} or path.rstrip("/").endswith(("search", "get-history-bulk-interval", "graphql"))
    if not principal.scope.includes(Scope.READ if reads else Scope.WRITE):
        raise Forbidden(f"The scope {principal.scope.value!r} does not allow {method} /mlflow/{path[:100]}.")
    if not principal.platform_admin or principal.project is not None:
        raise Forbidden(
            "MLflow shows all projects, and this token does not open all.",
            hint="Use the project's jobs and models through /api/v1, or an administrator's token.",
        )
