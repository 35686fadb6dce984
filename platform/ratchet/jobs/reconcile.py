"""Brings each job to where it should be. `steps` has what is done outside."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy.orm import Session

from ratchet import events
from ratchet.clients.ports import Clients
from ratchet.db import now
from ratchet.endpoints.service import make_serving_due
from ratchet.jobs import copies, service, steps
from ratchet.jobs.cluster import unheard
from ratchet.jobs.status import UNREACHABLE, AttemptStatus, JobStatus, Reason
from ratchet.jobs.steps import Found, Seen
from ratchet.jobs.tables import CLUSTER, Attempt, Cluster, Job
from ratchet.models import service as models
from ratchet.models.tables import AliasMove
from ratchet.reconciler.loop import Reconciler
from ratchet.settings import Settings

AT_ONCE = timedelta(0)
NEVER: timedelta | None = None
WATCH_EVERY = timedelta(seconds=1)
WATCH_STOPPING_EVERY = timedelta(seconds=0.5)
MAX_BACKOFF_S = 30
STOPPED_BY_DEADLINE = (JobStatus.STARTING, JobStatus.RUNNING, JobStatus.UNKNOWN)


class JobReconciler(Reconciler[Job, Seen, Found]):
    table = Job
    workers = 8

    def __init__(self, settings: Settings, clients: Clients) -> None:
        self.settings = settings
        self.actor = steps.Actor(settings, clients)

    def load(self, session: Session, row: Job) -> Seen | None:
        status = JobStatus(row.status)
        if status.ended:
            return None
        moment = now(session)
        cluster = session.get(Cluster, CLUSTER)
        return Seen(
            id=row.id,
            project=row.project,
            name=row.name,
            status=status,
            attempt=row.attempt,
            spec=row.spec,
            created_by=row.created_by,
            request_id=row.request_id or "",
            trace=row.trace,
            experiment_id=row.experiment_id,
            run_id=row.run_id,
            misses=row.misses,
            history=service.history(row),
            resume_from=tuple(copies.earlier(session, row)),
            attempt_for_s=(moment - row.attempts[-1].started_at).total_seconds() if row.attempts else 0,
            overdue=row.deadline_at is not None and moment >= row.deadline_at,
            stopping_for_s=(moment - row.stopping_since).total_seconds() if row.stopping_since else 0,
            instance=cluster.instance if cluster else "",
            ray_silent=cluster.message if cluster and cluster.status == UNREACHABLE else "",
        )

    def act(self, seen: Seen) -> Found:
        return self.actor.act(seen)

    def record(self, session: Session, row: Job, seen: Seen, found: Found) -> timedelta | None:
        if (row.status, row.attempt) != (seen.status, seen.attempt):
            return AT_ONCE  # somebody moved it while we looked: what was found is of a state that is gone
        match found:
            case steps.Unreachable():
                return self._unreachable(session, row, seen, found)
            case steps.Refused():
                return self._fail(session, row, Reason.ENGINE_ERROR, found.message)
        row.misses = 0
        match found:
            case steps.Queued():
                return self._queued(session, row)
            case steps.Submitted():
                return self._submitted(session, row, found)
            case steps.Live():
                return self._live(session, row, seen, found)
            case steps.Done():
                return self._done(session, row)
            case steps.Broken():
                return self._broken(session, row, found)
            case steps.StoppedOutside():
                return self._stopped_outside(session, row)
            case steps.Preempted():
                return self._preempted(session, row)
            case steps.Finished():
                return self._finished(session, row, found)
            case steps.Stopped():
                return self._stopped(session, row, found)

    def _unreachable(self, session: Session, row: Job, seen: Seen, found: steps.Unreachable) -> timedelta:
        """Nobody knows of a change. Asked again after 1, 2, 4, … seconds; each second while Ray is silent."""
        row.engine_status = UNREACHABLE
        row.misses += 1
        if seen.overdue and row.status in STOPPED_BY_DEADLINE:
            return self._overran(session, row)
        # Its own look is enough, where Ray has been silent for others too: the probe itself may be held up.
        silent = unheard(session.get(Cluster, CLUSTER), now(session))
        if silent and row.status == JobStatus.RUNNING:
            reason, message = Reason.WAITING_FOR_CLUSTER, found.message
            service.move(session, row, JobStatus.UNKNOWN, reason=reason, message=message, actor=events.SYSTEM)
        elif row.status != JobStatus.CANCELLING:  # where the message says who asked for it
            service.note(row, reason=Reason(row.reason) if row.reason else None, message=found.message)
        return WATCH_EVERY if silent else timedelta(seconds=min(2 ** min(row.misses - 1, 10), MAX_BACKOFF_S))

    def _queued(self, session: Session, row: Job) -> timedelta | None:
        """The queue decides who starts. Here it is only given up when it has waited for too long."""
        pending = service.pending_until(row)
        if pending is None:
            return NEVER
        moment = now(session)
        if moment < pending:
            return pending - moment
        message = f"It was not started within the {row.spec['pending_deadline_s']} s that it had to wait."
        reason = Reason.PENDING_DEADLINE_EXCEEDED
        if row.attempt == 0:
            return self._fail(session, row, reason, message)
        # An earlier attempt left an MLflow run, which must be ended.
        service.move(session, row, JobStatus.CANCELLING, reason=reason, message=message, actor=events.SYSTEM)
        return AT_ONCE

    def _submitted(self, session: Session, row: Job, found: steps.Submitted) -> timedelta:
        row.experiment_id, row.run_id, row.engine_status = found.experiment_id, found.run_id, "PENDING"
        row.started_at = row.started_at or now(session)
        session.get_one(Attempt, (row.id, row.attempt)).status = AttemptStatus.RUNNING.value
        service.move(session, row, JobStatus.RUNNING, actor=events.SYSTEM)
        return WATCH_EVERY

    def _live(self, session: Session, row: Job, seen: Seen, found: steps.Live) -> timedelta:
        if row.engine_status != found.engine_status:
            row.engine_status = found.engine_status
        if row.status in (JobStatus.CANCELLING, JobStatus.PREEMPTING):
            return WATCH_STOPPING_EVERY
        if row.status == JobStatus.UNKNOWN:
            service.move(session, row, JobStatus.RUNNING, message="Ray answers again.", actor=events.SYSTEM)
        service.note(row, reason=None, message="")
        if found.metrics is not None and found.metrics != row.metrics:
            row.metrics = found.metrics
        return self._overran(session, row) if seen.overdue else WATCH_EVERY

    def _overran(self, session: Session, row: Job) -> timedelta:
        message = f"It ran for more than its deadline of {row.spec['deadline_s']} s."
        reason = Reason.DEADLINE_EXCEEDED
        service.move(session, row, JobStatus.CANCELLING, reason=reason, message=message, actor=events.SYSTEM)
        return AT_ONCE

    def _done(self, session: Session, row: Job) -> timedelta:
        row.engine_status = "SUCCEEDED"
        service.end_attempt(session, row, AttemptStatus.SUCCEEDED, None, "")
        service.move(session, row, JobStatus.FINALIZING, actor=events.SYSTEM)
        return AT_ONCE

    def _broken(self, session: Session, row: Job, found: steps.Broken) -> timedelta | None:
        reason, verdict = found.failure.reason, found.verdict
        row.engine_status = found.engine_status
        service.keep_failure(session, row, found.failure)
        if verdict.after is None:
            return self._fail(session, row, reason, verdict.message)
        service.requeue(session, row, reason=reason, message=verdict.message, after=verdict.after, actor=events.SYSTEM)
        return verdict.after

    def _fail(self, session: Session, row: Job, reason: Reason, message: str) -> timedelta | None:
        if row.status not in (JobStatus.QUEUED, JobStatus.FINALIZING):
            service.end_attempt(session, row, AttemptStatus.FAILED, reason, message)
        service.move(session, row, JobStatus.FAILED, reason=reason, message=message, actor=events.SYSTEM)
        return NEVER

    def _stopped_outside(self, session: Session, row: Job) -> timedelta:
        row.engine_status = "STOPPED"
        message = "It was stopped in Ray, not through this platform."
        reason = Reason.STOPPED_IN_RAY
        service.move(session, row, JobStatus.CANCELLING, reason=reason, message=message, actor=events.SYSTEM)
        return AT_ONCE

    def _finished(self, session: Session, row: Job, found: steps.Finished) -> timedelta | None:
        row.result, row.metrics = found.result, found.metrics
        row.model_name, row.model_version = found.model_name, found.model_version
        if found.model_name is not None:
            events.emit(
                session,
                project=row.project,
                actor=events.SYSTEM,
                action="model.registered",
                target=("model", found.model_name.removeprefix(f"{row.project}.")),
                after={"version": found.model_version, "alias": steps.CANDIDATE, "job": row.id},
            )
            self._candidate_moved(session, row, found)
        service.move(session, row, JobStatus.SUCCEEDED, actor=events.SYSTEM)
        return NEVER

    def _candidate_moved(self, session: Session, row: Job, found: steps.Finished) -> None:
        """Keep the history of the alias that the step has moved; endpoints that follow it are looked at now."""
        assert found.model_name is not None
        assert found.model_version is not None
        model = found.model_name.removeprefix(f"{row.project}.")
        moves = models.alias_moves(row.project, model, steps.CANDIDATE)
        last = session.scalar(moves.order_by(AliasMove.id.desc()).limit(1))
        if last is not None and last.to_version >= found.model_version:
            return
        models.record_alias_move(
            session,
            project=row.project,
            model=model,
            alias=steps.CANDIDATE,
            from_version=None if last is None else last.to_version,
            to_version=found.model_version,
            actor=events.SYSTEM,
            evidence={"job": row.id, "run": row.run_id},
        )
        make_serving_due(session)

    def _preempted(self, session: Session, row: Job) -> timedelta | None:
        message = "It has made room for a job of a higher priority; its next attempt goes on from its last checkpoint."
        service.requeue(session, row, reason=Reason.PREEMPTED, message=message, after=AT_ONCE, actor=events.SYSTEM)
        return NEVER

    def _stopped(self, session: Session, row: Job, found: steps.Stopped) -> timedelta | None:
        row.engine_status = found.engine_status or row.engine_status
        reason = Reason(row.reason or Reason.CANCELLED)
        message = row.message or "It was stopped."
        overran = reason in (Reason.DEADLINE_EXCEEDED, Reason.PENDING_DEADLINE_EXCEEDED)
        service.end_attempt(session, row, AttemptStatus.FAILED if overran else AttemptStatus.CANCELLED, reason, message)
        to = JobStatus.FAILED if overran else JobStatus.CANCELLED
        service.move(session, row, to, reason=reason, message=message, actor=events.SYSTEM)
        return NEVER
