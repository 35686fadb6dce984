"""A control plane in miniature: the database, fakes of Ray, MLflow and storage, and the two reconcilers of jobs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from pydantic import TypeAdapter
from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session, sessionmaker

from ratchet.clients.fakes import FakeClients, fake_clients
from ratchet.db import db_now, now
from ratchet.events import Event
from ratchet.jobs import service, stream
from ratchet.jobs.cluster import ClusterReconciler
from ratchet.jobs.reconcile import JobReconciler
from ratchet.jobs.stream import Follower, Tail
from ratchet.jobs.tables import CLUSTER, Attempt, Cluster, Job
from ratchet.queue.reconcile import QueueReconciler
from ratchet.reconciler.loop import Reconciler, claim, step
from ratchet.settings import Settings
from ratchet_pipelines import notes
from ratchet_pipelines.logs.entries import Entry, level_of
from ratchet_pipelines.spec import JobSpec, RunTag

SPECS: TypeAdapter[JobSpec] = TypeAdapter(JobSpec)
TRAIN = {"kind": "train", "data": {"uri": "sklearn://breast_cancer"}, "model": "cancer"}


def write_log(
    clients: FakeClients,
    job_id: str,
    *texts: str,
    source: str = "driver",
    attempt: int = 1,
    started: int = 1_000,
    first: int = 0,
    time: float = 1_000.0,
    ended: bool = False,
) -> None:
    """A chunk as the shipper of a process writes it: one entry a second."""
    entries, number = [], first
    for second, text in enumerate(texts):
        entries.append(Entry(number, time + second, level_of(text), text))
        number = entries[-1].following
    data = b"".join(entry.dump().encode() + b"\n" for entry in entries) + (b"[]\n" if ended else b"")
    clients.storage.files[f"jobs/{job_id}/logs/{attempt}/{source}/{started:013d}-{first:010d}.jsonl"] = data


@dataclass
class World:
    sessions: sessionmaker[Session]
    clients: FakeClients
    settings: Settings

    @staticmethod
    def spec(**changes: Any) -> JobSpec:
        whole = changes if changes.get("kind") in ("custom", "batch_prediction") else {**TRAIN, **changes}
        return SPECS.validate_python(whole)

    def submit(self, **changes: Any) -> str:
        with self.sessions() as session:
            row = service.submit(session, project="default", spec=self.spec(**changes), actor="ann")
            session.commit()
            return row.id

    def cancel(self, job_id: str) -> None:
        with self.sessions() as session:
            service.cancel(session, session.get_one(Job, job_id), actor="ann")
            session.commit()

    def job(self, job_id: str) -> Job:
        with self.sessions() as session:
            return session.get_one(Job, job_id)

    def jobs(self) -> list[Job]:
        with self.sessions() as session:
            return list(session.scalars(select(Job).order_by(Job.id)))

    def attempts(self, job_id: str) -> list[Attempt]:
        with self.sessions() as session:
            return list(session.scalars(select(Attempt).where(Attempt.job_id == job_id).order_by(Attempt.number)))

    def events(self, job_id: str) -> list[str]:
        with self.sessions() as session:
            query = select(Event.action).where(Event.target_id == job_id).order_by(Event.id)
            return list(session.scalars(query))

    def look(self, reconciler: Reconciler[Any, Any, Any] | None = None, *, only: str | None = None) -> None:
        """A step of every job (or of one job, or of one reconciler's rows) and then a decision of the queue, as if all
        were due, and neither back-off nor stale lease were left."""
        with self.sessions() as session:
            session.execute(update(Job).values(not_before=None))
            session.commit()
        self._step(reconciler or self.reconciler, only)
        if reconciler is None and only is None:
            self.decide()

    def decide(self) -> None:
        """The queue is decided."""
        self._step(QueueReconciler(self.settings))

    def _step(self, reconciler: Reconciler[Any, Any, Any], only: str | None = None) -> None:
        with self.sessions() as session:
            due = update(reconciler.table).values(due_at=db_now(), lease_until=None)
            session.execute(due.where(reconciler.table.id == only) if only else due)
            session.commit()
            claimed = claim(session, reconciler, 1_000)
        for row_id, lease in claimed:
            step(self.sessions, reconciler, row_id, lease)

    def look_until(self, reached: Callable[[], bool], looks: int = 20) -> None:
        for _ in range(looks):
            if reached():
                return
            self.look()
        assert reached(), [(job.status, job.reason, job.message) for job in self.jobs()]

    def reach(self, job_id: str, status: str) -> Job:
        self.look_until(lambda: self.job(job_id).status == status)
        return self.job(job_id)

    def see_cluster(self) -> None:
        """A look at which the size is asked for too."""
        with self.sessions() as session:
            session.get_one(Cluster, CLUSTER).sized_at = None
            session.commit()
        self.probe()

    def probe(self) -> None:
        self.look(ClusterReconciler(self.clients))

    def lose_ray(self) -> None:
        """Ray's head does not answer, for long enough to be known."""
        self.clients.faults.down = {"jobs"}
        with self.sessions() as session:
            session.get_one(Cluster, CLUSTER).last_seen_at = now(session) - timedelta(minutes=1)
            session.commit()
        self.see_cluster()
        self.see_cluster()

    def find_ray(self) -> None:
        self.clients.faults.down = set()
        self.see_cluster()

    @property
    def reconciler(self) -> JobReconciler:
        return JobReconciler(self.settings, self.clients)

    def finish(self, job_id: str, **tags: str) -> None:
        """The running job does its work: logs, tags its run, ends well."""
        job = self.job(job_id)
        assert job.run_id is not None
        self.clients.mlflow.log(job.run_id, {"val/loss": [0.9, 0.5], "test/accuracy": [0.97]})
        told = {RunTag.MODEL_URI: f"models:/m-{job_id}", RunTag.PRIMARY_METRIC: "test/accuracy", **tags}
        self.clients.mlflow.tag(job.run_id, {str(key): value for key, value in told.items()})
        submission = f"{job_id}-{job.attempt}"
        self.clients.jobs.jobs[submission].logs = "epoch 1\nDone in 3.0 s: models:/m-1\n"
        self.clients.jobs.succeed(submission)

    def tell_failure(self, job_id: str, attempt: int, **note: Any) -> None:
        """The running attempt leaves word of why it fails."""
        text = notes.FailureNote(**note).model_dump_json()
        self.clients.storage.files[notes.failure_path(job_id, attempt)] = text.encode()

    def prints(self, job_id: str, *texts: str, source: str = "driver", attempt: int = 1, **at: Any) -> None:
        """A process of the job has written these lines so far, each with the level that its text tells."""
        write_log(self.clients, job_id, *texts, source=source, attempt=attempt, **at)

    def clear(self) -> None:
        """As before the first job: for a property test, which has many worlds in one database."""
        with self.sessions() as session:
            for table in (Attempt, Job):
                session.execute(delete(table))
            session.execute(delete(Cluster).where(Cluster.id == CLUSTER))
            service.ensure_cluster(session)
            session.commit()


@pytest.fixture
def make_world() -> Callable[[sessionmaker[Session], FakeClients], World]:
    def make(sessions: sessionmaker[Session], clients: FakeClients) -> World:
        return World(sessions, clients, Settings(storage_uri="memory://storage", max_concurrent_jobs=16))

    return make


@pytest.fixture
def world(sessions: sessionmaker[Session], make_world: Callable[..., World]) -> World:
    world = make_world(sessions, fake_clients())
    with sessions() as session:
        service.ensure_cluster(session)
        session.commit()
    world.see_cluster()
    return world


@pytest.fixture
def over(api: Any, make_world: Callable[..., World]) -> World:
    """The reconcilers over the same database and fakes as the API, with a cluster that was seen."""
    world = make_world(api.sessions, api.clients)
    world.see_cluster()
    return world


@pytest.fixture
def make_follower(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Follower]:
    monkeypatch.setattr(stream, "STATE_EVERY_S", 0)

    def make(api: Any, job_id: str, **options: Any) -> Follower:
        return Follower(Tail(api.sessions, api.clients, "http://ratchet.test", "default", job_id), **options)

    return make
