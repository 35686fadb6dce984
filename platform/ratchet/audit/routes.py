"""HTTP for the audit log."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Query

from ratchet.audit import service
from ratchet.audit.chain import Anchor
from ratchet.audit.schemas import VerificationView
from ratchet.auth import Admin, Reader
from ratchet.db import ReadSession
from ratchet.errors import FieldError, Invalid
from ratchet.events import EVENT_FIELDS, EventView
from ratchet.lists.paging import Page, PageOf, listing
from ratchet.routing import Router

router = Router(tags=["events"])
EventPage = Annotated[Page, Depends(listing(EVENT_FIELDS))]

MAX_LINKS = 20_000
"""Checked in one request: about half a second."""


@router.get("/projects/{project}/events")
def list_events(
    project: str,
    principal: Reader,
    session: ReadSession,
    page: EventPage,
    target: str | None = None,
    action: str | None = None,
) -> PageOf[EventView]:
    """The audit log, newest first; `target` is an id, `action` a verb such as `job.submitted`."""
    query = service.listed(project=project, target=target, action=action)
    rows, following = page.take(session, query)
    return PageOf(items=[EventView.of(row) for row in rows], next_page_token=following)


@router.get("/events")
def list_all_events(
    principal: Admin, session: ReadSession, page: EventPage, target: str | None = None, action: str | None = None
) -> PageOf[EventView]:
    """The audit log of all projects, newest first."""
    rows, following = page.take(session, service.listed(target=target, action=action))
    return PageOf(items=[EventView.of(row) for row in rows], next_page_token=following)


@router.get("/events:verify")
def verify_events(
    principal: Admin,
    session: ReadSession,
    after: Annotated[str, Query(max_length=100, description="An anchor, `<seq>:<hash>`.")] = "",
    limit: Annotated[int, Query(ge=1, le=MAX_LINKS)] = MAX_LINKS,
) -> VerificationView:
    """Check a stretch of the chain of hashes over the audit log, and name the first entry at which it does not hold.

    Call it with the `anchor` of each answer until it is `complete`. An anchor that was kept elsewhere also shows
    whether the end of the log was cut off and the chain made anew.
    """
    try:
        anchor = Anchor.parse(after) if after else Anchor()
    except ValueError as error:
        raise Invalid(
            "The anchor is not valid.", errors=[FieldError(pointer="/query/after", message=str(error), value=after)]
        ) from error
    return service.verify(session, anchor, limit)
