"""HTTP for the queue and for quotas."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Request, Response

from ratchet.auth import PlatformAdmin, Reader
from ratchet.conditional import IfMatchHeader, tag_of_view
from ratchet.db import ReadSession, WriteSession
from ratchet.queue import explain, quotas
from ratchet.queue.schemas import NewQuota, QueueView, QuotaView
from ratchet.queue.tables import Quota
from ratchet.routing import Router

router = Router(tags=["queue"])

MostShown = Annotated[int, Query(ge=1, le=1_000)]


@router.get("/projects/{project}/queue")
def get_project_queue(
    project: str, principal: Reader, session: ReadSession, request: Request, limit: MostShown = 100
) -> QueueView:
    """The project's queued jobs in the order of their turns, each with what it waits for and when it will start."""
    return explain.view(session, request.app.state.outlooks, project=project, limit=limit)


@router.get("/queue")
def get_queue(principal: PlatformAdmin, session: ReadSession, request: Request, limit: MostShown = 100) -> QueueView:
    """The queue of all projects."""
    return explain.view(session, request.app.state.outlooks, project=None, limit=limit)


@router.get("/projects/{project}/quota")
def get_quota(project: str, principal: Reader, session: ReadSession, response: Response) -> QuotaView:
    """The project's limits, and what it holds of them. The ETag is of the limits alone."""
    view = quotas.get(session, project)
    response.headers["ETag"] = tag_of_view(view.limits)
    return view


@router.put("/projects/{project}/quota")
def put_quota(
    project: str, body: NewQuota, principal: PlatformAdmin, session: WriteSession, if_match: IfMatchHeader
) -> QuotaView:
    """Set the project's limits, all of them at once. What runs goes on, also above a new limit."""
    if_match.check(session, session.get(Quota, project), lambda: quotas.get(session, project).limits)
    return quotas.put(session, project, body, actor=principal.actor)
