"""Whether this process lives, whether it can serve, its metrics, and what a client should know of this platform."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import Literal

from alembic.script import ScriptDirectory
from fastapi import Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from ratchet import __version__, state_metrics
from ratchet.auth import Reader
from ratchet.db import MIGRATIONS, ReadSession
from ratchet.errors import Unavailable
from ratchet.jobs.tables import Cluster
from ratchet.reconciler import heartbeat
from ratchet.routing import Router
from ratchet_pipelines.catalog import RECIPES

router = Router()


class ClusterView(BaseModel):
    """The room of the Ray cluster, as last seen."""

    status: str
    cpus: float
    gpus: float
    memory_bytes: int
    last_seen_at: datetime | None


class Urls(BaseModel):
    mlflow: str
    serving: str


class Info(BaseModel):
    version: str
    urls: Urls
    cluster: ClusterView | None


class ReadinessCheck(BaseModel):
    name: str
    ok: bool
    message: str


class Readiness(BaseModel):
    status: Literal["ok", "degraded"]
    checks: list[ReadinessCheck]


class RecipeView(BaseModel):
    name: str
    summary: str
    params_schema: dict[str, object]


@router.get("/healthz")
def healthz() -> dict[str, str]:
    return {"status": "ok"}


@router.get("/readyz")
def readyz(session: ReadSession) -> Readiness:
    """Whether requests can be served. Without a reconciler they can, and what they ask for is not done: degraded."""
    checks = [_schema(session), _reconciler(session)]
    if not checks[0].ok:
        raise Unavailable(f"Not ready: {checks[0].message}", hint="Run `python -m ratchet.migrate`.")
    return Readiness(status="ok" if all(check.ok for check in checks) else "degraded", checks=checks)


@router.get("/metrics", include_in_schema=False)
def metrics(session: ReadSession) -> Response:
    content = generate_latest() + generate_latest(state_metrics.registry(session))
    return Response(content, media_type=CONTENT_TYPE_LATEST)


@router.get("/api/v1/info")
def info(principal: Reader, request: Request, session: ReadSession) -> Info:
    settings = request.app.state.settings
    row = session.scalar(select(Cluster).limit(1))
    cluster = (
        ClusterView(
            status=row.status,
            cpus=row.cpus,
            gpus=row.gpus,
            memory_bytes=row.memory_bytes,
            last_seen_at=row.last_seen_at,
        )
        if row
        else None
    )
    urls = Urls(mlflow=f"{settings.public}/mlflow", serving=settings.serving)
    return Info(version=__version__, urls=urls, cluster=cluster)


@router.get("/api/v1/recipes")
def list_recipes(principal: Reader) -> list[RecipeView]:
    return [
        RecipeView(name=recipe.name, summary=recipe.summary, params_schema=recipe.params.model_json_schema())
        for recipe in RECIPES.values()
    ]


@cache
def _revisions() -> list[str]:
    """Those that this version knows, newest first."""
    return [revision.revision for revision in ScriptDirectory(str(MIGRATIONS)).walk_revisions()]


def _schema(session: Session) -> ReadinessCheck:
    """The database answers, and its schema is this version's or a newer one's: those only add."""
    current = session.scalar(text("SELECT version_num FROM alembic_version"))
    known = _revisions()
    behind = current in known[1:]
    needs = f", this version needs {known[0]}" if behind else ""
    return ReadinessCheck(name="schema", ok=not behind, message=f"The schema is at {current}{needs}.")


def _reconciler(session: Session) -> ReadinessCheck:
    living = heartbeat.living(session)
    message = f"{len(living)} live." if living else "None has been heard of lately: jobs stay queued until one runs."
    return ReadinessCheck(name="reconciler", ok=bool(living), message=message)
