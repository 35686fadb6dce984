from __future__ import annotations

import pytest
from sqlalchemy import select

from ratchet.errors import Conflict
from ratchet.jobs.status import JobStatus
from ratchet.models import service
from ratchet.models.schemas import CHAMPION
from ratchet.models.status import MOVES, Status
from ratchet.models.tables import Promotion

BETTER = {"v2/accuracy": 0.97, "v1/accuracy": 0.95, "test/rows": 114.0}
WORSE = {"v2/accuracy": 0.93, "v1/accuracy": 0.95, "test/rows": 114.0}


def test_a_version_that_passes_its_gate_becomes_champion_and_it_is_written_why(world) -> None:
    world.register(2, champion=1)
    promotion = world.ask(2)
    world.look_until(lambda: bool(world.jobs(promotion)))
    (job,) = world.jobs(promotion)
    assert [model["version"] for model in job.spec["models"]] == [2, 1]
    assert world.row(promotion).status == "evaluating"
    assert world.aliases() == {CHAMPION: 1}

    row = world.decide(promotion, BETTER)
    assert (row.status, row.previous_version, row.reason) == ("passed", 1, None)
    assert row.message.startswith("v2 is champion now; v1 was before. accuracy of v2 is 0.97 on 114 rows")
    assert world.aliases() == {CHAMPION: 2}
    (move,) = world.moves()
    assert (move.alias, move.from_version, move.to_version, move.actor) == (CHAMPION, 1, 2, "ann")
    assert move.promotion_id == promotion
    assert move.evidence["job"] == job.id
    assert move.evidence["metrics"] == {"candidate": {"accuracy": 0.97}, "champion": {"accuracy": 0.95}}
    assert [rule["rule"] for rule in move.evidence["rules"]] == ["minimum", "max_regression"]
    assert (move.evidence["rows"], move.evidence["data_hash"]) == (114, "abc")
    assert world.actions(promotion) == ["promotion.requested", "promotion.evaluating", "promotion.passed"]
    assert world.actions("cancer") == ["alias.moved"]


def test_a_version_that_is_worse_is_refused_and_the_champion_stays(world) -> None:
    world.register(2, champion=1)
    row = world.decide(world.ask(2), WORSE)
    assert (row.status, row.reason) == ("refused", "gate")
    assert row.gate_passed is False
    assert "0.02 worse" in row.message
    assert world.aliases() == {CHAMPION: 1}
    assert world.moves() == []
    assert not row.holds_alias


def test_the_first_version_has_nothing_to_beat(world) -> None:
    world.register(1)
    promotion = world.ask(1)
    world.look_until(lambda: bool(world.jobs(promotion)))
    assert [model["version"] for model in world.jobs(promotion)[0].spec["models"]] == [1]
    row = world.decide(promotion, {"v1/accuracy": 0.95})
    assert (row.status, row.previous_version) == ("passed", None)
    assert [(move.from_version, move.to_version) for move in world.moves()] == [(None, 1)]


def test_a_champion_that_is_asked_for_again_passes_and_moves_nothing(world) -> None:
    world.register(1, champion=1)
    row = world.decide(world.ask(1), {"v1/accuracy": 0.95})
    assert (row.status, row.moved_at is not None) == ("passed", True)
    assert row.message.startswith("v1 was champion already.")
    assert world.moves() == []


@pytest.mark.parametrize(
    ("metrics", "status", "reason"),
    [({}, JobStatus.FAILED, "evaluation_failed"), ({}, JobStatus.CANCELLED, "evaluation_cancelled")],
)
def test_a_gate_whose_job_fails_decides_nothing(world, metrics, status, reason) -> None:
    world.register(2, champion=1)
    promotion = world.ask(2)
    world.look_until(lambda: bool(world.jobs(promotion)))
    world.end_job(promotion, metrics, status)
    world.look_until(lambda: world.row(promotion).decided_at is not None)
    row = world.row(promotion)
    assert (row.status, row.reason) == ("failed", reason)
    assert world.aliases() == {CHAMPION: 1}


def test_a_metric_that_was_not_measured_fails_and_says_what_was(world) -> None:
    world.register(2, champion=1)
    row = world.decide(world.ask(2), {"v2/f1_macro": 0.9, "v1/f1_macro": 0.9})
    assert (row.status, row.reason) == ("failed", "not_measured")
    assert "Measured: f1_macro." in row.message


def test_a_version_that_does_not_exist_fails_before_a_job_is_started(world) -> None:
    world.register(1)
    promotion = world.ask(7)
    world.look_until(lambda: world.row(promotion).decided_at is not None)
    row = world.row(promotion)
    assert (row.status, row.reason) == ("failed", "no_such_version")
    assert world.jobs(promotion) == []


def test_while_mlflow_is_away_a_promotion_waits_and_says_so(world) -> None:
    world.register(2, champion=1)
    promotion = world.ask(2)
    world.clients.faults.down.add("mlflow")
    for _ in range(3):
        world.look()
    row = world.row(promotion)
    assert (row.status, row.reason) == ("pending", "mlflow_unreachable")
    assert row.due_at is not None
    world.clients.faults.down.clear()
    assert world.decide(promotion, BETTER).status == "passed"


def test_the_gate_alone_moves_nothing_until_the_move_is_asked_for(world) -> None:
    world.register(2, champion=1)
    promotion = world.ask(2, move=False)
    row = world.decide(promotion, BETTER)
    assert (row.status, row.moved_at, row.due_at) == ("passed", None, None)
    assert world.aliases() == {CHAMPION: 1}
    for _ in range(2):  # asked twice, moved once
        with world.sessions() as session:
            found = service.passed(session, "default", "cancer", 2, CHAMPION)
            assert found is not None
            service.promote_passed(session, found, "system", {"abtest": "abt-1"})
            session.commit()
    world.look_until(lambda: world.row(promotion).moved_at is not None)
    (move,) = world.moves()
    assert (move.from_version, move.to_version) == (1, 2)
    assert move.evidence["abtest"] == "abt-1"
    assert move.evidence["rules"]
    assert world.actions(promotion).count("promotion.passed") == 1


def test_a_gate_that_was_refused_never_moves_the_alias(world) -> None:
    world.register(2, champion=1)
    promotion = world.ask(2, move=False)
    world.decide(promotion, WORSE)
    with world.sessions() as session, pytest.raises(Conflict, match="its gate has not passed"):
        service.promote_passed(session, session.get_one(Promotion, promotion), "ann", {})


def test_evidence_against_another_champion_does_not_move_the_alias_later(world) -> None:
    world.register(3, champion=1)
    promotion = world.ask(2, move=False)
    world.decide(promotion, BETTER)
    world.clients.mlflow.set_alias("default.cancer", CHAMPION, 3)
    with world.sessions() as session:
        service.promote_passed(session, session.get_one(Promotion, promotion), "system", {"abtest": "abt-1"})
        session.commit()
    world.look_until(lambda: world.row(promotion).status == "failed")
    assert world.row(promotion).reason == "alias_changed"
    assert world.aliases() == {CHAMPION: 3}
    assert world.moves() == []


def test_a_champion_that_changes_during_the_evaluation_is_compared_with_anew(world) -> None:
    world.register(3, champion=1)
    promotion = world.ask(2)
    world.look_until(lambda: bool(world.jobs(promotion)))
    world.clients.mlflow.set_alias("default.cancer", CHAMPION, 3)
    world.end_job(promotion, BETTER)
    world.look_until(lambda: len(world.jobs(promotion)) == 2)
    assert [model["version"] for model in world.jobs(promotion)[-1].spec["models"]] == [2, 3]
    assert world.aliases() == {CHAMPION: 3}
    row = world.decide(promotion, {"v2/accuracy": 0.97, "v3/accuracy": 0.99})
    assert row.status == "refused"
    assert world.aliases() == {CHAMPION: 3}


def test_one_promotion_at_a_time_has_the_alias_and_the_next_is_measured_against_its_result(world) -> None:
    world.register(3, champion=1)
    first, second = world.ask(2), world.ask(3)
    world.look_until(lambda: bool(world.jobs(first)))
    for _ in range(3):
        world.look()
    assert world.row(second).reason == "waiting_for_alias"
    assert world.jobs(second) == []
    assert world.decide(first, BETTER).status == "passed"
    world.look_until(lambda: bool(world.jobs(second)))
    assert [model["version"] for model in world.jobs(second)[0].spec["models"]] == [3, 2]


def test_any_alias_but_champion_is_set_directly_and_recorded(world) -> None:
    world.register(2, champion=1)
    with world.sessions() as session:
        with pytest.raises(Conflict) as refused:
            service.set_alias(session, "default", "cancer", CHAMPION, 2, "ann")
        assert refused.value.code == "gate_required"
        row = service.set_alias(session, "default", "cancer", "challenger", 2, "ann")
        session.commit()
    world.look_until(lambda: world.row(row.id).moved_at is not None)
    assert world.aliases() == {CHAMPION: 1, "challenger": 2}
    assert [(move.alias, move.from_version, move.to_version) for move in world.moves()] == [("challenger", None, 2)]
    with world.sessions() as session:
        assert session.scalars(service.promotions("default", "cancer")).all() == []


def test_ended_states_have_no_way_out_but_that_of_a_move_that_failed() -> None:
    assert MOVES[Status.REFUSED] == MOVES[Status.FAILED] == frozenset()
    assert MOVES[Status.PASSED] == {Status.FAILED}


def test_the_database_itself_lets_one_promotion_hold_an_alias(world) -> None:
    first, second = world.ask(1), world.ask(2)
    with world.sessions() as session:
        session.get_one(Promotion, first).holds_alias = True
        session.commit()
    with world.sessions() as session:
        session.get_one(Promotion, second).holds_alias = True
        with pytest.raises(Exception, match=r"(?i)unique"):
            session.commit()
    with world.sessions() as session:
        assert session.scalars(select(Promotion.id).where(Promotion.holds_alias)).all() == [first]
