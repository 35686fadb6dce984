from __future__ import annotations

from typing import Any

from fastapi import Request
from fastapi.responses import JSONResponse

from ratchet.auth import Writer
from ratchet.db import WriteSession
from ratchet.documents import service
from ratchet.documents.jsonschema import any_schema, schema
from ratchet.documents.kinds import JOBS, MODELS
from ratchet.documents.schemas import DocumentPlans, Documents, KindView
from ratchet.errors import NotFound
from ratchet.routing import Router
from ratchet.settings import Settings
from ratchet_pipelines.catalog import suggestion

router = Router(tags=["documents"])
schemas = Router(prefix="/schemas", tags=["documents"])
"""Open to anyone: they hold no secret, and an editor has no token."""

ANY = "any"
"""The schema of a file that may hold every kind."""


@router.post("/projects/{project}/documents:plan")
def plan_documents(
    project: str, body: Documents, principal: Writer, session: WriteSession, request: Request
) -> DocumentPlans:
    """What applying documents would create or change, after all the checks of doing it; nothing is kept.

    They are of the kinds that `/schemas` lists; a job is planned by `jobs:plan`.
    """
    settings: Settings = request.app.state.settings
    plans = service.plan(session, project=project, documents=body.documents, actor=principal.actor, settings=settings)
    return DocumentPlans(items=plans)


@schemas.get("")
def list_schemas() -> list[KindView]:
    """The kinds of documents that there are."""
    return [
        KindView(kind=kind, job=kind in JOBS, summary=_summary(model.__doc__), schema_url=f"/schemas/{kind}.json")
        for kind, model in MODELS.items()
    ]


@schemas.get("/{kind}.json", response_model=dict[str, Any])
def get_schema(kind: str) -> JSONResponse:
    """The JSON schema (draft 07) of a kind of document; of `any`, of a file that may hold every kind."""
    if kind != ANY and kind not in MODELS:
        kinds = [*MODELS, ANY]
        raise NotFound(
            f"There is no schema {kind[:80]!r}.{suggestion(kind, kinds)}", hint=f"Kinds: {', '.join(kinds)}."
        )
    found = any_schema() if kind == ANY else schema(kind)
    return JSONResponse(found, headers={"Cache-Control": "public, max-age=300"})


def _summary(text: str | None) -> str:
    return " ".join((text or "").partition("\n\n")[0].split())
