"""Whether this process lives, whether it can serve, its metrics, and what a client should know of this platform."""

from __future__ import annotations

from datetime import datetime

from fastapi import Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel
from sqlalchemy import select, text

from ratchet import __version__
from ratchet.auth import Reader
from ratchet.db import ReadSession
from ratchet.jobs.tables import Cluster
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


class RecipeView(BaseModel):
    name: str
    summary: str
    params_schema: dict[str, object]


@router.get("/healthz")
def healthz() -> dict[str, str]:
    return {"status": "ok"}


@router.get("/readyz")
def readyz(session: ReadSession) -> dict[str, str]:
    session.execute(text("SELECT 1"))
    return {"status": "ok"}


@router.get("/metrics", include_in_schema=False)
def metrics() -> Response:
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


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
