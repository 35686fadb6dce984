from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from ratchet import events
from ratchet.cron import next_tick
from ratchet.db import new_id, now
from ratchet.endpoints import service as endpoints
from ratchet.errors import Conflict, NotFound
from ratchet.monitors.schemas import AlertView, CheckView, MonitorSettings, MonitorView, NewMonitor
from ratchet.monitors.status import CHECK_MOVES, CheckStatus, MonitorStatus, Verdict
from ratchet.monitors.tables import Alert, Check, Monitor
from ratchet.pipelines import service as pipelines


def create(session: Session, *, project: str, new: NewMonitor, actor: str) -> Monitor:
    if session.scalar(select(Monitor.id).where(Monitor.project == project, Monitor.name == new.name)) is not None:
        raise Conflict(f"There is a monitor {new.name!r} already.")
    _refers_to_what_is_there(session, project, new)
    monitor = Monitor(
        id=new_id("mon"),
        project=project,
        **new.model_dump(),
        status=MonitorStatus.ACTIVE,
        created_by=actor,
    )
    monitor.next_check_at = monitor.due_at = next_tick(monitor.schedule, now(session))
    session.add(monitor)
    session.flush()
    after = {**new.model_dump(mode="json"), "status": str(monitor.status)}
    _emit(session, monitor, actor, "monitor.created", None, after)
    return monitor


def replace(session: Session, monitor: Monitor, settings: MonitorSettings, *, actor: str) -> Monitor:
    """All settings anew. A check that is under way keeps those it began with."""
    _refers_to_what_is_there(session, monitor.project, settings)
    after = settings.model_dump()
    before = {name: getattr(monitor, name) for name in after}
    if before == after:
        return monitor
    for name, value in after.items():
        setattr(monitor, name, value)
    if monitor.status == MonitorStatus.ACTIVE and before["schedule"] != after["schedule"]:
        monitor.next_check_at = monitor.due_at = next_tick(monitor.schedule, now(session))
    events.emit(
        session,
        project=monitor.project,
        actor=actor,
        action="monitor.changed",
        target=("monitor", monitor.id),
        before=before,
        after=after,
    )
    return monitor


def _refers_to_what_is_there(session: Session, project: str, settings: MonitorSettings) -> None:
    endpoints.get(session, project, settings.endpoint)
    if settings.pipeline is not None:
        pipelines.get(session, project, settings.pipeline)


def set_status(session: Session, monitor: Monitor, status: MonitorStatus, *, actor: str) -> None:
    if monitor.status == status:
        return
    before, monitor.status = {"status": str(monitor.status)}, status
    active = status is MonitorStatus.ACTIVE
    monitor.next_check_at = monitor.due_at = next_tick(monitor.schedule, now(session)) if active else None
    _emit(session, monitor, actor, f"monitor.{status}", before, {"status": str(status)})


def start_check(session: Session, monitor: Monitor, *, storage: str, scheduled_for: datetime, actor: str) -> Check:
    """A check of the window that ends now, or the one that this tick made already."""
    query = select(Check).where(Check.monitor_id == monitor.id, Check.scheduled_for == scheduled_for)
    if (existing := session.scalar(query)) is not None:
        return existing
    until = now(session)
    check_id = new_id("chk")
    check = Check(
        id=check_id,
        project=monitor.project,
        monitor_id=monitor.id,
        scheduled_for=scheduled_for,
        since=until - timedelta(seconds=monitor.window_s),
        until=until,
        status=CheckStatus.PENDING,
        report=f"{storage}/reports/{monitor.id}/{check_id}.html",
    )
    session.add(check)
    session.flush()
    events.emit(
        session,
        project=monitor.project,
        actor=actor,
        action="check.started",
        target=("check", check.id),
        after={"status": str(check.status), "monitor": monitor.id, "until": until.isoformat()},
    )
    return check


def move_check(session: Session, check: Check, to: CheckStatus, *, message: str = "") -> None:
    """The one door for a check's state."""
    before = CheckStatus(check.status)
    if to not in CHECK_MOVES[before]:
        raise Conflict(f"A check can't go from {before} to {to}.")
    check.status, check.message = to, message
    if not CHECK_MOVES[to]:
        check.ended_at = now(session)
    events.emit(
        session,
        project=check.project,
        actor=events.SYSTEM,
        action=f"check.{to}",
        target=("check", check.id),
        before={"status": before.value},
        after={"status": to.value, "verdict": check.verdict},
        message=message,
    )


def raise_alert(session: Session, monitor: Monitor, check: Check) -> Alert:
    """Say that the endpoint's data drifted, and start the pipeline that is to answer it, unless one is on its way."""
    alert = Alert(
        id=new_id("alr"),
        project=check.project,
        monitor_id=monitor.id,
        check_id=check.id,
        message=f"Endpoint {monitor.endpoint!r}: {check.message}",
    )
    session.add(alert)
    session.flush()
    if monitor.pipeline is not None:
        pipeline = pipelines.get(session, monitor.project, monitor.pipeline)
        run = pipelines.start_unless_running(
            session, pipeline, trigger_kind="alert", trigger_ref=alert.id, actor=events.SYSTEM
        )
        alert.pipeline_run_id = run.id
    events.emit(
        session,
        project=check.project,
        actor=events.SYSTEM,
        action="alert.raised",
        target=("alert", alert.id),
        after={"check": check.id, "pipeline_run": alert.pipeline_run_id},
        message=alert.message,
    )
    return alert


def get(session: Session, project: str, name_or_id: str) -> Monitor:
    query = select(Monitor).where(Monitor.project == project, (Monitor.id == name_or_id) | (Monitor.name == name_or_id))
    monitor = session.scalar(query)
    if monitor is None:
        raise NotFound(f"There is no monitor {name_or_id!r} in project {project!r}.")
    return monitor


def get_check(session: Session, project: str, check_id: str) -> Check:
    check = session.get(Check, check_id)
    if check is None or check.project != project:
        raise NotFound(f"There is no check {check_id!r} in project {project!r}.")
    return check


def view(session: Session, monitor: Monitor) -> MonitorView:
    last = session.scalar(select(Check).where(Check.monitor_id == monitor.id).order_by(Check.id.desc()).limit(1))
    fields = {name: getattr(monitor, name) for name in MonitorView.model_fields if name != "last_check"}
    return MonitorView(**fields, last_check=None if last is None else view_check(monitor, last))


def view_check(monitor: Monitor, check: Check) -> CheckView:
    has_report = check.verdict in {Verdict.DRIFT, Verdict.NO_DRIFT}
    address = f"/api/v1/projects/{check.project}/checks/{check.id}/report"
    return CheckView(
        id=check.id,
        monitor=monitor.name,
        status=check.status,
        verdict=check.verdict,
        message=check.message,
        since=check.since,
        until=check.until,
        drifted_columns=(check.result or {}).get("drifted_columns"),
        result=check.result,
        job=check.job_id,
        report_url=address if has_report else None,
        created_at=check.created_at,
        ended_at=check.ended_at,
    )


def view_alert(monitor: Monitor, alert: Alert) -> AlertView:
    return AlertView(
        id=alert.id,
        monitor=monitor.name,
        check=alert.check_id,
        message=alert.message,
        pipeline_run=alert.pipeline_run_id,
        created_at=alert.created_at,
    )


def _emit(
    session: Session,
    monitor: Monitor,
    actor: str,
    action: str,
    before: dict[str, Any] | None,
    after: dict[str, Any],
) -> None:
    events.emit(
        session,
        project=monitor.project,
        actor=actor,
        action=action,
        target=("monitor", monitor.id),
        before=before,
        after=after,
    )
