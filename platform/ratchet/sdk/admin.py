"""The installation: its projects and its audit log."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from ratchet.sdk.collection import Scope
from ratchet.sdk.modes import Mode, operation, stream
from ratchet.sdk.resources import Event, Project, Verification


class Projects(Scope[Mode]):
    @stream
    def list(
        self, /, *, filter: str | None = None, order_by: str | None = None, limit: int | None = None
    ) -> AsyncIterator[Project]:
        params = {"filter": filter, "order_by": order_by}
        return self._pages(Project, self._global("projects"), params, limit=limit)

    @operation
    async def get(self, name: str) -> Project:
        return await self._get(Project, self._global("projects", name))

    @operation
    async def create(self, /, name: str, **fields: Any) -> Project:
        return await self._post(Project, self._global("projects"), {"name": name, **fields})


class Events(Scope[Mode]):
    @stream
    def list(self, /, *, limit: int | None = None, **filters: Any) -> AsyncIterator[Event]:
        """The project's audit log, newest first."""
        return self._pages(Event, self._address("events"), filters, limit=limit)

    @stream
    def list_all(self, /, *, limit: int | None = None, **filters: Any) -> AsyncIterator[Event]:
        """The audit log of all projects, newest first."""
        return self._pages(Event, self._global("events"), filters, limit=limit)

    @operation
    async def verify(self, anchor: str = "") -> Verification:
        """Checks the whole chain of hashes over the audit log, and that it still has the `anchor` of an earlier check.

        The answer names the first entry at which the chain does not hold; its own `anchor` is to be kept elsewhere.
        """
        address = self._global("events:verify")
        if anchor:
            kept = await self._get(Verification, address, {"after": anchor, "limit": 1})
            if not kept.ok:
                return kept
        checked = backdated = 0
        found = Verification(ok=True)
        while found.ok and not found.complete:
            found = await self._get(Verification, address, {"after": found.anchor or None})
            checked, backdated = checked + found.checked, backdated + found.backdated
        return found.model_copy(update={"checked": checked, "backdated": backdated})
