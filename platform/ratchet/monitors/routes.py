from __future__ import annotations

from typing import Annotated

import fsspec
from fastapi import Depends, Request, Response
from sqlalchemy import select

from ratchet.auth import Reader, Writer
from ratchet.conditional import IfMatchHeader
from ratchet.db import ReadSession, WriteSession, now
from ratchet.errors import NotFound
from ratchet.idempotency import IdempotentSession
from ratchet.lists.paging import Page, PageOf, listing
from ratchet.monitors import service
from ratchet.monitors.schemas import (
    ALERT_FIELDS,
    CHECK_FIELDS,
    MONITOR_FIELDS,
    AlertView,
    CheckView,
    MonitorSettings,
    MonitorView,
    NewMonitor,
)
from ratchet.monitors.status import MonitorStatus
from ratchet.monitors.tables import Alert, Check, Monitor
from ratchet.routing import Router

router = Router(prefix="/projects/{project}")
MonitorPage = Annotated[Page, Depends(listing(MONITOR_FIELDS))]
CheckPage = Annotated[Page, Depends(listing(CHECK_FIELDS))]
AlertPage = Annotated[Page, Depends(listing(ALERT_FIELDS))]


@router.post("/monitors", status_code=201)
def create_monitor(
    project: str,
    body: NewMonitor,
    principal: Writer,
    session: IdempotentSession,
) -> MonitorView:
    monitor = service.create(session, project=project, new=body, actor=principal.actor)
    session.refresh(monitor)
    return service.view(session, monitor)


@router.get("/monitors")
def list_monitors(project: str, principal: Reader, session: ReadSession, page: MonitorPage) -> PageOf[MonitorView]:
    rows, following = page.take(session, select(Monitor).where(Monitor.project == project))
    return PageOf(items=[service.view(session, row) for row in rows], next_page_token=following)


@router.get("/monitors/{monitor}")
def get_monitor(project: str, monitor: str, principal: Reader, session: ReadSession) -> MonitorView:
    return service.view(session, service.get(session, project, monitor))


@router.put("/monitors/{monitor}")
def replace_monitor(
    project: str,
    monitor: str,
    body: MonitorSettings,
    principal: Writer,
    session: WriteSession,
    if_match: IfMatchHeader,
) -> MonitorView:
    """All settings anew; what is left out is as it is by default."""
    row = service.get(session, project, monitor)
    if_match.check(session, row, lambda: service.view(session, row))
    return service.view(session, service.replace(session, row, body, actor=principal.actor))


@router.post("/monitors/{monitor}:check", status_code=202)
def check_now(
    project: str,
    monitor: str,
    principal: Writer,
    session: IdempotentSession,
    if_match: IfMatchHeader,
    request: Request,
    response: Response,
) -> CheckView:
    """Check now, beside the schedule."""
    row = service.get(session, project, monitor)
    if_match.check(session, row, lambda: service.view(session, row))
    storage = request.app.state.settings.storage
    moment = now(session)
    check = service.start_check(session, row, storage=storage, scheduled_for=moment, actor=principal.actor)
    session.refresh(check)
    response.headers["Location"] = f"/api/v1/projects/{project}/checks/{check.id}"
    return service.view_check(row, check)


@router.post("/monitors/{monitor}:pause")
def pause_monitor(
    project: str, monitor: str, principal: Writer, session: IdempotentSession, if_match: IfMatchHeader
) -> MonitorView:
    row = service.get(session, project, monitor)
    if_match.check(session, row, lambda: service.view(session, row))
    service.set_status(session, row, MonitorStatus.PAUSED, actor=principal.actor)
    return service.view(session, row)


@router.post("/monitors/{monitor}:resume")
def resume_monitor(
    project: str, monitor: str, principal: Writer, session: IdempotentSession, if_match: IfMatchHeader
) -> MonitorView:
    row = service.get(session, project, monitor)
    if_match.check(session, row, lambda: service.view(session, row))
    service.set_status(session, row, MonitorStatus.ACTIVE, actor=principal.actor)
    return service.view(session, row)


@router.get("/monitors/{monitor}/checks")
def list_checks(
    project: str, monitor: str, principal: Reader, session: ReadSession, page: CheckPage
) -> PageOf[CheckView]:
    row = service.get(session, project, monitor)
    checks, following = page.take(session, select(Check).where(Check.monitor_id == row.id))
    return PageOf(items=[service.view_check(row, check) for check in checks], next_page_token=following)


@router.get("/checks/{check}")
def get_check(project: str, check: str, principal: Reader, session: ReadSession) -> CheckView:
    row = service.get_check(session, project, check)
    return service.view_check(session.get_one(Monitor, row.monitor_id), row)


@router.get("/checks/{check}/report", response_class=Response)
def get_check_report(project: str, check: str, principal: Reader, session: ReadSession) -> Response:
    """Evidently's HTML report. Its scripts run in a sandbox of their own, without the dashboard's session."""
    row = service.get_check(session, project, check)
    session.close()
    try:
        with fsspec.open(row.report, "rb") as file:
            html = file.read()
    except FileNotFoundError as error:
        raise NotFound(f"Check {check!r} has no report: {row.message or row.status}.") from error
    return Response(html, media_type="text/html", headers={"Content-Security-Policy": "sandbox allow-scripts"})


@router.get("/monitors/{monitor}/alerts")
def list_alerts(
    project: str, monitor: str, principal: Reader, session: ReadSession, page: AlertPage
) -> PageOf[AlertView]:
    row = service.get(session, project, monitor)
    alerts, following = page.take(session, select(Alert).where(Alert.monitor_id == row.id))
    return PageOf(items=[service.view_alert(row, alert) for alert in alerts], next_page_token=following)
