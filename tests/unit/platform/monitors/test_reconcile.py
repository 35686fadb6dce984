"""A tick makes a check, a check a job, a job a verdict, a drift an alert, and an alert a run of the pipeline."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from ratchet.db import now
from ratchet.endpoints.tables import Variant
from ratchet.errors import Conflict
from ratchet.events import Event
from ratchet.jobs.tables import CLUSTER, Cluster
from ratchet.monitors import service
from ratchet.monitors.status import CHECK_MOVES, CheckStatus, MonitorStatus
from ratchet.monitors.tables import Check, Monitor
from ratchet.pipelines.tables import PipelineStep
from ratchet.reconciler.loop import StaleClaimError, claim, step

DRIFT: dict[str, Any] = {
    "verdict": "drift",
    "alpha": 0.01,
    "rows": {"reference": 400, "current": 250},
    "columns": [{"column": "radius", "drifted": True}, {"column": "texture", "drifted": False}],
    "drifted_columns": 1,
}
NO_DRIFT = {**DRIFT, "verdict": "no_drift", "columns": [{"column": "radius", "drifted": False}], "drifted_columns": 0}
TOO_FEW = {"verdict": "insufficient_data", "alpha": 0.01, "rows": {"reference": 400, "current": 12}}


def test_a_tick_makes_one_check_however_often_one_looks(world: Any) -> None:
    monitor = world.watch(window_s=600)
    world.look(world.ticks)
    assert world.checks() == []  # its first tick is to come
    tick = world.hours_pass(monitor, 0.01)
    for _ in range(3):
        world.look(world.ticks)
    [check] = world.checks()
    assert check.scheduled_for == tick
    assert check.until - check.since == timedelta(seconds=600)
    assert check.until >= tick
    assert world.monitor(monitor).next_check_at > check.until
    assert world.monitor(monitor).due_at is not None


def test_ticks_that_were_missed_are_not_made_up_for(world: Any) -> None:
    monitor = world.watch(schedule="*/5 * * * *")
    world.hours_pass(monitor, 6)
    world.look(world.ticks)
    world.look(world.ticks)
    assert len(world.checks()) == 1
    following = world.monitor(monitor).next_check_at
    with world.sessions() as session:
        assert now(session) < following <= now(session) + timedelta(minutes=5)


def test_whoever_lost_the_row_makes_no_check(world: Any) -> None:
    monitor = world.watch()
    world.hours_pass(monitor)
    with world.sessions() as session:
        [(row_id, lease)] = claim(session, world.ticks, 1)
    world.look(world.ticks)  # another reconciler took over: the lease of the first had run out
    with pytest.raises(StaleClaimError):
        step(world.sessions, world.ticks, row_id, lease)
    assert len(world.checks()) == 1


def test_a_crash_before_the_commit_leaves_the_tick_for_the_next(world: Any) -> None:
    monitor = world.watch()
    tick = world.hours_pass(monitor)
    dying = world.ticks
    record = dying.record

    def record_and_die(session: Any, *args: Any) -> None:
        record(session, *args)
        session.flush()
        raise RuntimeError("killed")

    dying.record = record_and_die
    with pytest.raises(RuntimeError, match="killed"):
        world.look(dying)
    assert world.checks() == []
    world.look(world.ticks)
    assert [check.scheduled_for for check in world.checks()] == [tick]


def test_a_tick_that_is_seen_twice_finds_its_check(world: Any) -> None:
    monitor = world.watch()
    tick = world.hours_pass(monitor)
    world.look(world.ticks)
    with world.sessions() as session:  # as after a write of the next tick that was lost
        again = session.get_one(Monitor, monitor)
        again.next_check_at = again.due_at = tick
        session.commit()
    world.look(world.ticks)
    assert [check.scheduled_for for check in world.checks()] == [tick]


def test_the_database_itself_keeps_a_tick_to_one_check(world: Any) -> None:
    monitor = world.watch()
    world.hours_pass(monitor)
    world.look(world.ticks)
    [check] = world.checks()
    twin = Check(
        id="chk-twin",
        project="default",
        monitor_id=monitor,
        scheduled_for=check.scheduled_for,
        since=check.since,
        until=check.until,
        status="pending",
        report="",
    )
    with world.sessions() as session:
        session.add(twin)
        with pytest.raises(IntegrityError):
            session.flush()


def test_a_paused_monitor_rests_and_a_resumed_one_goes_on_from_now(world: Any) -> None:
    monitor = world.watch()
    world.hours_pass(monitor)
    world.set_status(monitor, MonitorStatus.PAUSED)
    assert world.monitor(monitor).next_check_at is None
    world.look(world.ticks)
    assert world.checks() == []
    world.set_status(monitor, MonitorStatus.ACTIVE)
    world.look(world.ticks)
    assert world.checks() == []
    following = world.monitor(monitor).next_check_at
    with world.sessions() as session:
        assert following > now(session)


def test_one_that_is_paused_during_a_look_makes_no_check(world: Any) -> None:
    monitor = world.watch()
    world.hours_pass(monitor)
    slow = world.ticks
    slow.act = lambda seen: world.set_status(monitor, MonitorStatus.PAUSED)
    world.look(slow)
    assert world.checks() == []
    assert world.monitor(monitor).due_at is None


def test_a_check_is_a_job_against_what_serves_most(world: Any) -> None:
    monitor = world.watch(alpha=0.02, min_rows=50, max_rows=1_000)
    check_id = world.check_now(monitor)
    world.look(world.checking)
    world.look(world.checking)
    [check], [job] = world.checks(), world.jobs()
    assert (check.status, check.job_id, job.kind, job.created_by) == ("running", job.id, "drift_check", "system")
    spec = job.spec
    assert spec["model"] == {"name": "default.cancer", "version": 3}
    assert spec["predictions"] == f"{world.settings.storage}/predictions/default/cancer"
    assert (spec["alpha"], spec["min_rows"], spec["max_rows"]) == (0.02, 50, 1_000)
    assert (spec["since"], spec["until"]) == (check.since.isoformat(), check.until.isoformat())
    assert spec["report"] == f"{world.settings.storage}/reports/{monitor}/{check_id}.html"


@pytest.mark.parametrize(
    ("result", "says", "alerts"),
    [
        (DRIFT, "Drift in 1 of 2 columns (radius): 250 requests against 400 rows of training data", 1),
        (NO_DRIFT, "No drift in 1 columns: 250 requests against 400 rows of training data.", 0),
        (TOO_FEW, "Only 12 requests in the window: nothing is said of drift.", 0),
    ],
)
def test_a_verdict_in_words_and_an_alert_for_drift_alone(
    world: Any, result: dict[str, Any], says: str, alerts: int
) -> None:
    world.check_now(world.watch())
    world.finish_checks(result)
    world.look(world.checking)
    [check] = world.checks()
    assert (check.status, check.verdict, check.result) == ("succeeded", result["verdict"], result)
    assert check.message.startswith(says)
    assert check.ended_at is not None
    assert check.due_at is None
    assert len(world.alerts()) == alerts
    assert world.runs() == []


def test_an_alert_starts_the_pipeline(world: Any) -> None:
    world.add_pipeline()
    world.check_now(world.watch(pipeline="retrain"))
    world.finish_checks(DRIFT)
    [alert], [run] = world.alerts(), world.runs()
    assert alert.pipeline_run_id == run.id
    assert (run.trigger_kind, run.trigger_ref, run.created_by) == ("alert", alert.id, "system")
    assert alert.message.startswith("Endpoint 'cancer': Drift in 1 of 2 columns (radius)")
    with world.sessions() as session:
        assert len(session.scalars(select(PipelineStep)).all()) == 6


def test_ten_alerts_start_one_run(world: Any) -> None:
    world.add_pipeline()
    monitor = world.watch(pipeline="retrain")
    for _ in range(10):
        world.hours_pass(monitor)
        world.look(world.ticks)
    world.finish_checks(DRIFT)
    alerts, [run] = world.alerts(), world.runs()
    assert len(alerts) == 10
    assert {alert.pipeline_run_id for alert in alerts} == {run.id}
    assert run.trigger_ref == alerts[0].id


def test_a_crash_while_an_alert_is_raised_leaves_no_half_of_it(world: Any) -> None:
    world.add_pipeline()
    world.check_now(world.watch(pipeline="retrain"))
    world.look(world.checking)
    world.end_jobs(result=DRIFT)
    dying = world.checking
    record = dying.record

    def record_and_die(session: Any, *args: Any) -> None:
        record(session, *args)
        session.flush()
        raise RuntimeError("killed")

    dying.record = record_and_die
    with pytest.raises(RuntimeError, match="killed"):
        world.look(dying)
    assert (world.alerts(), world.runs(), world.checks()[0].status) == ([], [], "running")
    world.look(world.checking)
    assert (len(world.alerts()), len(world.runs()), world.checks()[0].status) == (1, 1, "succeeded")


@pytest.mark.parametrize("status", ["failed", "cancelled"])
def test_a_job_that_failed_is_a_check_that_failed_for_its_reason(world: Any, status: str) -> None:
    world.check_now(world.watch())
    world.look(world.checking)
    world.end_jobs(status, message="There is no profile of the training data.")
    world.look(world.checking)
    [check] = world.checks()
    assert (check.status, check.verdict) == ("failed", None)
    assert check.message == "There is no profile of the training data."
    assert world.alerts() == []


def test_a_job_that_wrote_no_result_is_a_check_that_failed(world: Any) -> None:
    world.check_now(world.watch())
    world.look(world.checking)
    world.end_jobs(result=None)
    world.look(world.checking)
    [check] = world.checks()
    assert check.status == "failed"
    assert "wrote no drift.json" in check.message


def test_a_check_waits_for_mlflow(world: Any) -> None:
    world.check_now(world.watch())
    world.look(world.checking)
    world.end_jobs(result=DRIFT)
    world.clients.faults.down.add("mlflow")
    world.look(world.checking)
    assert world.checks()[0].status == "running"
    world.clients.faults.down.clear()
    world.look(world.checking)
    assert world.checks()[0].verdict == "drift"


def test_a_check_that_no_job_can_be_made_of_fails(world: Any) -> None:
    with world.sessions() as session:
        cluster = session.get_one(Cluster, CLUSTER)
        cluster.last_seen_at, cluster.cpus = now(session), 0.5
        session.commit()
    world.check_now(world.watch())
    world.look(world.checking)
    [check] = world.checks()
    assert check.status == "failed"
    assert "the whole cluster has 0.5" in check.message
    assert world.jobs() == []


def test_a_check_of_an_endpoint_that_serves_nothing_yet_fails(world: Any) -> None:
    with world.sessions() as session:
        for variant in session.scalars(select(Variant)):
            variant.version, variant.alias = None, "champion"
        session.commit()
    world.check_now(world.watch())
    world.look(world.checking)
    [check] = world.checks()
    assert check.status == "failed"
    assert "serves no model version yet" in check.message


def test_every_step_of_a_check_is_an_event(world: Any) -> None:
    check = world.check_now(world.watch())
    world.finish_checks(DRIFT)
    with world.sessions() as session:
        actions = list(session.scalars(select(Event.action).where(Event.target_id == check).order_by(Event.id)))
    assert actions == ["check.started", "check.running", "check.succeeded"]


@given(before=st.sampled_from(CheckStatus), to=st.sampled_from(CheckStatus))
def test_a_check_takes_only_the_legal_moves(before: CheckStatus, to: CheckStatus) -> None:
    check = Check(id="chk-1", project="default", status=before.value)
    if to not in CHECK_MOVES[before]:
        with pytest.raises(Conflict):
            service.move_check(None, check, to)  # type: ignore[arg-type] - it is refused before any query
        assert check.status == before
