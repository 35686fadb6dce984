from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, TypeVar

from fastapi import Depends, Request, Response
from pydantic import StringConstraints

from ratchet.auth import Reader, Writer
from ratchet.clients.ports import EngineRefused, EngineUnavailable, Mlflow, RegisteredModel, RegisteredVersion, Run
from ratchet.conditional import IfMatchHeader
from ratchet.db import ReadSession, WriteSession
from ratchet.errors import NotFound, Unavailable
from ratchet.idempotency import IdempotentSession
from ratchet.lists.paging import Page, PageOf, listing
from ratchet.models import service
from ratchet.models.schemas import (
    ALIAS_MOVE_FIELDS,
    MODEL_FIELDS,
    PROMOTION_FIELDS,
    AliasMoveView,
    ModelSummary,
    ModelView,
    NewAlias,
    NewPromotion,
    PromotionView,
    VersionView,
)
from ratchet.routing import Router
from ratchet_pipelines.catalog import suggestion
from ratchet_pipelines.spec import NAME_PATTERN, Alias, RunTag

router = Router(prefix="/projects/{project}/models", tags=["models"])

ModelName = Annotated[str, StringConstraints(pattern=NAME_PATTERN, max_length=63)]
Answer = TypeVar("Answer")
ModelPage = Annotated[Page, Depends(listing(MODEL_FIELDS))]
PromotionPage = Annotated[Page, Depends(listing(PROMOTION_FIELDS))]
AliasMovePage = Annotated[Page, Depends(listing(ALIAS_MOVE_FIELDS))]
MAX_VERSIONS = 200
"""The newest versions are shown, at most this many, each with the metrics of its run."""
CALLS_AT_ONCE = 8


def _mlflow(request: Request) -> Mlflow:
    mlflow: Mlflow = request.app.state.clients.mlflow
    return mlflow


Registry = Annotated[Mlflow, Depends(_mlflow)]


@router.get("")
def list_models(project: str, principal: Reader, mlflow: Registry, page: ModelPage) -> PageOf[ModelSummary]:
    """The registered models of the project, as MLflow has them now."""
    prefix = service.registered_name(project, "")
    models = _ask(lambda: mlflow.list_registered_models(prefix))
    latest = _each(lambda model: mlflow.list_versions(model.name)[:1], models)
    summaries = [
        _summary(model, prefix, versions[0].version if versions else None)
        for model, versions in zip(models, latest, strict=True)
    ]
    items, following = page.take_from(summaries)
    return PageOf(items=items, next_page_token=following)


@router.get("/{model}")
def get_model(project: str, model: ModelName, principal: Reader, mlflow: Registry) -> ModelView:
    """A model with its versions, newest first, as MLflow has them now."""
    prefix = service.registered_name(project, "")
    found = _ask(lambda: mlflow.get_registered_model(prefix + model))
    if found is None:
        names = [each.name.removeprefix(prefix) for each in _ask(lambda: mlflow.list_registered_models(prefix))]
        raise NotFound(
            f"There is no model {model!r} in project {project!r}.{suggestion(model, names)}",
            hint="A job with `model` in its spec registers one.",
        )
    versions = _ask(lambda: mlflow.list_versions(found.name))[:MAX_VERSIONS]
    runs = _each(lambda version: mlflow.get_run(version.run_id) if version.run_id else None, versions)
    summary = _summary(found, prefix, versions[0].version if versions else None)
    views = [_version(version, run, found.aliases) for version, run in zip(versions, runs, strict=True)]
    return ModelView(**summary.model_dump(), versions=views)


@router.post("/{model}/promotions", status_code=202)
def create_promotion(
    project: str,
    model: ModelName,
    body: NewPromotion,
    principal: Writer,
    session: IdempotentSession,
    response: Response,
) -> PromotionView:
    """Ask that an alias move to a version. It is measured beside the version that has the alias, on the same test
    split, and the alias moves when every rule of the gate holds."""
    row = service.request_promotion(
        session, project, model, body.version, body.alias, body.gate, principal.actor, body.move
    )
    response.headers["Location"] = f"/api/v1/projects/{project}/models/{model}/promotions/{row.id}"
    return PromotionView.of(row)


@router.get("/{model}/promotions")
def list_promotions(
    project: str,
    model: ModelName,
    principal: Reader,
    session: ReadSession,
    page: PromotionPage,
    status: str | None = None,
) -> PageOf[PromotionView]:
    query = service.promotions(project, model, status)
    rows, following = page.take(session, query)
    return PageOf(items=[PromotionView.of(row) for row in rows], next_page_token=following)


@router.get("/{model}/promotions/{promotion}")
def get_promotion(
    project: str, model: ModelName, promotion: str, principal: Reader, session: ReadSession
) -> PromotionView:
    return PromotionView.of(service.get_promotion(session, project, model, promotion))


@router.get("/{model}/aliases/{alias}")
def get_alias(project: str, model: ModelName, alias: Alias, principal: Reader, session: ReadSession) -> PromotionView:
    """What was asked of the alias last, and what came of it. Where it points is MLflow's to say: see the model."""
    row = service.last_asked(session, project, model, alias)
    if row is None:
        raise NotFound(f"Nobody has moved an alias {alias!r} of the model {model!r} here.")
    return PromotionView.of(row)


@router.put("/{model}/aliases/{alias}", status_code=202)
def set_alias(
    project: str,
    model: ModelName,
    alias: Alias,
    body: NewAlias,
    principal: Writer,
    session: WriteSession,
    if_match: IfMatchHeader,
    response: Response,
) -> PromotionView:
    """Point an alias to a version; all but `champion`, which moves by a promotion alone."""
    last = partial(service.last_asked, session, project, model, alias)
    if_match.check(session, last(), lambda: PromotionView.of(row) if (row := last()) else None)
    row = service.set_alias(session, project, model, alias, body.version, principal.actor)
    response.headers["Location"] = f"/api/v1/projects/{project}/models/{model}/promotions/{row.id}"
    return PromotionView.of(row)


@router.get("/{model}/alias-moves")
def list_alias_moves(
    project: str,
    model: ModelName,
    principal: Reader,
    session: ReadSession,
    page: AliasMovePage,
    alias: str | None = None,
) -> PageOf[AliasMoveView]:
    """Who moved which alias, when, from what, on what evidence; newest first."""
    rows, following = page.take(session, service.alias_moves(project, model, alias))
    return PageOf(items=[AliasMoveView.of(row) for row in rows], next_page_token=following)


def _summary(model: RegisteredModel, prefix: str, latest: int | None) -> ModelSummary:
    return ModelSummary(
        name=model.name.removeprefix(prefix),
        latest_version=latest,
        aliases=model.aliases,
        description=model.description or None,
    )


def _version(version: RegisteredVersion, run: Run | None, aliases: Mapping[str, int]) -> VersionView:
    created = version.created_at_ms
    metrics = run.metrics if run is not None else {}
    return VersionView(
        version=version.version,
        run_id=version.run_id or None,
        job=run.tags.get(RunTag.JOB) if run is not None else None,
        source=version.source or None,
        metrics={name: value if math.isfinite(value) else None for name, value in metrics.items()},
        created_at=datetime.fromtimestamp(created / 1000, UTC) if created else None,
        aliases=sorted(alias for alias, of in aliases.items() if of == version.version),
    )


Item = TypeVar("Item")


def _each(ask: Callable[[Item], Answer], items: Sequence[Item]) -> list[Answer]:
    with ThreadPoolExecutor(CALLS_AT_ONCE) as pool:
        return _ask(lambda: list(pool.map(ask, items)))


def _ask(call: Callable[[], Answer]) -> Answer:
    try:
        return call()
    except EngineUnavailable as error:
        raise Unavailable(error.message, hint="Try again in a few seconds.") from error
    except EngineRefused as error:
        raise NotFound(f"MLflow: {error.message}") from error


__all__ = ["router"]
