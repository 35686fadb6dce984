"""Any history of jobs that users, Ray and crashes can bring about is legal: a state machine against the fake engine.

The fake behaves as Ray at its worst: it may not stop what it has not started, start a job long after it was asked to
stop it, and take a submission whose answer was lost after everybody has given it up.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import select

from ratchet import db
from ratchet.clients.fakes import FakeClients, FakeMlflow, FakeRayJobs, FakeRayServe, FakeStorage, Faults
from ratchet.clients.ports import ClusterInfo, EngineUnavailable, RayStatus
from ratchet.events import Event
from ratchet.jobs.status import MOVES, JobStatus
from ratchet.jobs.tables import Attempt, Job
from ratchet.projects.service import ensure_default
from ratchet_pipelines import notes
from ratchet_pipelines.spec import ExitCode, Retriable

CALLS = [
    "jobs.get",
    "jobs.submit",
    "jobs.stop",
    "mlflow.create_run",
    "mlflow.get_run",
    "mlflow.end_run",
    "storage.write",
]
EXITS = [0, 1, 64, 69, 71, 137, -9, None]
CANCELLED = 130


class Crash(BaseException):
    """As kill -9: nothing in the code under test may handle it."""


@dataclass
class SlowRay(FakeRayJobs):
    """A Ray that, while it is slow, answers no submission in time, and gets it later still."""

    faults: Faults
    slow: bool = False
    on_its_way: dict = field(default_factory=dict)

    def __post_init__(self):
        super().__init__(self.faults)

    def submit(self, submission_id, **asked):
        if self.slow:
            self.on_its_way[submission_id] = asked
            raise EngineUnavailable("Ray", "No answer in time.")
        super().submit(submission_id, **asked)

    def deliver(self):
        submission_id, asked = self.on_its_way.popitem()
        super().submit(submission_id, **asked)


class Histories(RuleBasedStateMachine):
    def __init__(self, make_world, sessions):
        super().__init__()
        faults = Faults()
        self.ray = SlowRay(faults)
        self.ray.size = ClusterInfo(cpus=4, gpus=0, memory_bytes=0)
        self.clients = FakeClients(self.ray, FakeRayServe(faults), FakeMlflow(faults), FakeStorage(faults), faults)
        self.world = make_world(sessions, self.clients)
        self.world.clear()
        self.world.see_cluster()
        self.ids: list[str] = []
        self.planned: tuple[str, str] | None = None

    @initialize(slow=st.booleans(), obeys=st.booleans())
    def begin_with(self, slow, obeys):
        self.ray.slow, self.ray.stops_at_once = slow, obeys

    # -- what users do

    @precondition(lambda self: len(self.ids) < 4)
    @rule(
        workers=st.integers(1, 3),
        most=st.integers(1, 4),
        retry_on=st.lists(st.sampled_from(Retriable), unique=True),
        preemptible=st.booleans(),
        priority=st.integers(0, 2),
    )
    def submit(self, workers, most, retry_on, preemptible, priority):
        changes = {"max_attempts": most, "retry_on": retry_on, "preemptible": preemptible, "priority": priority}
        self.ids.append(self.world.submit(resources={"workers": workers}, pending_deadline_s=60, **changes))

    @precondition(lambda self: self.ids)
    @rule(which=st.integers(0, 3))
    def cancel(self, which):
        job = self.world.job(self.ids[which % len(self.ids)])
        if not JobStatus(job.status).ended and job.status != "finalizing":
            self.world.cancel(job.id)

    # -- what the platform does

    @rule(times=st.integers(1, 4))
    def looks(self, times):
        for _ in range(times):
            self.look()
        self.world.see_cluster()

    def look(self):
        self.clients.faults.hook = self.crash
        try:
            self.world.look()
        except Crash:
            pass
        finally:
            self.clients.faults.hook = lambda name, moment: None

    # -- what time does

    @precondition(lambda self: self.ids)
    @rule(which=st.integers(0, 3), what=st.sampled_from(["deadline_at", "created_at", "stopping_since", "attempt"]))
    def wait_long(self, which, what):
        """As if hours had passed for one thing."""
        with self.world.sessions() as session:
            job = session.get_one(Job, self.ids[which % len(self.ids)])
            row, column = (
                (job, what) if what != "attempt" else (session.get(Attempt, (job.id, job.attempt)), "started_at")
            )
            if row is not None and getattr(row, column) is not None:
                setattr(row, column, getattr(row, column) - timedelta(days=2))
            session.commit()

    # -- what the cluster does

    def pending(self):
        return [id for id in self.ray.jobs if self.ray.jobs[id].info.status is RayStatus.PENDING]

    def running(self):
        return [id for id in self.ray.jobs if self.ray.jobs[id].info.status is RayStatus.RUNNING]

    @precondition(lambda self: self.pending())
    @rule(which=st.integers(0, 9))
    def begin(self, which):
        """Ray starts a driver, which looks for a bar before anything else."""
        pending = self.pending()
        submission = pending[which % len(pending)]
        job_id, _, number = submission.rpartition("-")
        if notes.bar_path(job_id, int(number)) in self.clients.storage.files:
            self.ray.fail(submission, exit_code=CANCELLED)
            return
        job = self.world.job(job_id)
        assert not JobStatus(job.status).ended, "a job that has ended begins"
        assert job.attempt == int(number), "an attempt that was given up begins"
        self.ray.run(submission)

    @precondition(lambda self: self.running())
    @rule(which=st.integers(0, 9), code=st.sampled_from(EXITS))
    def end(self, which, code):
        running = self.running()
        submission = running[which % len(running)]
        job_id, _, number = submission.rpartition("-")
        if notes.preempt_path(job_id, int(number)) in self.clients.storage.files:
            code = ExitCode.PREEMPTED
        if code == 0:
            self.ray.succeed(submission)
        else:
            self.ray.fail(submission, exit_code=code)

    @precondition(lambda self: self.ray.jobs)
    @rule()
    def lose_the_head(self):
        self.ray.jobs.clear()
        self.ray.on_its_way.clear()

    @rule(
        crash=st.none() | st.tuples(st.sampled_from(CALLS), st.sampled_from(["before", "after"])),
        down=st.sets(st.sampled_from(["jobs", "mlflow", "storage"]), max_size=1),
        obeys=st.booleans(),
        slow=st.booleans(),
    )
    def trouble(self, crash, down, obeys, slow):
        """What goes wrong from now on: a crash at a call, an engine that is down, a Ray that is slow or deaf."""
        self.planned, self.clients.faults.down = crash, down
        self.ray.stops_at_once, self.ray.slow = obeys, slow

    @precondition(lambda self: self.ray.on_its_way and "jobs" not in self.clients.faults.down)
    @rule()
    def arrive(self):
        self.ray.deliver()

    # -- what must hold after each

    @invariant()
    def history_is_legal(self):
        with self.world.sessions() as session:
            query = select(Event).where(Event.target_id.in_(self.ids), Event.action != "job.submitted")
            at = dict.fromkeys(self.ids, JobStatus.QUEUED)
            for event in session.scalars(query.order_by(Event.id)):
                before, after = JobStatus(event.before["status"]), JobStatus(event.after["status"])
                assert before is at[event.target_id]
                assert after in MOVES[before]
                at[event.target_id] = after
        assert {job.id: job.status for job in self.world.jobs()} == at

    @invariant()
    def no_two_attempts_live(self):
        running = Counter(id.rpartition("-")[0] for id in self.running())
        assert all(count == 1 for count in running.values())
        known = {attempt.submission_id for job in self.world.jobs() for attempt in job.attempts}
        assert set(self.ray.jobs) <= known, "a job in Ray that the database does not know"

    @invariant()
    def at_most_the_newest_attempt_is_open(self):
        for job in self.world.jobs():
            opened = [attempt.number for attempt in job.attempts if attempt.ended_at is None]
            assert opened in ([], [job.attempt])
            assert not (opened and JobStatus(job.status).ended)

    def crash(self, name, moment):
        if self.planned == (name, moment):
            self.planned = None
            raise Crash(f"{moment} {name}")

    def teardown(self):
        """All is well again: every job comes to its one end, and nothing is left of it."""
        self.planned, self.clients.faults.down = None, set()
        self.ray.slow, self.ray.stops_at_once = False, True
        self.world.see_cluster()
        for _ in range(120):
            if all(JobStatus(job.status).ended for job in self.world.jobs()):
                break
            self.look()
            if self.pending():
                self.begin(0)
            for submission in self.running():
                self.ray.succeed(submission)
            self.no_two_attempts_live()
        for job in self.world.jobs():
            assert JobStatus(job.status).ended, (job.status, job.message)
            assert job.run_id is None or self.clients.mlflow.runs[job.run_id].ended
        while self.ray.on_its_way:
            self.ray.deliver()
        while self.pending():
            self.begin(0)
        assert not self.running(), "a job in Ray that nobody owns"
        self.history_is_legal()


@pytest.mark.slow
def test_every_history_is_legal(sqlite_database, make_world):
    engine = db.open_engine(sqlite_database)
    sessions = db.session_factory(engine)
    with sessions() as session:
        ensure_default(session)
        session.commit()
    checks = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]
    run_state_machine_as_test(
        lambda: Histories(make_world, sessions),
        settings=settings(
            max_examples=30,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=checks,
            phases=[Phase.generate],
        ),
    )
    engine.dispose()
