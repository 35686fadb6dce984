"""Takes a pipeline run one step further, and starts runs when their schedule says so."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from ratchet import events
from ratchet.cron import next_tick
from ratchet.db import now
from ratchet.errors import RatchetError
from ratchet.pipelines import service
from ratchet.pipelines.status import RunStatus, StepStatus
from ratchet.pipelines.steps import STEPS, Context, Outlook
from ratchet.pipelines.tables import Pipeline, PipelineRun
from ratchet.reconciler.loop import Reconciler

LOOK_EVERY = timedelta(seconds=0.5)


class PipelineReconciler(Reconciler[Pipeline, datetime, None]):
    """Due at its next tick."""

    table = Pipeline

    def load(self, session: Session, row: Pipeline) -> datetime | None:
        return row.next_run_at

    def act(self, seen: datetime) -> None:
        return None

    def record(self, session: Session, row: Pipeline, seen: datetime, found: None) -> timedelta | None:
        if row.schedule is None or row.next_run_at is None:
            return None
        moment = now(session)
        if row.next_run_at <= moment:
            tick = row.next_run_at.isoformat()
            service.start_unless_running(session, row, trigger_kind="schedule", trigger_ref=tick, actor=events.SYSTEM)
            row.next_run_at = next_tick(row.schedule, moment)
        return row.next_run_at - moment


class PipelineRunReconciler(Reconciler[PipelineRun, bool, None]):
    """All that a run needs is in the database, so that each step is taken in one transaction, or not at all."""

    table = PipelineRun

    def load(self, session: Session, row: PipelineRun) -> bool | None:
        return True if row.status == RunStatus.RUNNING else None

    def act(self, seen: bool) -> None:
        return None

    def record(self, session: Session, row: PipelineRun, seen: bool, found: None) -> timedelta | None:
        if row.status != RunStatus.RUNNING:
            return None
        context = Context.of(session, row)
        for name, (begin, watch) in STEPS.items():
            step = context.steps[name]
            if step.status == StepStatus.SUCCEEDED:
                continue
            try:
                with session.begin_nested():
                    if step.status == StepStatus.PENDING:
                        service.move_step(session, step, StepStatus.RUNNING)
                        begin(context)
                        return LOOK_EVERY
                outlook = watch(context)
            except RatchetError as error:
                session.refresh(step)
                if step.status == StepStatus.PENDING:
                    service.move_step(session, step, StepStatus.RUNNING)
                outlook = Outlook(StepStatus.FAILED, f"{error.detail} {error.hint}".strip(), error.code)
            if outlook.status is StepStatus.RUNNING:
                step.message = outlook.message or step.message
                return LOOK_EVERY
            service.move_step(session, step, outlook.status, message=outlook.message)
            if outlook.status is StepStatus.FAILED:
                self._fail(session, row, name, outlook)
                return None
        done = context.steps[name].message
        service.end(session, row, RunStatus.SUCCEEDED, reason="", message=done, actor=events.SYSTEM)
        return None

    @staticmethod
    def _fail(session: Session, row: PipelineRun, step: str, outlook: Outlook) -> None:
        message = f"Step {step}: {outlook.message}"
        service.end(session, row, RunStatus.FAILED, reason=outlook.reason or "", message=message, actor=events.SYSTEM)
