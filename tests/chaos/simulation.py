"""A control plane that is killed anywhere, on a clock of its own: the database, the reconcilers, and engines in memory.

Everything runs in one thread and follows from a seed, so that a failure comes again. A process dies where a failpoint
is reached: before and after every commit, and before and after every outside call. What dies leaves what it had
committed and what the engines had heard, and nothing else; a new one starts on that. A process can also be stopped
(SIGSTOP) at a call, for longer than its lease lasts: another takes its rows over, and the first goes on where it was.
"""

from __future__ import annotations

import random
import secrets
import shutil
import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import event, select
from sqlalchemy.orm import Session, sessionmaker

from ratchet import db
from ratchet.clients.fakes import FakeClients, fake_clients
from ratchet.clients.guard import guarded
from ratchet.clients.ports import Clients
from ratchet.errors import RatchetError
from ratchet.jobs import service
from ratchet.jobs.status import JobStatus
from ratchet.jobs.tables import Attempt, Job
from ratchet.projects.service import ensure_default
from ratchet.reconciler.__main__ import reconcilers
from ratchet.reconciler.loop import Loop
from ratchet.settings import Settings
from ratchet_pipelines.spec import ENVELOPE_VARIABLE, Envelope, ExitCode, JobSpec, RunTag

SPECS: TypeAdapter[JobSpec] = TypeAdapter(JobSpec)
STOPPED_FOR = timedelta(seconds=40)
ROUNDS_TO_SETTLE = 400
SWEEP_WITHIN = timedelta(seconds=30)


class Crash(BaseException):
    """As kill -9: nothing in the code under test may handle it."""


@dataclass
class Clock:
    """The database's clock and the breakers', moved by the simulation alone."""

    at: datetime = datetime(2026, 3, 1, tzinfo=UTC)

    def __call__(self) -> float:
        return self.at.timestamp()

    def advance(self, by: timedelta) -> None:
        self.at += by

    def strftime(self, form: str, moment: str) -> str:
        assert (form, moment) == ("%Y-%m-%d %H:%M:%f", "now"), "SQLite's clock is asked for in one way"
        return f"{self.at:%Y-%m-%d %H:%M:%S}.{self.at.microsecond // 1000:03d}"


@dataclass
class Failpoints:
    """Counts the places where a process may die or be stopped; does it at the planned ones."""

    kill_at: set[int] = field(default_factory=set)
    stop_at: set[int] = field(default_factory=set)
    reached: int = 0
    trace: list[str] = field(default_factory=list)
    killed: Counter[str] = field(default_factory=Counter)
    stopped: Counter[str] = field(default_factory=Counter)
    on: bool = True
    over: bool = False
    while_stopped: Callable[[], None] = lambda: None

    def reach(self, name: str, *, can_stop: bool = False) -> None:
        if not self.on or self.over:
            return
        self.reached += 1
        self.trace.append(name)
        if self.reached in self.kill_at:
            self.killed[name] += 1
            raise Crash(name)
        if can_stop and self.reached in self.stop_at:
            self.stopped[name] += 1
            self.while_stopped()


class Machine:
    """A database file and its engine, for one world after another: what SQLAlchemy has compiled is kept."""

    def __init__(self, template: Path, path: Path) -> None:
        self.template, self.path = template, path
        self.clock = Clock()
        self.engine = db.open_engine(f"sqlite:///{path}")

        @event.listens_for(self.engine, "connect")
        def _connect(connection: sqlite3.Connection, _: Any) -> None:
            connection.execute("PRAGMA synchronous = OFF")  # processes die here, the machine does not
            connection.create_function("strftime", 2, lambda form, moment: self.clock.strftime(form, moment))

    def renew(self, clock: Clock) -> None:
        self.engine.dispose()
        for left in self.path.parent.glob(self.path.name + "*"):
            left.unlink()
        shutil.copy(self.template, self.path)
        self.clock = clock


class Process:
    """An API or a reconciler: sessions whose commits are failpoints."""

    def __init__(self, world: World, part: str) -> None:
        self.part = part
        self.sessions: sessionmaker[Session] = db.session_factory(world.machine.engine)
        points = world.points

        @event.listens_for(self.sessions, "before_commit")
        def _before(session: Session) -> None:
            points.reach(f"before commit of {part}")

        @event.listens_for(self.sessions, "after_commit")
        def _after(session: Session) -> None:
            points.reach(f"after commit of {part}")


@dataclass
class World:
    machine: Machine
    rng: random.Random
    points: Failpoints = field(default_factory=Failpoints)
    clock: Clock = field(default_factory=Clock)
    fakes: FakeClients = field(default_factory=fake_clients)
    settings: Settings = field(default_factory=lambda: Settings(storage_uri="memory://storage"))
    acknowledged: list[str] = field(default_factory=list)
    cancelled: set[str] = field(default_factory=set)
    """Jobs whose cancel was acknowledged."""
    unowned_since: dict[str, datetime] = field(default_factory=dict)
    ended_without_mlflow: set[str] = field(default_factory=set)
    """Jobs that ended with no run noted while MLflow was away."""
    restarts: int = 0

    def __post_init__(self) -> None:
        # Ids too follow from the seed.
        db.time = SimpleNamespace(time_ns=lambda: int(self.clock() * 1e9))  # type: ignore[assignment]
        db.secrets = SimpleNamespace(randbits=self.rng.getrandbits)  # type: ignore[assignment]
        self.machine.renew(self.clock)
        self.points.while_stopped = self._let_another_take_over
        self.fakes.faults.hook = self._at_call
        self.looking = False
        self.api = Process(self, "api")
        self.reader = Process(self, "reader")
        with self.quietly(), self.api.sessions() as session:
            ensure_default(session)
            service.ensure_cluster(session)
            session.commit()
        self.processes = [Process(self, "reconciler"), Process(self, "reconciler")]
        self.loop = self._start(self.processes[0])

    # -- processes

    def _start(self, process: Process) -> Loop:
        clients: Clients = guarded(self.fakes, self.clock)
        return Loop(process.sessions, reconcilers(self.settings, clients))

    def restart(self) -> None:
        """The reconciler died: a new one of the same database starts, as `reconciler.__main__` does on SQLite."""
        self.restarts += 1
        self.machine.engine.dispose()  # what it had not committed is undone
        self.loop = self._start(self.processes[0])
        try:
            self.loop.take_over()
        except Crash:
            self.restart()

    def look(self) -> None:
        """Every reconciler takes what is due and makes a step of each; then the process may have died."""
        try:
            self._look(self.loop)
        except Crash:
            self.restart()

    def _look(self, loop: Loop) -> None:
        before, self.looking = self.looking, True
        try:
            if self.rng.random() < 0.2:
                loop.heartbeat.beat()
            due = loop.due() or set()
            runners = [runner for runner in loop.runners if runner.reconciler.name in due]
            self.rng.shuffle(runners)
            for runner in runners:
                for row_id, lease in runner.claim(runner.free()):
                    runner.step(row_id, lease)
        finally:
            self.looking = before

    def _at_call(self, name: str, moment: str) -> None:
        if self.looking:
            assert self.machine.engine.pool.checkedout() == 0, f"{name} was called with a session open"  # type: ignore[attr-defined]
            self.points.reach(f"{moment} {name}", can_stop=True)

    def _let_another_take_over(self) -> None:
        """The reconciler is stopped at a call, and another on the same database works meanwhile."""
        self.points.on = False
        loop = self._start(self.processes[1])
        until = self.clock.at + STOPPED_FOR
        while self.clock.at < until:
            self.clock.advance(timedelta(seconds=self.rng.choice([1, 3, 11])))
            self._look(loop)
            self.happen()
        self.points.on = True

    def quietly(self) -> Quiet:
        return Quiet(self.points)

    # -- what callers do

    def submit(self, **spec: Any) -> None:
        spec = {"kind": "train", "data": {"uri": "sklearn://breast_cancer"}, "model": "m", **spec}
        try:
            with self.api.sessions() as session:
                row = service.submit(session, project="default", spec=SPECS.validate_python(spec), actor="ann")
                session.commit()
        except Crash:
            self.machine.engine.dispose()
        else:
            self.acknowledged.append(row.id)

    def cancel(self, job_id: str) -> None:
        try:
            with self.api.sessions() as session:
                service.cancel(session, session.get_one(Job, job_id), actor="ann")
                session.commit()
        except Crash:
            self.machine.engine.dispose()
        except RatchetError:
            return
        else:
            self.cancelled.add(job_id)

    # -- what the world does

    def happen(self) -> None:
        """Each job on Ray goes on a little: it may end well or badly, be lost, or stop as it was asked to."""
        for submission in list(self.fakes.jobs.live()):
            job = self.fakes.jobs.jobs[submission]
            envelope = Envelope.model_validate_json(job.env[ENVELOPE_VARIABLE])
            asked = f"jobs/{envelope.job}/preempt-{envelope.attempt}" in self.fakes.storage.files
            what = self.rng.choices(
                ["nothing", "run", "end", "user_error", "kill", "lose", "preempt"], [8, 6, 4, 1, 1, 1, 6 * asked]
            )[0]
            match what:
                case "run":
                    self.fakes.jobs.run(submission)
                case "end":
                    self.end(submission)
                case "user_error":
                    self.fakes.jobs.fail(submission, exit_code=ExitCode.USER_ERROR)
                case "kill":
                    self.fakes.jobs.fail(submission, exit_code=-9)
                case "lose":
                    self.fakes.jobs.lose(submission)
                case "preempt":
                    self.fakes.jobs.fail(submission, exit_code=ExitCode.PREEMPTED)

    def end(self, submission: str) -> None:
        """The job on Ray ends well, and tells its result in its run."""
        job = self.fakes.jobs.jobs[submission]
        envelope = Envelope.model_validate_json(job.env[ENVELOPE_VARIABLE])
        told = {RunTag.MODEL_URI: f"models:/m-{submission}", RunTag.PRIMARY_METRIC: "loss"}
        self.fakes.mlflow.log(envelope.run_id, {"loss": [0.9, 0.5]})
        self.fakes.mlflow.tag(envelope.run_id, {str(key): value for key, value in told.items()})
        job.logs = "Done.\n"
        self.fakes.jobs.succeed(submission)

    def lose_head(self) -> None:
        """Ray's head is started anew and knows nothing of before."""
        self.fakes.jobs.jobs.clear()

    # -- looking

    def rows(self) -> list[Job]:
        with self.quietly(), self.reader.sessions() as session:
            return list(session.scalars(select(Job).order_by(Job.id)))

    def attempts(self) -> list[Attempt]:
        with self.quietly(), self.reader.sessions() as session:
            return list(session.scalars(select(Attempt)))

    def settle(self) -> None:
        """No more faults: everything must come to its end by itself."""
        self.points.over = True
        self.fakes.faults.down = set()
        for _ in range(ROUNDS_TO_SETTLE):
            self.clock.advance(timedelta(seconds=self.rng.choice([1, 2, 5, 12])))
            self.look()
            self.happen()
            if all(JobStatus(row.status).ended for row in self.rows()) and not self.fakes.jobs.live():
                return

    def close(self) -> None:
        db.time, db.secrets = time, secrets
        self.machine.engine.dispose()


@dataclass
class Quiet:
    """While it lasts no failpoint counts: for what the simulation itself does."""

    points: Failpoints

    def __enter__(self) -> None:
        self.points.on = False

    def __exit__(self, *_: object) -> None:
        self.points.on = True
