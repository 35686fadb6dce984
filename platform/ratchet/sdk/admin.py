"""The installation and who may use it: projects, tokens, the audit log."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ratchet.sdk.collection import Scope
from ratchet.sdk.resources import Event, Project, Token


class Projects(Scope):
    def list(self) -> Iterator[Project]:
        return self._pages(Project, self._global("projects"))

    def get(self, name: str) -> Project:
        return self._get(Project, self._global("projects", name))

    def create(self, name: str, **fields: Any) -> Project:
        return self._post(Project, self._global("projects"), {"name": name, **fields}, repeatable=False)


class Tokens(Scope):
    def list(self) -> Iterator[Token]:
        return self._pages(Token, self._address("tokens"))

    def create(self, name: str, scope: str, *, expires_in_days: int | None = None) -> Token:
        """A new token; `scope` is `admin`, `write`, `read` or `predict`. Its secret is in this answer alone."""
        body: dict[str, Any] = {"name": name, "scope": scope}
        if expires_in_days is not None:
            body["expires_in_days"] = expires_in_days
        return self._post(Token, self._address("tokens"), body, repeatable=False)

    def revoke(self, id: str) -> None:
        self._transport.request("DELETE", self._address("tokens", id))


class Events(Scope):
    def list(self, **filters: Any) -> Iterator[Event]:
        """The project's audit log, newest first."""
        return self._pages(Event, self._address("events"), filters)
