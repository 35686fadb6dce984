"""Takes away the logs of jobs that ended longer ago than logs are kept."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from ratchet import events
from ratchet.clients.ports import Clients, EngineError
from ratchet.db import now
from ratchet.jobs import logfiles
from ratchet.jobs.tables import Job, LogRetention
from ratchet.logs import logger
from ratchet.reconciler.loop import Reconciler
from ratchet.settings import Settings

log = logger("jobs.retention")

AT_ONCE = timedelta(0)
LOOK_EVERY = timedelta(hours=1)
BATCH = 20


@dataclass(frozen=True)
class Expired:
    id: str
    project: str


class LogRetentionReconciler(Reconciler[LogRetention, list[Expired], list[Expired]]):
    table = LogRetention
    workers = 1

    def __init__(self, settings: Settings, clients: Clients) -> None:
        self.keep = timedelta(days=settings.log_retention_days)
        self.storage = clients.storage

    def load(self, session: Session, row: LogRetention) -> list[Expired]:
        if not self.keep:
            return []
        expired = (Job.ended_at < now(session) - self.keep, Job.logs_deleted_at.is_(None))
        query = select(Job.id, Job.project).where(*expired).order_by(Job.ended_at).limit(BATCH)
        return [Expired(*found) for found in session.execute(query)]

    def act(self, seen: list[Expired]) -> list[Expired]:
        """Those whose log is gone; the rest is tried again when the storage answers."""
        done = []
        for job in seen:
            try:
                self.storage.delete(logfiles.folder(job.id))
            except EngineError as error:
                log.warning("log_not_deleted", job=job.id, error=error.message)
                break
            done.append(job)
        return done

    def record(
        self, session: Session, row: LogRetention, seen: list[Expired], found: list[Expired]
    ) -> timedelta | None:
        moment = now(session)
        for job in found:
            session.execute(
                update(Job).where(Job.id == job.id).values(logs_deleted_at=moment, updated_at=Job.updated_at)
            )
            events.emit(
                session,
                project=job.project,
                actor=events.SYSTEM,
                action="job.logs_deleted",
                target=("job", job.id),
                before={"logs_deleted_at": None},
                after={"logs_deleted_at": moment.isoformat()},
                message=f"Logs are kept for {self.keep.days} days.",
            )
        return AT_ONCE if len(found) == BATCH else LOOK_EVERY
