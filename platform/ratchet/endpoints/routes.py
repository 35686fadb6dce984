from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fastapi import Depends, Query, Request, Response
from sqlalchemy.orm import Session

from ratchet.auth import Reader, Writer
from ratchet.conditional import IfMatchHeader
from ratchet.db import ReadSession, WriteSession, read_only
from ratchet.endpoints import predictions, service
from ratchet.endpoints.schemas import (
    ENDPOINT_FIELDS,
    EndpointUpdate,
    EndpointView,
    NewEndpoint,
    Outcomes,
    Predictions,
    Receipt,
    Traffic,
    TrafficPoint,
)
from ratchet.endpoints.tables import Endpoint
from ratchet.errors import Unavailable
from ratchet.idempotency import IdempotentSession
from ratchet.lists.paging import Page, PageOf, listing
from ratchet.routing import Router
from ratchet.settings import Settings

router = Router(prefix="/projects/{project}/endpoints", tags=["endpoints"])
EndpointPage = Annotated[Page, Depends(listing(ENDPOINT_FIELDS))]

MAX_PREDICTIONS = 1_000
DEFAULT_WINDOW_S = 3_600


@router.post("", status_code=202)
def create_endpoint(
    project: str,
    body: NewEndpoint,
    principal: Writer,
    session: IdempotentSession,
    request: Request,
    response: Response,
) -> EndpointView:
    """Deploy models under a name. Follow it with GET until `status` is `ready`."""
    row = service.create(session, project, body, principal.actor)
    response.headers["Location"] = f"/api/v1/projects/{project}/endpoints/{row.name}"
    return _view(request, session, row)


@router.get("")
def list_endpoints(
    project: str,
    principal: Reader,
    session: ReadSession,
    page: EndpointPage,
    request: Request,
    status: str | None = None,
) -> PageOf[EndpointView]:
    rows, following = page.take(session, service.endpoints(project, status))
    return PageOf(items=[EndpointView.of(row, _serving(request)) for row in rows], next_page_token=following)


@router.get("/{endpoint}")
def get_endpoint(
    project: str, endpoint: str, principal: Reader, session: ReadSession, request: Request
) -> EndpointView:
    return EndpointView.of(service.get(session, project, endpoint), _serving(request))


@router.put("/{endpoint}", status_code=202)
def update_endpoint(
    project: str,
    endpoint: str,
    body: EndpointUpdate,
    principal: Writer,
    session: WriteSession,
    if_match: IfMatchHeader,
    request: Request,
) -> EndpointView:
    """Replace the variants and their weights. What serves goes on serving until the new ones are loaded and tried."""
    row = service.get(session, project, endpoint)
    if_match.check(session, row, lambda: EndpointView.of(row, _serving(request)))
    service.replace_variants(session, row, body.variants, principal.actor, replicas=body.replicas)
    return _view(request, session, row)


@router.delete("/{endpoint}", status_code=202)
def delete_endpoint(
    project: str,
    endpoint: str,
    principal: Writer,
    session: WriteSession,
    if_match: IfMatchHeader,
    request: Request,
) -> EndpointView:
    """Serve it no more. Its prediction log stays in storage; its outcomes go."""
    row = service.get(session, project, endpoint)
    if_match.check(session, row, lambda: EndpointView.of(row, _serving(request)))
    service.delete(session, row, principal.actor)
    return _view(request, session, row)


@router.post("/{endpoint}/outcomes")
def record_outcomes(
    project: str, endpoint: str, body: Outcomes, principal: Writer, session: IdempotentSession
) -> Receipt:
    """What came true, by request id and row. Sent again it counts once; a value that differs is a conflict."""
    return service.record_outcomes(session, service.get(session, project, endpoint), body.outcomes)


@router.get("/{endpoint}/predictions")
def list_predictions(
    project: str,
    endpoint: str,
    principal: Reader,
    request: Request,
    limit: Annotated[int, Query(ge=1, le=MAX_PREDICTIONS)] = 100,
) -> Predictions:
    """The newest rows of the prediction log, with their outcomes."""
    _require(request, project, endpoint)
    try:
        rows = predictions.newest(_settings(request).storage, project, endpoint, limit)
    except OSError as error:
        raise _unreadable(error) from error
    with read_only(request.app.state.sessions) as session:
        row = service.get(session, project, endpoint)
        outcomes = service.outcomes_of(session, row, [(each["request_id"], each["row"]) for each in rows])
    items: list[dict[str, Any]] = [
        {**each, "outcome": outcomes.get((each["request_id"], each["row"]))} for each in rows
    ]
    return Predictions(items=items)


@router.get("/{endpoint}/traffic")
def get_traffic(
    project: str,
    endpoint: str,
    principal: Reader,
    request: Request,
    window_s: Annotated[int, Query(ge=60, le=86_400, description="The last so many seconds.")] = DEFAULT_WINDOW_S,
) -> Traffic:
    """Requests by variant and minute."""
    _require(request, project, endpoint)
    until = datetime.now(UTC)
    since = until - timedelta(seconds=window_s)
    try:
        points, truncated = predictions.traffic(_settings(request).storage, project, endpoint, since, until)
    except OSError as error:
        raise _unreadable(error) from error
    items = [TrafficPoint.model_validate(point) for point in points]
    return Traffic(items=items, since=since, until=until, truncated=truncated)


def _view(request: Request, session: Session, row: Endpoint) -> EndpointView:
    session.flush()
    session.refresh(row)
    return EndpointView.of(row, _serving(request))


def _require(request: Request, project: str, endpoint: str) -> None:
    with read_only(request.app.state.sessions) as session:
        service.get(session, project, endpoint)


def _settings(request: Request) -> Settings:
    settings: Settings = request.app.state.settings
    return settings


def _serving(request: Request) -> str:
    return _settings(request).serving


def _unreadable(error: OSError) -> Unavailable:
    return Unavailable(f"The prediction log can't be read: {type(error).__name__}.", hint="Is the storage reachable?")
