from __future__ import annotations

import itertools
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from sqlalchemy import func, select

from ratchet.endpoints import service
from ratchet.endpoints.schemas import NewEndpoint, NewOutcome, NewVariant, Outcomes
from ratchet.endpoints.tables import Outcome
from ratchet.errors import Conflict, Invalid, NotFound

SAME_WEIGHTS = [
    {"name": "a", "model": "m", "version": 1, "weight": 0.5},
    {"name": "b", "model": "m", "version": 2, "weight": 0.5},
]
numbers = itertools.count()


def test_a_new_endpoint_is_deploying_and_makes_the_writer_of_serves_config_due(world) -> None:
    world.look()
    idle = world.serving().due_at
    world.create(variants=SAME_WEIGHTS)
    row = world.endpoint()
    assert (row.status, row.generation, row.observed_generation) == ("deploying", 1, 0)
    assert [(each.name, each.version, each.state) for each in row.variants] == [
        ("a", 1, "pending"),
        ("b", 2, "pending"),
    ]
    assert world.serving().due_at < idle
    assert world.actions() == ["endpoint.created"]


@given(parts=st.lists(st.integers(1, 1_000), min_size=1, max_size=20))
def test_weights_that_sum_to_one_are_taken_however_they_were_rounded(parts: list[int]) -> None:
    variants = [
        NewVariant(name=f"v{i}", model="m", version=1, weight=part / sum(parts)) for i, part in enumerate(parts)
    ]
    service._check(variants)


@given(parts=st.lists(st.floats(0, 1), min_size=1, max_size=20).filter(lambda parts: abs(sum(parts) - 1) > 1e-5))
def test_weights_that_do_not_sum_to_one_are_refused_and_the_field_is_named(parts: list[float]) -> None:
    variants = [NewVariant(name=f"v{i}", model="m", version=1, weight=part) for i, part in enumerate(parts)]
    with pytest.raises(Invalid) as refused:
        service._check(variants)
    assert refused.value.errors[0].pointer == "/variants"


def test_a_variant_has_a_version_or_an_alias_and_a_name_of_its_own() -> None:
    for wrong in ({}, {"version": 1, "alias": "champion"}):
        with pytest.raises(ValidationError, match="either a version or an alias"):
            NewVariant(name="a", model="m", **wrong)
    twice = [NewVariant(name="a", model="m", version=1, weight=0.5)] * 2
    with pytest.raises(Invalid) as refused:
        service._check(twice)
    assert refused.value.errors[0].pointer == "/variants/1/name"


def test_a_change_is_a_new_generation_and_no_change_is_none(world) -> None:
    world.create(variants=SAME_WEIGHTS)
    world.replace(*SAME_WEIGHTS)
    assert world.endpoint().generation == 1
    world.change(lambda session, row: service.set_weights(session, row, {"a": 0.9, "b": 0.1}, "ann"))
    row = world.endpoint()
    assert row.generation == 2
    assert [each.weight for each in row.variants] == [0.9, 0.1]
    world.change(lambda session, row: service.set_weights(session, row, {"b": 1}, "ann"))
    assert [each.weight for each in world.endpoint().variants] == [0.0, 1.0]
    assert world.actions().count("endpoint.changed") == 2


def test_weights_of_an_unknown_variant_are_refused_with_the_one_that_was_meant(world) -> None:
    world.create(variants=[{"name": "control", "model": "m", "version": 1}])
    with pytest.raises(Invalid, match="Did you mean 'control'"):
        world.change(lambda session, row: service.set_weights(session, row, {"contrl": 1.0}, "ann"))
    assert world.endpoint().generation == 1


def test_a_variant_that_stays_keeps_what_is_known_of_it(world) -> None:
    world.create(variants=[{"name": "a", "model": "m", "version": 1}])
    world.look()
    world.replace(
        {"name": "a", "model": "m", "version": 1, "weight": 0.5},
        {"name": "b", "model": "m", "version": 2, "weight": 0.5},
    )
    assert [(each.name, each.state) for each in world.endpoint().variants] == [("a", "ready"), ("b", "pending")]


def test_dealing_anew_changes_the_salt_and_the_generation(world) -> None:
    world.create()
    before = world.endpoint()
    world.change(lambda session, row: service.deal_anew(session, row, "ann", "A/B test"))
    after = world.endpoint()
    assert after.salt != before.salt
    assert after.generation == before.generation + 1


def test_names_are_taken_once_and_a_misspelt_one_is_answered_with_a_near_one(world) -> None:
    world.create()
    with pytest.raises(Conflict, match="exists already"):
        world.create()
    with pytest.raises(NotFound, match="Did you mean 'cancer'"):
        world.endpoint("cancr")
    world.change(lambda session, row: service.delete(session, row, "ann"))
    with pytest.raises(Conflict, match="is being deleted"):
        world.create()
    with pytest.raises(Conflict, match="is being deleted"):
        world.replace({"name": "a", "model": "m", "version": 2})


def send(world, *outcomes: tuple[str, int, object]) -> tuple[int, int]:
    new = [NewOutcome(request_id=request, row=row, value=value) for request, row, value in outcomes]
    with world.sessions() as session:
        receipt = service.record_outcomes(session, service.get(session, "default", "cancer"), new)
        session.commit()
    return receipt.accepted, receipt.duplicates


def stored(world) -> dict[tuple[str, int], tuple[str | None, float | None]]:
    with world.sessions() as session:
        return {(each.request_id, each.row): (each.text, each.number) for each in session.scalars(select(Outcome))}


def test_outcomes_sent_again_count_once_and_one_that_differs_refuses_all(world) -> None:
    world.create()
    assert send(world, ("r1", 0, 1), ("r1", 1, "malignant"), ("r2", 0, True), ("r1", 0, 1)) == (3, 1)
    assert send(world, ("r1", 0, 1.0), ("r3", 0, 0.5)) == (1, 1)
    with pytest.raises(Conflict) as refused:
        send(world, ("r4", 0, 1), ("r1", 0, 0), ("r1", 1, "benign"))
    assert [error.pointer for error in refused.value.errors] == ["/outcomes/1/value", "/outcomes/2/value"]
    assert stored(world) == {
        ("r1", 0): (None, 1.0),
        ("r1", 1): ("malignant", None),
        ("r2", 0): ("True", None),
        ("r3", 0): (None, 0.5),
    }


keys = st.tuples(st.sampled_from(["r1", "r2", "r3"]), st.integers(0, 2))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=st.lists(st.lists(keys, min_size=1, max_size=6), min_size=1, max_size=5))
def test_however_outcomes_are_sent_each_is_accepted_once(world, batches) -> None:
    prefix = f"x{next(numbers)}"
    if not world.names():
        world.create()
    accepted = duplicates = 0
    for batch in batches:
        got = send(world, *((f"{prefix}-{request}", row, len(request) + row) for request, row in batch))
        accepted, duplicates = accepted + got[0], duplicates + got[1]
    sent = Counter(key for batch in batches for key in batch)
    assert accepted == len(sent)
    assert duplicates == sent.total() - len(sent)
    with world.sessions() as session:
        query = select(func.count()).select_from(Outcome).where(Outcome.request_id.startswith(f"{prefix}-"))
        assert session.scalar(query) == len(sent)


def test_ten_thousand_outcomes_go_in_one_request(world) -> None:
    world.create()
    many = [(f"r{number}", 0, number % 2) for number in range(10_000)]
    assert send(world, *many) == (10_000, 0)
    assert send(world, *many) == (0, 10_000)


@pytest.mark.parametrize("value", [None, [1], float("nan"), float("inf"), 10**400, "x" * 1_001])
def test_an_outcome_is_a_label_or_a_number(value) -> None:
    with pytest.raises(ValidationError):
        Outcomes(outcomes=[{"request_id": "r1", "value": value}])
    with pytest.raises(ValidationError):
        Outcomes(outcomes=[{"request_id": "../r1", "value": 1}])


def test_an_endpoint_of_twenty_one_variants_is_refused() -> None:
    with pytest.raises(ValidationError):
        NewEndpoint(name="e", variants=[{"name": f"v{i}", "model": "m", "version": 1, "weight": 0} for i in range(21)])
