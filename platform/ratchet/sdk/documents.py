"""Documents: what should be, as a file says it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from ratchet.sdk.collection import Scope
from ratchet.sdk.modes import Mode, operation
from ratchet.sdk.resources import DocumentPlan, Kind


class Documents(Scope[Mode]):
    """A document is a mapping with a `kind` (`endpoint`, `monitor` …) and what it has; jobs have calls of their own."""

    @operation
    async def kinds(self) -> list[Kind]:
        """The kinds that there are, those of jobs among them."""
        return [Kind.model_validate(item) for item in await self._transport.json("GET", "/schemas")]

    @operation
    async def schema(self, kind: str) -> dict[str, Any]:
        """The JSON schema (draft 07) of a kind; of `any`, of a file that may hold every kind."""
        found: dict[str, Any] = await self._transport.json("GET", f"/schemas/{quote(kind, safe='')}.json")
        return found

    @operation
    async def plan(self, *documents: Mapping[str, Any]) -> list[DocumentPlan]:
        """What applying the documents in this order would do, after the same checks, with nothing done."""
        body = {"documents": [dict(document) for document in documents]}
        answer = await self._transport.json("POST", self._address("documents:plan"), json=body)
        return [DocumentPlan.model_validate(item) for item in answer["items"]]

    @operation
    async def apply(self, document: Mapping[str, Any] | DocumentPlan) -> dict[str, Any]:
        """Makes what the document, or its plan, says, and gives it as it is then; `{}` where there is nothing to do.

        `Conflict` when what the plan was made from was changed meanwhile.
        """
        plan = document if isinstance(document, DocumentPlan) else (await self.plan(document))[0]
        if plan.request is None:
            return {}
        asked = plan.request
        headers = {"If-Match": asked.if_match} if asked.if_match else {}
        answer: dict[str, Any] = await self._transport.json(asked.method, asked.path, json=asked.body, headers=headers)
        return answer
