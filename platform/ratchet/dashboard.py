"""The dashboard's files: one page for every address that is not the API's, under a strict Content-Security-Policy."""

from __future__ import annotations

import secrets
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, PlainTextResponse, Response
from fastapi.staticfiles import StaticFiles

from ratchet.errors import NotFound

NONCE = "__CSP_NONCE__"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'nonce-{nonce}'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; frame-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
NOT_PAGES = ("api/", "mlflow/", "assets/")


def mount(app: FastAPI, static: Path) -> None:
    """Last of all routes: it answers every address that nothing else did."""
    index = static / "index.html"
    if (static / "assets").is_dir():
        app.mount("/assets", ImmutableFiles(directory=static / "assets"))

    @app.get("/{path:path}", include_in_schema=False)
    def page(path: str, request: Request) -> Response:
        if path.startswith(NOT_PAGES) or "text/html" not in request.headers.get("accept", ""):
            raise NotFound(f"GET /{path[:200]} is not an address of this API.", hint="The API is described at /docs.")
        if not index.is_file():
            return PlainTextResponse("The dashboard is not built: run `make dashboard`. The API is at /api/v1.\n", 404)
        nonce = secrets.token_urlsafe(16)
        headers = {"Content-Security-Policy": POLICY.format(nonce=nonce), "Cache-Control": "no-cache"}
        return HTMLResponse(index.read_text().replace(NONCE, nonce), headers=headers)


class ImmutableFiles(StaticFiles):
    """Assets carry a hash of their content in their names: a browser need not ask again."""

    def file_response(self, *args: object, **kwargs: object) -> Response:
        response: Response = super().file_response(*args, **kwargs)  # type: ignore[arg-type]
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return response
