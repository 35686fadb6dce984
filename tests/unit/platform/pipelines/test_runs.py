"""A run takes its six steps, or ends at one of them with its reason and control where it was."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from ratchet.abtests import service as abtests
from ratchet.abtests.schemas import NewABTest
from ratchet.db import now
from ratchet.endpoints import service as endpoints
from ratchet.endpoints.schemas import NewVariant
from ratchet.endpoints.tables import Variant
from ratchet.errors import Conflict
from ratchet.events import Event
from ratchet.jobs.tables import CLUSTER, Cluster, Job
from ratchet.pipelines.tables import Pipeline, PipelineRun

STEPS = ["train", "gate", "register", "deploy", "abtest", "promote"]


def failed_at(step: str) -> dict[str, str]:
    at = STEPS.index(step)
    states = ["succeeded"] * at + ["failed"] + ["skipped"] * (5 - at)
    return dict(zip(STEPS, states, strict=True))


def assert_control_stays(world: Any) -> None:
    world.work()
    assert world.weights()["first"] == 1.0
    assert world.aliases()["champion"] == 1
    assert world.champion_moves() == []


def test_a_run_takes_all_six_steps(world: Any) -> None:
    world.create(challenger_weight=0.3)
    run_id = world.start()
    world.reach(run_id, "abtest")
    assert world.weights() == {"first": 0.7, "v2": 0.3}
    [test] = world.abtests()
    assert (test.control, test.treatment, test.on_win, test.name) == ("first", "v2", "none", run_id)
    assert world.aliases() == {"champion": 1, "challenger": 2}
    run = world.finish(run_id)
    assert (run.status, run.reason) == ("succeeded", "")
    assert run.message == "Version 2 is champion and has all the traffic of cancer."
    assert world.steps(run_id) == dict.fromkeys(STEPS, "succeeded")
    assert world.weights() == {"first": 0.0, "v2": 1.0}
    assert world.aliases()["champion"] == 2
    [move] = world.champion_moves()
    assert (move.from_version, move.to_version) == (1, 2)
    assert move.evidence["abtest"] == test.id
    assert move.evidence["pipeline_run"] == run_id
    assert move.evidence["metrics"]["candidate"]["accuracy"] == 0.97
    rows = world.step_rows(run_id)
    assert [row.ref_kind for row in rows] == ["job", "promotion", "promotion", "endpoint", "abtest", "promotion"]
    assert all(row.started_at is not None and row.ended_at >= row.started_at for row in rows)
    assert run.due_at is None


def test_the_next_run_challenges_the_winner(world: Any) -> None:
    world.create()
    world.finish(world.start())
    run = world.finish(world.start())
    assert run.status == "succeeded"
    assert world.weights() == {"v2": 0.0, "v3": 1.0}
    assert world.aliases() == {"champion": 3, "challenger": 3}


def test_a_job_that_fails_ends_the_run(world: Any) -> None:
    world.create()
    run_id = world.start()
    world.reach(run_id, "train")
    world.end_job("train", "failed", "No column 'target'.")
    run = world.finish(run_id)
    assert (run.status, run.reason, run.message) == ("failed", "user_error", "Step train: No column 'target'.")
    assert world.steps(run_id) == failed_at("train")
    assert_control_stays(world)


def test_a_spec_that_no_longer_fits_the_cluster_ends_the_run(world: Any) -> None:
    world.create()
    run_id = world.start()
    with world.sessions() as session:
        cluster = session.get_one(Cluster, CLUSTER)
        cluster.last_seen_at, cluster.cpus = now(session), 0.5
        session.commit()
    run = world.finish(run_id)
    assert (run.status, run.reason) == ("failed", "too_large_for_cluster")
    assert world.steps(run_id) == failed_at("train")
    assert world.jobs("train") == []


def test_a_version_that_is_not_better_ends_at_the_gate(world: Any) -> None:
    world.create()
    run_id = world.start()
    world.reach(run_id, "gate")
    world.look(world.workers[0])
    world.end_job("evaluate", accuracy=0.91)
    run = world.finish(run_id)
    assert (run.status, run.reason) == ("failed", "gate_refused")
    assert "0.91" in run.message
    assert world.steps(run_id) == failed_at("gate")
    assert world.weights() == {"first": 1.0}
    assert_control_stays(world)


def test_a_gate_that_could_not_be_evaluated_ends_the_run(world: Any) -> None:
    world.create()
    run_id = world.start()
    world.reach(run_id, "gate")
    world.look(world.workers[0])
    world.end_job("evaluate", "failed", "The file is gone.")
    run = world.finish(run_id)
    assert (run.status, run.reason) == ("failed", "gate_failed")
    assert "The file is gone." in run.message


def test_an_alias_that_can_not_be_set_ends_the_run(world: Any) -> None:
    world.create()
    run_id = world.start()
    world.reach(run_id, "register")
    world.clients.mlflow.models["default.cancer"].versions.pop()
    run = world.finish(run_id)
    assert (run.status, run.reason) == ("failed", "register_failed")
    assert world.steps(run_id) == failed_at("register")
    assert_control_stays(world)


def test_a_challenger_that_can_not_be_served_ends_the_run(world: Any) -> None:
    world.create()
    world.replicas.failing["v2"] = "No module named 'xgboost'"
    run_id = world.start()
    run = world.finish(run_id)
    assert (run.status, run.reason) == ("failed", "deploy_failed")
    assert "No module named 'xgboost'" in run.message
    assert world.steps(run_id) == failed_at("deploy")
    assert world.abtests() == []
    assert_control_stays(world)


def test_an_endpoint_without_a_version_to_compare_with_ends_the_run(world: Any) -> None:
    world.create()
    run_id = world.start()
    world.reach(run_id, "register")
    with world.sessions() as session:
        row = session.scalars(select(Variant)).one()
        row.version, row.alias = None, "nothing"
        session.commit()
    run = world.finish(run_id)
    assert (run.status, run.reason) == ("failed", "conflict")
    assert "serves no version to compare with" in run.message
    assert world.steps(run_id) == failed_at("deploy")


@pytest.mark.parametrize(
    ("decision", "reason"),
    [("roll_back", "worse"), ("inconclusive", "max_units"), ("inconclusive", "sample_ratio_mismatch")],
)
def test_a_challenger_that_does_not_win_ends_the_run(world: Any, decision: str, reason: str) -> None:
    world.create()
    run_id = world.start()
    world.reach(run_id, "abtest")
    world.decide(decision, reason, "Not better.")
    run = world.finish(run_id)
    assert (run.status, run.reason, run.message) == ("failed", f"abtest_{reason}", "Step abtest: Not better.")
    assert world.steps(run_id) == failed_at("abtest")
    assert world.weights() == {"first": 1.0, "v2": 0.0}
    assert_control_stays(world)


def test_a_test_that_is_stopped_ends_the_run(world: Any) -> None:
    world.create()
    run_id = world.start()
    world.reach(run_id, "abtest")
    world.stop_abtest()
    run = world.finish(run_id)
    assert (run.status, run.reason) == ("failed", "abtest_stopped_by_user")
    assert_control_stays(world)


def test_a_test_that_can_not_begin_ends_the_run_and_control_serves_alone(world: Any) -> None:
    """Someone else's test began on the endpoint between two steps."""
    world.create()
    run_id = world.start()
    world.reach(run_id, "deploy")
    world.work()
    with world.sessions() as session:
        new = NewABTest(name="mine", endpoint="cancer", control="first", treatment="v2")
        abtests.create(session, project="default", new=new, actor="ann")
        session.commit()
    run = world.finish(run_id)
    assert (run.status, run.reason) == ("failed", "conflict")
    assert "'mine' runs on endpoint 'cancer'" in run.message
    assert world.steps(run_id) == failed_at("abtest")
    assert_control_stays(world)


def test_a_champion_that_changed_meanwhile_is_not_overrun(world: Any) -> None:
    """The gate compared with version 1; by the time the test is won, somebody else is champion."""
    world.create()
    run_id = world.start()
    world.reach(run_id, "abtest")
    mlflow = world.clients.mlflow
    number = mlflow.create_version("default.cancer", source="models:/m-x", run_id="", tags={})
    mlflow.set_alias("default.cancer", "champion", number)
    run = world.finish(run_id)
    assert (run.status, run.reason) == ("failed", "promote_failed")
    assert world.steps(run_id) == failed_at("promote")
    world.work()
    assert world.aliases()["champion"] == number
    assert world.weights() == {"first": 1.0, "v2": 0.0}


@pytest.mark.parametrize("step", ["train", "gate", "register", "deploy", "abtest"])
def test_a_run_that_is_cancelled_leaves_nothing_running(world: Any, step: str) -> None:
    world.create()
    run_id = world.start()
    world.reach(run_id, step)
    world.cancel(run_id)
    run = world.run(run_id)
    assert (run.status, run.reason, run.message) == ("cancelled", "cancelled", "Cancelled by ann.")
    states = ["succeeded"] * STEPS.index(step) + ["skipped"] * (6 - STEPS.index(step))
    assert world.steps(run_id) == dict(zip(STEPS, states, strict=True))
    assert [job.status for job in world.jobs("train") if job.ended_at is None] == []
    assert [test.status for test in world.abtests() if test.status == "running"] == []
    with pytest.raises(Conflict, match="cancelled already"):
        world.cancel(run_id)
    world.look()
    assert world.run(run_id).status == "cancelled"
    assert_control_stays(world)
    world.start()


def test_a_run_whose_job_is_being_finished_can_be_cancelled(world: Any) -> None:
    world.create()
    run_id = world.start()
    world.reach(run_id, "train")
    with world.sessions() as session:
        session.scalars(select(Job)).one().status = "finalizing"
        session.commit()
    world.cancel(run_id)
    assert world.run(run_id).status == "cancelled"


def test_what_is_being_promoted_stays_so_when_a_run_is_cancelled(world: Any) -> None:
    world.create()
    run_id = world.start()
    world.reach(run_id, "promote")
    world.cancel(run_id)
    world.work()
    assert world.aliases()["champion"] == 2
    assert world.weights() == {"first": 0.0, "v2": 1.0}


def test_variants_that_a_person_put_there_meanwhile_are_left_alone(world: Any) -> None:
    world.create()
    run_id = world.start()
    world.reach(run_id, "abtest")
    with world.sessions() as session:
        mine = [NewVariant(name="mine", model="cancer", version=1)]
        endpoints.replace_variants(session, endpoints.get(session, "default", "cancer"), mine, "ann")
        session.commit()
    world.cancel(run_id)
    assert world.weights() == {"mine": 1.0}


def test_a_winner_that_can_be_served_no_more_does_not_keep_the_run_waiting(world: Any) -> None:
    world.create()
    run_id = world.start()
    world.reach(run_id, "promote")
    world.replicas.failing["v2"] = "Out of memory."
    run = world.finish(run_id)
    assert (run.status, run.reason) == ("failed", "deploy_failed")
    assert run.message == "Step promote: Version 2 is champion, and cancer can serve it no more: Out of memory."
    assert world.steps(run_id) == failed_at("promote")
    assert world.weights() == {"first": 1.0, "v2": 0.0}


def test_one_run_at_a_time(world: Any) -> None:
    pipeline = world.create()
    run_id = world.start()
    with pytest.raises(Conflict, match=run_id):
        world.start()
    twin = PipelineRun(
        id="run-twin",
        project="default",
        pipeline_id=pipeline,
        spec={},
        trigger_kind="manual",
        trigger_ref="",
        status="running",
        created_by="ann",
    )
    with world.sessions() as session:
        session.add(twin)
        with pytest.raises(IntegrityError):
            session.flush()
    assert [run.id for run in world.runs()] == [run_id]


def test_a_schedule_starts_a_run_once_a_tick(world: Any) -> None:
    pipeline = world.create(schedule="0 3 * * *")
    world.look_at_schedules()
    assert world.runs() == []
    tick = world.tick_was(pipeline, timedelta(days=3))
    world.look_at_schedules()
    world.look_at_schedules()
    [run] = world.runs()
    assert (run.trigger_kind, run.trigger_ref, run.created_by) == ("schedule", tick.isoformat(), "system")
    following = world.pipeline(pipeline).next_run_at
    with world.sessions() as session:
        assert now(session) < following <= now(session) + timedelta(days=1)
    assert world.pipeline(pipeline).due_at is not None


def test_a_tick_while_a_run_is_on_its_way_starts_no_other(world: Any) -> None:
    pipeline = world.create(schedule="0 3 * * *")
    run_id = world.start()
    world.tick_was(pipeline, timedelta(hours=1))
    world.look_at_schedules()
    assert [run.id for run in world.runs()] == [run_id]


def test_a_run_keeps_to_the_spec_with_which_it_began(world: Any) -> None:
    pipeline = world.create()
    run_id = world.start()
    with world.sessions() as session:
        row = session.get_one(Pipeline, pipeline)
        row.spec = {**row.spec, "endpoint": "nothing"}
        session.commit()
    assert world.finish(run_id).status == "succeeded"


def test_a_run_begins_and_ends_with_an_event(world: Any) -> None:
    world.create()
    run_id = world.start()
    world.finish(run_id)
    with world.sessions() as session:
        actions = list(session.scalars(select(Event.action).where(Event.target_id == run_id).order_by(Event.id)))
    assert actions == ["pipeline_run.started", "pipeline_run.succeeded"]
