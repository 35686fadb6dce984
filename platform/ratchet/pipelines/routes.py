from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Response
from sqlalchemy import select

from ratchet.auth import Reader, Writer
from ratchet.conditional import IfMatchHeader
from ratchet.db import ReadSession, WriteSession
from ratchet.idempotency import IdempotentSession
from ratchet.lists.paging import Page, PageOf, listing
from ratchet.pipelines import service
from ratchet.pipelines.schemas import (
    PIPELINE_FIELDS,
    RUN_FIELDS,
    NewPipeline,
    PipelineRunView,
    PipelineSettings,
    PipelineView,
)
from ratchet.pipelines.tables import Pipeline, PipelineRun
from ratchet.routing import Router

router = Router(prefix="/projects/{project}")
PipelinePage = Annotated[Page, Depends(listing(PIPELINE_FIELDS))]
RunPage = Annotated[Page, Depends(listing(RUN_FIELDS))]


@router.post("/pipelines", status_code=201)
def create_pipeline(
    project: str,
    body: NewPipeline,
    principal: Writer,
    session: IdempotentSession,
) -> PipelineView:
    pipeline = service.create(session, project=project, new=body, actor=principal.actor)
    session.refresh(pipeline)
    return service.view(session, pipeline)


@router.get("/pipelines")
def list_pipelines(project: str, principal: Reader, session: ReadSession, page: PipelinePage) -> PageOf[PipelineView]:
    rows, following = page.take(session, select(Pipeline).where(Pipeline.project == project))
    return PageOf(items=[service.view(session, row) for row in rows], next_page_token=following)


@router.get("/pipelines/{pipeline}")
def get_pipeline(project: str, pipeline: str, principal: Reader, session: ReadSession) -> PipelineView:
    return service.view(session, service.get(session, project, pipeline))


@router.put("/pipelines/{pipeline}")
def replace_pipeline(
    project: str,
    pipeline: str,
    body: PipelineSettings,
    principal: Writer,
    session: WriteSession,
    if_match: IfMatchHeader,
) -> PipelineView:
    """All settings anew; what is left out is as it is by default. A run that is under way keeps those it began with."""
    row = service.get(session, project, pipeline)
    if_match.check(session, row, lambda: service.view(session, row))
    return service.view(session, service.replace(session, row, body, actor=principal.actor))


@router.post("/pipelines/{pipeline}:run", status_code=202)
def run_pipeline(
    project: str,
    pipeline: str,
    principal: Writer,
    session: IdempotentSession,
    if_match: IfMatchHeader,
    response: Response,
) -> PipelineRunView:
    row = service.get(session, project, pipeline)
    if_match.check(session, row, lambda: service.view(session, row))
    run = service.start(session, row, trigger_kind="manual", trigger_ref=principal.actor, actor=principal.actor)
    session.refresh(run)
    response.headers["Location"] = f"/api/v1/projects/{project}/pipeline-runs/{run.id}"
    return service.view_run(session, run)


@router.get("/pipeline-runs")
def list_pipeline_runs(
    project: str,
    principal: Reader,
    session: ReadSession,
    page: RunPage,
    pipeline: str | None = None,
    status: str | None = None,
) -> PageOf[PipelineRunView]:
    query = select(PipelineRun).where(PipelineRun.project == project)
    if pipeline:
        query = query.where(PipelineRun.pipeline_id == service.get(session, project, pipeline).id)
    if status:
        query = query.where(PipelineRun.status == status)
    rows, following = page.take(session, query)
    return PageOf(items=[service.view_run(session, row) for row in rows], next_page_token=following)


@router.get("/pipeline-runs/{run}")
def get_pipeline_run(project: str, run: str, principal: Reader, session: ReadSession) -> PipelineRunView:
    return service.view_run(session, service.get_run(session, project, run))


@router.post("/pipeline-runs/{run}:cancel")
def cancel_pipeline_run(
    project: str, run: str, principal: Writer, session: IdempotentSession, if_match: IfMatchHeader
) -> PipelineRunView:
    row = service.get_run(session, project, run)
    if_match.check(session, row, lambda: service.view_run(session, row))
    service.cancel(session, row, actor=principal.actor)
    session.flush()
    return service.view_run(session, row)
