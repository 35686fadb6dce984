"""Whatever happens to a run, and wherever the reconciler dies: one job, legal moves alone, one end, and control keeps
the traffic and the alias unless the run succeeded."""

from __future__ import annotations

import contextlib
import itertools
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from ratchet.errors import Conflict
from ratchet.events import Event
from ratchet.pipelines import service
from ratchet.pipelines.reconcile import PipelineRunReconciler
from ratchet.pipelines.status import RUN_MOVES, STEP_MOVES, RunStatus, StepStatus
from ratchet.pipelines.tables import PipelineRun, PipelineStep

STEPS = ["train", "gate", "register", "deploy", "abtest", "promote"]
LEGAL = {state.value: {to.value for to in moves} | {state.value} for state, moves in STEP_MOVES.items()}


class Crash(BaseException):
    """As kill -9: nothing in the code under test may handle it."""


class CrashingRunner(PipelineRunReconciler):
    """Dies in the looks that are planned, before anything is written or after all of it and before the commit."""

    def __init__(self, plan: list[tuple[int, str]]) -> None:
        self.plan = plan
        self.looks = itertools.count()
        self.deaths = 0

    def record(self, session: Any, row: PipelineRun, seen: bool, found: None) -> Any:
        number = next(self.looks)
        self._die(number, "before")
        again = super().record(session, row, seen, found)
        session.flush()
        self._die(number, "after")
        return again

    def _die(self, number: int, moment: str) -> None:
        if (number, moment) in self.plan:
            self.deaths += 1
            raise Crash(f"{moment} look {number}")


def look(world: Any, runner: CrashingRunner) -> None:
    with contextlib.suppress(Crash):
        world.look(runner)


def end_of(world: Any, run_id: str, runner: CrashingRunner, happening: dict[int, str]) -> PipelineRun:
    """Take a run to its end, one look at a time; every step's moves are looked at."""
    before = world.steps(run_id)
    for number in range(40):
        happen(world, run_id, happening.get(number, "well"))
        world.work(rounds=2)
        look(world, runner)
        after = world.steps(run_id)
        for name in STEPS:
            # A look may take a step through `running`: one that can't even begin has failed at once.
            reached = LEGAL[before[name]] | (LEGAL["running"] if before[name] == "pending" else set())
            assert after[name] in reached, (name, before[name], after[name])
        assert len(world.jobs("train")) <= 1
        assert len(world.jobs("evaluate")) <= 1
        assert len(world.abtests()) <= 1
        before = after
        if world.run(run_id).status != "running":
            break
    return world.run(run_id)


def happen(world: Any, run_id: str, what: str) -> None:
    match what:
        case "well":
            world.go_well()
        case "job_fails":
            world.end_job("train", "failed", "No.")
        case "not_better":
            world.end_job("evaluate", accuracy=0.5)
        case "not_served":
            world.replicas.failing["v2"] = "No."
        case "loses":
            world.decide("roll_back", "worse")
        case "cancel":
            if world.run(run_id).status == "running":
                world.cancel(run_id)


plans = st.lists(st.tuples(st.integers(0, 16), st.sampled_from(["before", "after"])), max_size=5)
happenings = st.dictionaries(
    st.integers(0, 14),
    st.sampled_from(["nothing", "job_fails", "not_better", "not_served", "loses", "cancel"]),
    max_size=3,
)


@pytest.mark.slow
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(plan=plans, happening=happenings)
def test_whatever_happens_a_run_ends_once(world: Any, plan: list[tuple[int, str]], happening: dict[int, str]) -> None:
    world.begin_anew()
    world.create()
    run_id = world.start()
    run = end_of(world, run_id, CrashingRunner(plan), happening)
    assert run.status in {"succeeded", "failed", "cancelled"}
    states = list(world.steps(run_id).values())
    done = list(itertools.takewhile(lambda state: state == "succeeded", states))
    assert states[len(done) :] == (["failed"] if run.status == "failed" else []) + ["skipped"] * states.count("skipped")
    world.work()
    if run.status == "succeeded":
        assert world.weights()["v2"] == 1.0
    else:
        promoted = bool(world.champion_moves())  # and cancelled, or served no more, after that
        assert world.weights()["first"] == (0.0 if promoted and run.status == "cancelled" else 1.0)
        assert promoted <= (len(done) == 5)
    assert len(world.champion_moves()) == world.aliases()["champion"] - 1
    with world.sessions() as session:
        query = select(Event.action).where(Event.target_id == run_id).order_by(Event.id)
        assert list(session.scalars(query)) == ["pipeline_run.started", f"pipeline_run.{run.status}"]


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_crash_at_every_look_delays_a_run_and_changes_nothing_else(world: Any, moment: str) -> None:
    """Every second look dies, so that each step's beginning and each step's end is tried once more."""
    world.create()
    run_id = world.start()
    runner = CrashingRunner([(number, moment) for number in range(0, 60, 2)])
    run = end_of(world, run_id, runner, {})
    assert (run.status, world.steps(run_id)) == ("succeeded", dict.fromkeys(STEPS, "succeeded"))
    assert runner.deaths >= 6
    assert [len(world.jobs(kind)) for kind in ("train", "evaluate")] == [1, 1]
    assert len(world.champion_moves()) == 1


@given(before=st.sampled_from(StepStatus), to=st.sampled_from(StepStatus))
def test_a_step_takes_only_the_legal_moves(before: StepStatus, to: StepStatus) -> None:
    step = PipelineStep(run_id="run-1", position=0, name="train", status=before.value, message="")
    if to not in STEP_MOVES[before]:
        with pytest.raises(Conflict):
            service.move_step(None, step, to)  # type: ignore[arg-type] - it is refused before any query
        assert step.status == before


@given(before=st.sampled_from(RunStatus), to=st.sampled_from(RunStatus))
def test_a_run_takes_only_the_legal_moves(before: RunStatus, to: RunStatus) -> None:
    run = PipelineRun(id="run-1", project="default", status=before.value)
    if to not in RUN_MOVES[before]:
        with pytest.raises(Conflict):
            service.end(None, run, to, reason="", message="", actor="ann")  # type: ignore[arg-type] - as above
        assert run.status == before
