"""MLflow's server for the platform alone: `python -m ratchet_pipelines.tracking_server`.

MLflow knows no login that fits, and whoever reaches its port may do everything. Here every request must carry a secret
that the platform's API and reconciler know; people and jobs come through the API, which says what each may do.
"""

from __future__ import annotations

import argparse
import hmac
import os
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

import uvicorn

PREFIX = "/mlflow"
"""The path under which the API shows it: its pages and its REST API are all below."""
TOKEN_FILE = "RATCHET_MLFLOW_TOKEN_FILE"  # noqa: S105 - its name
OPEN = {"/health", f"{PREFIX}/health"}

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Asgi = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]


class Guarded:
    """An ASGI application behind a bearer token, read from its file anew when a request comes with another one."""

    def __init__(self, app: Asgi, token_file: Path) -> None:
        self._app = app
        self._file = token_file
        self._token = self._read()

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or scope.get("path") in OPEN or self._is_known(scope):
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            headers = [(b"content-type", b"text/plain"), (b"www-authenticate", b"Bearer")]
            await send({"type": "http.response.start", "status": 401, "headers": headers})
            await send({"type": "http.response.body", "body": b"MLflow is reached through the platform's API.\n"})

    def _is_known(self, scope: MutableMapping[str, Any]) -> bool:
        given = dict(scope["headers"]).get(b"authorization", b"").removeprefix(b"Bearer ")
        if hmac.compare_digest(given, self._token):
            return True
        self._token = self._read()  # it may have been rotated
        return hmac.compare_digest(given, self._token)

    def _read(self) -> bytes:
        token = self._file.read_bytes().strip()
        if len(token) < 32:
            raise ValueError(f"{self._file} must hold a secret of at least 32 characters")
        return token


def create_app() -> Guarded:
    """MLflow's application as `main` has configured it in the environment."""
    from mlflow.server.fastapi_app import app

    return Guarded(app, Path(os.environ[TOKEN_FILE]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=5000)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--artifacts", required=True, help="The URI of the folder where files of runs are kept.")
    parser.add_argument("--token-file", default=os.environ.get(TOKEN_FILE), help=f"${TOKEN_FILE} when not given.")
    options = parser.parse_args()
    os.environ.update(_environment(os.environ["MLFLOW_BACKEND_STORE_URI"], options.artifacts))
    os.environ[TOKEN_FILE] = options.token_file
    # By uvicorn itself: `mlflow server` would stay above it and keep some 200 MB for waiting.
    uvicorn.run(
        "ratchet_pipelines.tracking_server:create_app",
        factory=True,
        host=options.host,
        port=options.port,
        workers=options.workers,
        access_log=False,
    )


def _environment(store: str, artifacts: str) -> dict[str, str]:
    """The `_MLFLOW_*` variables are what `mlflow server` hands to its workers (mlflow/server/__init__.py, 3.17.2)."""
    return {
        "_MLFLOW_SERVER_FILE_STORE": store,
        "_MLFLOW_SERVER_REGISTRY_STORE": store,
        "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
        "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
        "_MLFLOW_SERVER_ARTIFACT_DESTINATION": artifacts,
        "_MLFLOW_STATIC_PREFIX": PREFIX,
        "_MLFLOW_SGI_NAME": "uvicorn",
        # It would start eight more processes that nothing here uses.
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        # Its guards against other sites know hosts and origins; who has the secret is no browser.
        "MLFLOW_SERVER_ALLOWED_HOSTS": "*",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
    }


if __name__ == "__main__":
    main()
