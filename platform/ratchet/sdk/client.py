"""The client: one object, with each part of the API as an attribute."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any

import httpx2

from ratchet.sdk.admin import Events, Projects, Tokens
from ratchet.sdk.collection import Scope
from ratchet.sdk.config import resolve
from ratchet.sdk.endpoints import Endpoints
from ratchet.sdk.errors import NotFound
from ratchet.sdk.jobs import Jobs
from ratchet.sdk.models import Models
from ratchet.sdk.resources import Info, Me, Recipe
from ratchet.sdk.transport import ATTEMPTS, Transport
from ratchet.sdk.watch import ABTests, Monitors, Pipelines


class Client(Scope):
    """Talks to one Ratchet about one project. Safe to share between threads.

    Without arguments it takes `RATCHET_URL`, `RATCHET_TOKEN` (or `RATCHET_TOKEN_FILE`) and `RATCHET_PROJECT`, else the
    stack that `ratchet up` started on this machine. `attempts` is how often a request is made while nobody answers:
    5 wait about 3 seconds in all, 9 about 50.
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        project: str | None = None,
        *,
        token_file: Path | None = None,
        attempts: int = ATTEMPTS,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        self.connection = resolve(url, token, project, token_file)
        super().__init__(Transport(self.connection, transport=transport, attempts=attempts), self.connection.project)
        self._connect()

    def _connect(self) -> None:
        transport, project = self._transport, self._project
        self.jobs = Jobs(transport, project)
        self.models = Models(transport, project)
        self.endpoints = Endpoints(transport, project)
        self.abtests = ABTests(transport, project)
        self.monitors = Monitors(transport, project)
        self.pipelines = Pipelines(transport, project)
        self.projects = Projects(transport, project)
        self.tokens = Tokens(transport, project)
        self.events = Events(transport, project)

    @property
    def project(self) -> str:
        return self._project

    def info(self) -> Info:
        """Version, mode, addresses, and the state of the cluster."""
        return self._get(Info, self._global("info"))

    def me(self) -> Me:
        """Whom the token belongs to and what it may do."""
        return self._get(Me, self._global("me"))

    def recipes(self) -> list[Recipe]:
        """What can be trained, with the JSON schema of each one's parameters."""
        return [Recipe.model_validate(item) for item in self._transport.json("GET", self._global("recipes"))]

    def schema(self, name: str) -> dict[str, Any]:
        """The JSON schema of one of the API's bodies, such as `NewEndpoint`, with what it refers to under `$defs`."""
        schemas: dict[str, Any] = self._transport.json("GET", "/openapi.json")["components"]["schemas"]
        if name not in schemas:
            raise NotFound(f"This server has no schema {name!r}.")
        return bundle(name, schemas)

    def close(self) -> None:
        self._transport.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def bundle(name: str, schemas: dict[str, Any]) -> dict[str, Any]:
    """One schema of an OpenAPI document on its own: its references point into `$defs`, which holds what it needs."""
    needed: dict[str, Any] = {}

    def localised(part: Any) -> Any:
        if isinstance(part, list):
            return [localised(item) for item in part]
        if not isinstance(part, dict):
            return part
        found = {key: localised(value) for key, value in part.items()}
        reference = part.get("$ref")
        if isinstance(reference, str):
            target = reference.rpartition("/")[2]
            found["$ref"] = f"#/$defs/{target}"
            if target not in needed:
                needed[target] = {}
                needed[target] = localised(schemas[target])
        return found

    root = localised(schemas[name])
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **root, **({"$defs": needed} if needed else {})}
