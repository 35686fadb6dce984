"""Takes a promotion one step further: hold the alias, look at it, measure, judge, move.

pending     -> hold the alias (one promotion at a time), look up what it points to, submit the evaluate job
evaluating  -> wait for the job, judge, record the evidence; only then set the alias in MLflow, then record the move
passed      -> the move was asked for later, or there is none
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import Enum, auto
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from ratchet.clients.ports import Clients, EngineRefused, EngineUnavailable
from ratchet.db import now
from ratchet.endpoints.service import make_serving_due
from ratchet.errors import RatchetError
from ratchet.jobs import service as jobs
from ratchet.jobs.status import JobStatus
from ratchet.jobs.tables import Job
from ratchet.models import service
from ratchet.models.gates import NotMeasuredError, Verdict, judge
from ratchet.models.schemas import Gate, Kind
from ratchet.models.status import OPEN, Status, change
from ratchet.models.tables import Promotion
from ratchet.reconciler.loop import Reconciler
from ratchet_pipelines.spec import Evaluate, ModelVersion, RunTag

AT_ONCE = timedelta(0)
LOOK_EVERY = timedelta(seconds=0.5)
RETRY = timedelta(seconds=2)
"""When MLflow did not answer."""


class Step(Enum):
    HOLD = auto()
    LOOK_UP = auto()
    WAIT = auto()
    MEASURE = auto()
    MOVE = auto()


@dataclass(frozen=True)
class Seen:
    step: Step
    name: str
    """As MLflow has it."""
    version: int
    alias: str
    previous: int | None
    run_id: str | None
    """The evaluate job's."""


@dataclass(frozen=True)
class Found:
    """What a step found outside; each field as far as the step looks."""

    version_exists: bool = True
    holder: int | None = None
    """What the alias points to, or pointed to before it was moved."""
    moved: bool = False
    """The alias points to the version now."""
    metrics: dict[str, float] | None = None
    data_hash: str | None = None
    unreachable: str | None = None
    refused: str | None = None


class PromotionReconciler(Reconciler[Promotion, Seen, Found]):
    table = Promotion

    def __init__(self, clients: Clients) -> None:
        self.mlflow = clients.mlflow

    def load(self, session: Session, row: Promotion) -> Seen | None:
        step = _next_step(session, row)
        if step is None:
            return None
        job = session.get(Job, row.job_id) if row.job_id else None
        return Seen(
            step=step,
            name=service.registered_name(row.project, row.model),
            version=row.version,
            alias=row.alias,
            previous=row.previous_version,
            run_id=job.run_id if job is not None else None,
        )

    def act(self, seen: Seen) -> Found:
        try:
            if seen.step is Step.LOOK_UP:
                exists = self.mlflow.get_version(seen.name, seen.version) is not None
                return Found(version_exists=exists, holder=self._holder(seen))
            if seen.step is Step.MEASURE:
                return self._measure(seen)
            if seen.step is Step.MOVE:
                return self._move(seen)
        except EngineUnavailable as error:
            return Found(unreachable=error.message)
        except EngineRefused as error:
            return Found(refused=error.message)
        return Found()

    def _holder(self, seen: Seen) -> int | None:
        model = self.mlflow.get_registered_model(seen.name)
        return None if model is None else model.aliases.get(seen.alias)

    def _measure(self, seen: Seen) -> Found:
        run = self.mlflow.get_run(seen.run_id) if seen.run_id else None
        if run is None:
            return Found(refused=f"The evaluate job's run {seen.run_id} is not in MLflow.")
        return Found(metrics=run.metrics, data_hash=run.tags.get(RunTag.DATA_HASH))

    def _move(self, seen: Seen) -> Found:
        """Set the alias; adopt it when it is set already: the step before may have been cut off right after that."""
        holder = self._holder(seen)
        if holder == seen.version:
            return Found(holder=seen.previous, moved=True)
        if holder != seen.previous:
            return Found(holder=holder)
        self.mlflow.set_alias(seen.name, seen.alias, seen.version)
        return Found(holder=holder, moved=True)

    def record(self, session: Session, row: Promotion, seen: Seen, found: Found) -> timedelta | None:
        if _next_step(session, row) is not seen.step:
            return AT_ONCE  # it is another step's turn by now
        if found.unreachable is not None:
            row.reason, row.message = "mlflow_unreachable", f"{found.unreachable} It is tried again."
            return RETRY
        if found.refused is not None:
            return _fail(session, row, "mlflow_refused", found.refused)
        if seen.step is Step.HOLD:
            return _hold(session, row)
        if seen.step is Step.LOOK_UP:
            return _record_holder(session, row, found)
        if seen.step is Step.WAIT:
            return _wait(session, row)
        if seen.step is Step.MEASURE:
            return _record_verdict(session, row, found)
        return _record_move(session, row, found)


def _next_step(session: Session, row: Promotion) -> Step | None:
    """By what is recorded; None when nothing is left to do."""
    status = Status(row.status)
    to_move = row.move and row.moved_at is None
    if status not in OPEN and not (status is Status.PASSED and to_move):
        return None
    if to_move and not row.holds_alias:
        return Step.HOLD
    if status is Status.PENDING:
        return Step.LOOK_UP
    if row.gate_passed:
        return Step.MOVE
    job = session.get(Job, row.job_id) if row.job_id else None
    return Step.MEASURE if job is not None and job.status == JobStatus.SUCCEEDED else Step.WAIT


def _hold(session: Session, row: Promotion) -> timedelta:
    same = (Promotion.project == row.project, Promotion.model == row.model, Promotion.alias == row.alias)
    holder = session.scalar(select(Promotion.id).where(*same, Promotion.holds_alias))
    if holder is not None:
        row.reason, row.message = "waiting_for_alias", f"Promotion {holder} is moving the alias {row.alias}."
        return LOOK_EVERY
    row.holds_alias, row.reason, row.message = True, None, None
    session.flush()
    return AT_ONCE


def _record_holder(session: Session, row: Promotion, found: Found) -> timedelta | None:
    if not found.version_exists:
        return _fail(session, row, "no_such_version", f"Model {row.model} has no version {row.version}.")
    if row.kind == Kind.GATE:
        row.previous_version = found.holder
        return _submit(session, row)
    row.previous_version, row.gate_passed = found.holder, True
    change(session, row, Status.EVALUATING)
    return AT_ONCE


def _submit(session: Session, row: Promotion) -> timedelta | None:
    gate = Gate.model_validate(row.gate)
    versions = [row.version] if row.previous_version in (None, row.version) else [row.version, row.previous_version]
    name = service.registered_name(row.project, row.model)
    models = [ModelVersion(name=name, version=version) for version in versions]
    spec = Evaluate(name=row.id, data=gate.data, models=models)
    try:
        job = jobs.submit(session, project=row.project, spec=spec, actor=row.actor)
    except RatchetError as error:
        return _fail(session, row, "evaluation_refused", f"{error.detail} {error.hint}".strip())
    row.job_id, row.evidence = job.id, {**row.evidence, "job": job.id}
    message = f"Job {job.id} measures {' and '.join(f'v{version}' for version in versions)} on the same test split."
    change(session, row, Status.EVALUATING, message=message)
    return LOOK_EVERY


def _wait(session: Session, row: Promotion) -> timedelta | None:
    job = session.get(Job, row.job_id) if row.job_id else None
    if job is None:
        return _fail(session, row, "evaluation_lost", "The evaluate job is gone.")
    if not JobStatus(job.status).ended:
        return LOOK_EVERY
    if job.status == JobStatus.SUCCEEDED:
        return AT_ONCE  # since this step was loaded
    return _fail(session, row, f"evaluation_{job.status}", f"The evaluate job {job.id} {job.status}: {job.message}")


def _record_verdict(session: Session, row: Promotion, found: Found) -> timedelta | None:
    gate, metrics = Gate.model_validate(row.gate), found.metrics or {}
    try:
        verdict = judge(gate, row.alias, row.version, row.previous_version, metrics)
    except NotMeasuredError as error:
        return _fail(session, row, "not_measured", str(error))
    row.evidence = {**row.evidence, **_evidence(verdict, found.data_hash)}
    row.gate_passed = verdict.passed
    if not verdict.passed:
        row.holds_alias = False
        change(session, row, Status.REFUSED, reason="gate", message=verdict.message)
        return None
    if row.move:
        return AT_ONCE
    change(session, row, Status.PASSED, message=verdict.message)
    return None


def _evidence(verdict: Verdict, data_hash: str | None) -> dict[str, Any]:
    return {
        "metrics": {"candidate": verdict.candidate, "champion": verdict.champion},
        "rules": [rule.model_dump() for rule in verdict.rules],
        "rows": verdict.rows,
        "data_hash": data_hash,
    }


def _record_move(session: Session, row: Promotion, found: Found) -> timedelta | None:
    if not found.moved:
        return _champion_changed(session, row, found.holder)
    row.moved_at, row.holds_alias = now(session), False
    if row.previous_version != row.version:
        service.record_alias_move(
            session,
            project=row.project,
            model=row.model,
            alias=row.alias,
            from_version=row.previous_version,
            to_version=row.version,
            actor=row.actor,
            evidence={**row.evidence, "kind": row.kind},
            promotion_id=row.id,
        )
        before = "none was before" if row.previous_version is None else f"v{row.previous_version} was before"
        message = f"v{row.version} is {row.alias} now; {before}."
    else:
        message = f"v{row.version} was {row.alias} already."
    rules = " ".join(rule["detail"] for rule in row.evidence.get("rules", []))
    message = f"{message} {rules}".strip()
    if row.status == Status.PASSED:
        row.reason, row.message = None, message
    else:
        change(session, row, Status.PASSED, message=message)
    make_serving_due(session)  # endpoints may follow the alias
    return None


def _champion_changed(session: Session, row: Promotion, holder: int | None) -> timedelta | None:
    """Somebody moved the alias meanwhile: what speaks for the version was measured against another one."""
    if row.kind != Kind.GATE or row.status == Status.PASSED:
        return _fail_changed(session, row, holder)
    row.gate_passed, row.job_id, row.previous_version = None, None, None
    message = f"The alias {row.alias} was moved meanwhile: the gate is evaluated anew against what it points to now."
    change(session, row, Status.PENDING, reason="alias_changed", message=message)
    return AT_ONCE


def _fail_changed(session: Session, row: Promotion, holder: int | None) -> timedelta | None:
    now_at = "no version" if holder is None else f"v{holder}"
    message = (
        f"The alias {row.alias} points to {now_at} now, and the evidence compares with v{row.previous_version}: "
        "it does not speak for this move. Ask for a promotion with a gate."
    )
    return _fail(session, row, "alias_changed", message)


def _fail(session: Session, row: Promotion, reason: str, message: str) -> timedelta | None:
    """Ends it, so that there is nothing to look at again."""
    row.holds_alias = False
    change(session, row, Status.FAILED, reason=reason, message=message)
    return None
