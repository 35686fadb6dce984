"""From a prediction log and outcomes to a verdict, and from the verdict to the traffic and the alias."""

from __future__ import annotations

import shutil
from typing import Any

import pytest
from sqlalchemy import select

from ratchet.endpoints import service as endpoints
from ratchet.endpoints.tables import Endpoint
from ratchet.events import Event
from ratchet.models.tables import Promotion


def ended(world: Any, test_id: str) -> tuple[str, str, str]:
    test = world.test(test_id)
    return test.status, test.decision, test.reason


def test_a_better_treatment_gets_the_traffic(world: Any) -> None:
    test = world.start()
    world.arrive("old", right=200, wrong=200)
    world.arrive("new", right=390, wrong=10)
    world.look()
    assert ended(world, test) == ("decided", "promote", "better")
    assert world.weights() == {"old": 0.0, "new": 1.0}
    row = world.test(test)
    assert row.estimate["units"] == {"control": 400, "treatment": 400}
    assert row.estimate["means"] == pytest.approx({"control": 0.5, "treatment": 0.975})
    assert row.estimate["lower"] > 0
    assert row.decided_at is not None
    assert row.due_at is None


@pytest.mark.parametrize(
    ("new", "changes", "expected"),
    [
        ((200, 200), {}, ("decided", "roll_back", "worse")),
        ((390, 10), {"min_effect": 0.2}, ("decided", "roll_back", "below_min_effect")),
        ((390, 10), {"max_units": 800}, ("decided", "inconclusive", "max_units")),
    ],
)
def test_whatever_is_no_proven_improvement_leaves_control_alone(
    world: Any, new: tuple[int, int], changes: dict[str, Any], expected: tuple[str, str, str]
) -> None:
    test = world.start(**changes)
    world.gate(passed=True)
    world.arrive("old", right=390, wrong=10)
    world.arrive("new", *new)
    world.look()
    assert ended(world, test) == expected
    assert world.weights() == {"old": 1.0, "new": 0.0}
    world.move_aliases()
    assert (world.champion(), world.moves()) == (1, [])


def test_too_little_is_no_verdict_and_the_test_goes_on(world: Any) -> None:
    test = world.start()
    world.arrive("old", right=0, wrong=99)
    world.arrive("new", right=99)
    world.look()
    assert ended(world, test) == ("running", "go_on", "min_units")
    assert world.weights() == {"old": 0.5, "new": 0.5}
    assert world.test(test).due_at is not None
    world.arrive("old", right=0, wrong=1)
    world.arrive("new", right=1)
    world.look()
    assert ended(world, test) == ("decided", "promote", "better")


def test_a_verdict_alone_changes_nothing_when_that_is_asked(world: Any) -> None:
    test = world.start(on_win="none")
    world.gate(passed=True)
    world.arrive("old", right=0, wrong=200)
    world.arrive("new", right=200)
    world.look()
    world.move_aliases()
    assert ended(world, test) == ("decided", "promote", "better")
    assert (world.weights(), world.champion()) == ({"old": 0.5, "new": 0.5}, 1)


def test_the_alias_moves_with_a_gate_that_has_passed(world: Any) -> None:
    test = world.start()
    promotion = world.gate(passed=True)
    world.arrive("old", right=0, wrong=200)
    world.arrive("new", right=200)
    world.look()
    world.move_aliases()
    assert world.champion() == 2
    [move] = world.moves()
    assert (move.from_version, move.to_version, move.promotion_id) == (1, 2, promotion)
    assert move.evidence["abtest"] == test
    assert move.evidence["estimate"]["units"] == {"control": 200, "treatment": 200}


@pytest.mark.parametrize("gate", [{"passed": False}, {"passed": True, "version": 1}, None])
def test_the_alias_stays_without_one(world: Any, gate: dict[str, Any] | None) -> None:
    test = world.start()
    if gate is not None:
        world.gate(**gate)
    world.arrive("old", right=0, wrong=200)
    world.arrive("new", right=200)
    world.look()
    world.move_aliases()
    assert ended(world, test) == ("decided", "promote", "better")
    assert (world.champion(), world.moves()) == (1, [])
    assert "'champion' stays" in world.test(test).message
    with world.sessions() as session:
        assert not any(session.scalars(select(Promotion.move)))


def test_nothing_is_concluded_from_traffic_that_does_not_split_as_it_should(world: Any) -> None:
    test = world.start()
    world.gate(passed=True)
    world.arrive("old", right=0, wrong=200)
    world.arrive("new", right=500)
    world.look()
    assert ended(world, test) == ("decided", "inconclusive", "sample_ratio_mismatch")
    assert world.test(test).srm["alarm"]
    assert world.test(test).srm["observed"] == {"control": 200, "treatment": 500}
    assert world.weights() == {"old": 1.0, "new": 0.0}
    world.move_aliases()
    assert world.champion() == 1


def test_callers_whose_outcome_is_not_known_count_for_the_ratio_alone(world: Any) -> None:
    test = world.start()
    world.arrive("old", right=50)
    world.arrive("new", right=50)
    world.predict("new", 7)
    world.look()
    assert world.test(test).estimate["units"] == {"control": 50, "treatment": 50}
    assert world.test(test).srm["observed"] == {"control": 50, "treatment": 57}


def test_what_was_predicted_before_the_test_does_not_count(world: Any) -> None:
    before = world.endpoint().generation
    early = world.predict("old", 30)
    test = world.start()
    assert world.endpoint().generation > before
    world.outcomes(early, 0)  # they come true while the test runs
    late = world.predict("old", 30, generation=before)  # a replica that has not heard of the test yet
    world.outcomes(late, 0)
    world.arrive("old", right=40)
    world.arrive("new", right=40)
    world.look()
    assert world.test(test).estimate["units"] == {"control": 40, "treatment": 40}
    assert world.test(test).estimate["means"]["control"] == 1.0
    assert world.test(test).srm["observed"] == {"control": 40, "treatment": 40}


def test_every_caller_is_dealt_anew_when_a_test_starts(world: Any) -> None:
    salt = world.endpoint().salt
    test = world.start()
    assert world.endpoint().salt != salt
    assert world.test(test).generation == world.endpoint().generation


def test_looking_again_counts_nothing_twice(world: Any) -> None:
    test = world.start()
    world.arrive("old", right=60)
    world.arrive("new", right=60)
    world.look()
    first = world.test(test).estimate
    for _ in range(3):
        world.look()
    assert world.test(test).estimate == first
    assert first["units"] == {"control": 60, "treatment": 60}
    assert world.looks() == 1
    world.arrive("new", right=1)
    world.look()
    assert world.test(test).estimate["units"] == {"control": 60, "treatment": 61}
    assert world.looks() == 2


def test_a_caller_who_comes_often_is_one_unit(world: Any) -> None:
    test = world.start()
    world.arrive("old", right=20)
    world.outcomes(world.predict("new", 50, keys=["ann"] * 50), 1)
    world.look()
    assert world.test(test).estimate is None  # one unit has no variance: there is no interval yet
    assert world.test(test).srm["observed"] == {"control": 20, "treatment": 1}


def test_weights_changed_meanwhile_stop_the_test(world: Any) -> None:
    test = world.start()
    world.arrive("old", right=0, wrong=200)
    world.arrive("new", right=200)
    world.give_weights(old=0.9, new=0.1)
    world.look()
    assert ended(world, test) == ("stopped", "go_on", "endpoint_changed")
    assert world.weights() == {"old": 0.9, "new": 0.1}
    assert world.test(test).due_at is None


def test_weights_changed_during_a_look_stop_the_test(world: Any) -> None:
    test = world.start()
    world.arrive("old", right=0, wrong=200)
    world.arrive("new", right=200)
    act = world.reconciler.act

    def act_slowly(seen: Any) -> Any:
        found = act(seen)
        world.give_weights(old=0.9, new=0.1)
        return found

    world.reconciler.act = act_slowly
    world.look()
    assert ended(world, test) == ("stopped", "go_on", "endpoint_changed")
    assert world.weights() == {"old": 0.9, "new": 0.1}


def test_a_user_stops_it_and_the_traffic_stays(world: Any) -> None:
    test = world.start()
    world.arrive("old", right=0, wrong=200)
    world.arrive("new", right=200)
    world.stop(test)
    world.look()
    assert ended(world, test) == ("stopped", "go_on", "stopped_by_user")
    assert world.weights() == {"old": 0.5, "new": 0.5}
    assert world.looks() == 0


def test_a_user_who_stops_it_during_a_look_wins(world: Any) -> None:
    test = world.start()
    world.arrive("old", right=0, wrong=200)
    world.arrive("new", right=200)
    act = world.reconciler.act

    def act_slowly(seen: Any) -> Any:
        world.stop(test)
        return act(seen)

    world.reconciler.act = act_slowly
    world.look()
    assert ended(world, test) == ("stopped", "go_on", "stopped_by_user")
    assert world.weights() == {"old": 0.5, "new": 0.5}


def test_nothing_happens_while_the_storage_does_not_answer(world: Any) -> None:
    test = world.start()
    world.arrive("old", right=0, wrong=200)
    world.arrive("new", right=200)
    whole = world.storage / "predictions"
    away = world.storage / "away"
    shutil.move(whole, away)
    whole.write_text("not a folder")
    world.look()
    assert ended(world, test) == ("running", "go_on", "min_units")
    assert (world.looks(), world.weights()) == (0, {"old": 0.5, "new": 0.5})
    assert world.test(test).due_at is not None
    whole.unlink()
    shutil.move(away, whole)
    world.look()
    assert ended(world, test) == ("decided", "promote", "better")


def test_a_verdict_is_one_event_and_the_weights_another(world: Any) -> None:
    test = world.start()
    world.arrive("old", right=0, wrong=200)
    world.arrive("new", right=200)
    world.look()
    world.look()
    with world.sessions() as session:
        mine = list(session.scalars(select(Event.action).where(Event.target_id == test).order_by(Event.id)))
        last = session.scalars(
            select(Event).where(Event.action == "endpoint.changed").order_by(Event.id.desc())
        ).first()
    assert mine == ["abtest.started", "abtest.decided"]
    assert (last.actor, last.message) == ("system", "A/B test first: promote")


@pytest.mark.parametrize(
    ("metric", "control", "treatment"),
    [("mean_outcome", (0.0, 1.0), (4.0, 5.0)), ("absolute_error", (4.0, 5.0), (1.0, 2.0))],
)
def test_metrics_of_numbers(
    world: Any, metric: str, control: tuple[float, float], treatment: tuple[float, float]
) -> None:
    """Every prediction is 1: an error is the outcome's distance from it, and less of it is better."""
    test = world.start(metric={"kind": metric})
    for variant, values in (("old", control), ("new", treatment)):
        for value in values:
            world.outcomes(world.predict(variant, 100), value)
    world.look()
    assert ended(world, test) == ("decided", "promote", "better")


def test_an_endpoint_that_is_being_deleted_stops_the_test(world: Any) -> None:
    test = world.start()
    world.arrive("old", right=0, wrong=200)
    world.arrive("new", right=200)
    with world.sessions() as session:
        endpoints.delete(session, session.get(Endpoint, world.test(test).endpoint_id), "ann")
        session.commit()
    world.look()
    assert ended(world, test) == ("stopped", "go_on", "endpoint_changed")
