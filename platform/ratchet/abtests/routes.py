from __future__ import annotations

from typing import Annotated

from fastapi import Depends
from sqlalchemy import select

from ratchet.abtests import service
from ratchet.abtests.schemas import ABTEST_FIELDS, ABTestView, NewABTest
from ratchet.abtests.tables import ABTest
from ratchet.auth import Reader, Writer
from ratchet.conditional import IfMatchHeader
from ratchet.db import ReadSession
from ratchet.idempotency import IdempotentSession
from ratchet.lists.paging import Page, PageOf, listing
from ratchet.routing import Router

router = Router(prefix="/projects/{project}/abtests")
ABTestPage = Annotated[Page, Depends(listing(ABTEST_FIELDS))]


@router.post("", status_code=201)
def create_abtest(
    project: str,
    body: NewABTest,
    principal: Writer,
    session: IdempotentSession,
) -> ABTestView:
    test = service.create(session, project=project, new=body, actor=principal.actor)
    session.refresh(test)
    return service.view(session, test)


@router.get("")
def list_abtests(
    project: str,
    principal: Reader,
    session: ReadSession,
    page: ABTestPage,
    endpoint: str | None = None,
    status: str | None = None,
) -> PageOf[ABTestView]:
    query = select(ABTest).where(ABTest.project == project)
    if endpoint:
        query = query.where(ABTest.endpoint == endpoint)
    if status:
        query = query.where(ABTest.status == status)
    rows, following = page.take(session, query)
    return PageOf(items=[service.view(session, row, looks=False) for row in rows], next_page_token=following)


@router.get("/{abtest}")
def get_abtest(project: str, abtest: str, principal: Reader, session: ReadSession) -> ABTestView:
    return service.view(session, service.get(session, project, abtest))


@router.post("/{abtest}:stop")
def stop_abtest(
    project: str, abtest: str, principal: Writer, session: IdempotentSession, if_match: IfMatchHeader
) -> ABTestView:
    """End the test without a verdict; the traffic stays as it is."""
    test = service.get(session, project, abtest)
    if_match.check(session, test, lambda: service.view(session, test))
    service.stop(session, test, actor=principal.actor)
    session.flush()
    return service.view(session, test)
