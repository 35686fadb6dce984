from __future__ import annotations

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from ratchet import events
from ratchet.abtests import service as abtests
from ratchet.abtests.status import ABTestStatus
from ratchet.cron import next_tick
from ratchet.db import new_id, now
from ratchet.endpoints import service as endpoints
from ratchet.errors import Conflict, NotFound
from ratchet.jobs import service as jobs
from ratchet.jobs.status import JobStatus
from ratchet.jobs.tables import Job
from ratchet.pipelines.schemas import (
    NewPipeline,
    PipelineRunView,
    PipelineSettings,
    PipelineSpec,
    PipelineView,
    Reference,
    StepView,
    Trigger,
)
from ratchet.pipelines.status import RUN_MOVES, STEP_MOVES, RunStatus, StepName, StepStatus
from ratchet.pipelines.tables import Pipeline, PipelineRun, PipelineStep


def create(session: Session, *, project: str, new: NewPipeline, actor: str) -> Pipeline:
    if session.scalar(select(Pipeline.id).where(Pipeline.project == project, Pipeline.name == new.name)) is not None:
        raise Conflict(f"There is a pipeline {new.name!r} already.")
    endpoints.get(session, project, new.endpoint)
    jobs.validate(session, project, new.train)
    pipeline = Pipeline(
        id=new_id("pip"),
        project=project,
        name=new.name,
        spec=_spec(new),
        schedule=new.schedule,
        created_by=actor,
    )
    if new.schedule is not None:
        pipeline.next_run_at = pipeline.due_at = next_tick(new.schedule, now(session))
    session.add(pipeline)
    session.flush()
    events.emit(
        session,
        project=project,
        actor=actor,
        action="pipeline.created",
        target=("pipeline", pipeline.id),
        after={"name": pipeline.name, "schedule": pipeline.schedule, "spec": pipeline.spec},
    )
    return pipeline


def replace(session: Session, pipeline: Pipeline, settings: PipelineSettings, *, actor: str) -> Pipeline:
    """All settings anew. A run that is under way keeps those it began with."""
    endpoints.get(session, pipeline.project, settings.endpoint)
    jobs.validate(session, pipeline.project, settings.train)
    before = {"spec": pipeline.spec, "schedule": pipeline.schedule}
    after = {"spec": _spec(settings), "schedule": settings.schedule}
    if before == after:
        return pipeline
    pipeline.spec, pipeline.schedule = _spec(settings), settings.schedule
    if before["schedule"] != after["schedule"]:
        tick = None if settings.schedule is None else next_tick(settings.schedule, now(session))
        pipeline.next_run_at = pipeline.due_at = tick
    events.emit(
        session,
        project=pipeline.project,
        actor=actor,
        action="pipeline.changed",
        target=("pipeline", pipeline.id),
        before=before,
        after=after,
    )
    return pipeline


def _spec(settings: PipelineSettings) -> dict[str, Any]:
    return settings.model_dump(mode="json", exclude={"name", "schedule"})


def start(session: Session, pipeline: Pipeline, *, trigger_kind: str, trigger_ref: str, actor: str) -> PipelineRun:
    if (running := _running(session, pipeline)) is not None:
        raise Conflict(
            f"The pipeline {pipeline.name!r} is running already ({running.id}).", hint="Wait for it, or cancel it."
        )
    run = PipelineRun(
        id=new_id("run"),
        project=pipeline.project,
        pipeline_id=pipeline.id,
        spec=pipeline.spec,
        trigger_kind=trigger_kind,
        trigger_ref=trigger_ref,
        status=RunStatus.RUNNING,
        created_by=actor,
    )
    session.add(run)
    session.flush()
    for position, name in enumerate(StepName):
        session.add(PipelineStep(run_id=run.id, position=position, name=name, status=StepStatus.PENDING, result={}))
    session.flush()
    events.emit(
        session,
        project=run.project,
        actor=actor,
        action="pipeline_run.started",
        target=("pipeline_run", run.id),
        after={"pipeline": pipeline.id, "trigger": {"kind": trigger_kind, "ref": trigger_ref}},
    )
    return run


def start_unless_running(
    session: Session, pipeline: Pipeline, *, trigger_kind: str, trigger_ref: str, actor: str
) -> PipelineRun:
    """The run that is on its way, or a new one: a drift that goes on raises many alerts and needs one answer."""
    running = _running(session, pipeline)
    return running or start(session, pipeline, trigger_kind=trigger_kind, trigger_ref=trigger_ref, actor=actor)


def cancel(session: Session, run: PipelineRun, *, actor: str) -> None:
    """Stop here: what was promoted stays promoted, what runs for this run is cancelled with it."""
    if run.status != RunStatus.RUNNING:
        raise Conflict(f"The run {run.id!r} is {run.status} already.")
    for step in steps(session, run):
        if step.status == StepStatus.RUNNING and step.ref_kind == "job":
            _cancel_job(session, jobs.get(session, run.project, step.ref_id), actor)
        if step.status == StepStatus.RUNNING and step.ref_kind == "abtest":
            test = abtests.get(session, run.project, step.ref_id)
            if test.status == ABTestStatus.RUNNING:
                abtests.stop(session, test, actor=actor)
    end(session, run, RunStatus.CANCELLED, reason="cancelled", message=f"Cancelled by {actor}.", actor=actor)


def end(session: Session, run: PipelineRun, to: RunStatus, *, reason: str, message: str, actor: str) -> None:
    """The one door out of `running`: steps that were not taken are skipped, and control serves alone again unless the
    challenger won."""
    before = RunStatus(run.status)
    if to not in RUN_MOVES[before]:
        raise Conflict(f"A pipeline run can't go from {before} to {to}.")
    if to is not RunStatus.SUCCEEDED:
        _give_traffic_back(session, run, to)
    for step in steps(session, run):
        if step.status in {StepStatus.PENDING, StepStatus.RUNNING}:
            move_step(session, step, StepStatus.SKIPPED)
    run.status, run.reason, run.message, run.ended_at, run.due_at = to, reason, message, now(session), None
    events.emit(
        session,
        project=run.project,
        actor=actor,
        action=f"pipeline_run.{to}",
        target=("pipeline_run", run.id),
        before={"status": before.value},
        after={"status": to.value, "reason": reason},
        message=message,
    )


def move_step(session: Session, step: PipelineStep, to: StepStatus, *, message: str | None = "") -> None:
    """The one door for a step's state."""
    before = StepStatus(step.status)
    if to not in STEP_MOVES[before]:
        raise Conflict(f"A step can't go from {before} to {to}.")
    step.status = to
    step.message = message or step.message
    if to is StepStatus.RUNNING:
        step.started_at = now(session)
    elif before is StepStatus.RUNNING:
        step.ended_at = now(session)


def get(session: Session, project: str, name_or_id: str) -> Pipeline:
    query = select(Pipeline).where(
        Pipeline.project == project, (Pipeline.id == name_or_id) | (Pipeline.name == name_or_id)
    )
    pipeline = session.scalar(query)
    if pipeline is None:
        raise NotFound(f"There is no pipeline {name_or_id!r} in project {project!r}.")
    return pipeline


def get_run(session: Session, project: str, run_id: str) -> PipelineRun:
    run = session.get(PipelineRun, run_id)
    if run is None or run.project != project:
        raise NotFound(f"There is no pipeline run {run_id!r} in project {project!r}.")
    return run


def steps(session: Session, run: PipelineRun) -> list[PipelineStep]:
    query = select(PipelineStep).where(PipelineStep.run_id == run.id).order_by(PipelineStep.position)
    return list(session.scalars(query))


def view(session: Session, pipeline: Pipeline) -> PipelineView:
    query = select(PipelineRun).where(PipelineRun.pipeline_id == pipeline.id).order_by(PipelineRun.id.desc())
    last = session.scalar(query.limit(1))
    return PipelineView(
        id=pipeline.id,
        name=pipeline.name,
        project=pipeline.project,
        spec=PipelineSpec(**pipeline.spec),
        schedule=pipeline.schedule,
        next_run_at=pipeline.next_run_at,
        last_run=None if last is None else view_run(session, last),
        created_by=pipeline.created_by,
        created_at=pipeline.created_at,
    )


def view_run(session: Session, run: PipelineRun) -> PipelineRunView:
    return PipelineRunView(
        id=run.id,
        pipeline=session.get_one(Pipeline, run.pipeline_id).name,
        project=run.project,
        trigger=Trigger(kind=run.trigger_kind, ref=run.trigger_ref),
        status=run.status,
        reason=run.reason,
        message=run.message,
        steps=[
            StepView(
                name=step.name,
                status=step.status,
                ref=Reference(kind=step.ref_kind, id=step.ref_id) if step.ref_id else None,
                message=step.message,
                started_at=step.started_at,
                ended_at=step.ended_at,
            )
            for step in steps(session, run)
        ],
        created_by=run.created_by,
        created_at=run.created_at,
        ended_at=run.ended_at,
    )


def _cancel_job(session: Session, job: Job, actor: str) -> None:
    """One that has done its work can't be cancelled, and need not be."""
    if not JobStatus(job.status).ended and job.status != JobStatus.FINALIZING:
        jobs.cancel(session, job, actor=actor)


def _give_traffic_back(session: Session, run: PipelineRun, to: RunStatus) -> None:
    """Undo what the deploy step did to the traffic, as far as it still stands."""
    by_name = {StepName(step.name): step for step in steps(session, run)}
    deployed = by_name[StepName.DEPLOY].result
    if not deployed or (to is RunStatus.CANCELLED and by_name[StepName.PROMOTE].status != StepStatus.PENDING):
        return  # nothing was deployed, or the champion is on its way to be what is deployed
    endpoint = endpoints.find(session, run.project, PipelineSpec(**run.spec).endpoint)
    if endpoint is None or endpoint.deleted_at is not None:
        return
    control, challenger = deployed["control"], deployed["challenger"]
    if {control, challenger} <= {variant.name for variant in endpoint.variants}:
        endpoints.set_weights(session, endpoint, {control: 1.0}, events.SYSTEM, f"pipeline run {run.id}: {to}")


def _running(session: Session, pipeline: Pipeline) -> PipelineRun | None:
    query = select(PipelineRun).where(PipelineRun.pipeline_id == pipeline.id, PipelineRun.status == RunStatus.RUNNING)
    return session.scalar(query)
