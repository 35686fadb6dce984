from __future__ import annotations

import itertools
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.accounts import token_of

from ratchet.db import now
from ratchet.endpoints import service
from ratchet.endpoints.status import MOVES, Status
from ratchet.identity.roles import Role, Scope
from ratchet.identity.tables import Token

APP = "default.cancer"
numbers = itertools.count()


def variant(name: str, version: int | None = None, weight: float = 1.0, **more: object) -> dict[str, object]:
    return {"name": name, "model": "cancer", "version": version, "weight": weight, **more}


def calls(world, name: str) -> int:
    return world.clients.faults.calls.count(name)


def due_in(world) -> timedelta:
    with world.sessions() as session:
        return world.serving().due_at - now(session)


def test_with_nothing_to_serve_serve_is_not_started(world) -> None:
    world.look(3)
    assert calls(world, "serve.put") == 0
    assert due_in(world) > timedelta(seconds=4)


def test_an_endpoint_is_put_once_and_is_ready_when_its_replica_says_so(world) -> None:
    world.create(variants=[variant("a", 1, 0.8), variant("b", 2, 0.2)])
    world.replicas.says["/default/cancer"] = None
    world.clients.serve.states[APP] = {"status": "DEPLOYING"}
    world.look(2)
    row = world.endpoint()
    assert (row.status, row.engine_status, row.observed_generation) == ("deploying", "DEPLOYING", 0)
    assert due_in(world) < timedelta(seconds=1)
    world.replicas.says.clear()
    world.clients.serve.states.clear()
    world.look()
    row = world.endpoint()
    assert (row.status, row.engine_status, row.observed_generation, row.message) == ("ready", "RUNNING", 1, None)
    assert [each.state for each in row.variants] == ["ready", "ready"]
    assert due_in(world) > timedelta(seconds=4)
    assert len(world.clients.serve.puts) == 1
    world.look(3)
    assert len(world.clients.serve.puts) == 1
    assert world.actions() == ["endpoint.created", "endpoint.ready"]


def test_weights_change_by_user_config_alone(world) -> None:
    world.create(variants=[variant("a", 1, 0.8), variant("b", 2, 0.2)])
    world.look()
    (before,) = world.clients.serve.config["applications"]
    world.change(lambda session, row: service.set_weights(session, row, {"a": 0.5, "b": 0.5}, "ann"))
    assert world.endpoint().status == "updating"
    world.look()
    (after,) = world.clients.serve.config["applications"]
    assert world.endpoint().status == "ready"
    assert world.endpoint().observed_generation == 2
    config = after["deployments"][0]["user_config"]
    assert [each["weight"] for each in config["variants"]] == [0.5, 0.5]
    before["deployments"][0]["user_config"] = config
    assert before == after


def test_a_variant_that_cannot_be_loaded_degrades_what_serves_and_fails_what_does_not(world) -> None:
    world.create(variants=[variant("a", 1)])
    world.look()
    world.replace(variant("a", 1, 0.5), variant("b", 2, 0.5))
    serves = {"name": "a", "model": "default.cancer", "version": 1, "weight": 1.0, "state": "ready", "message": ""}
    broken = {**serves, "name": "b", "version": 2, "state": "failed", "message": "No module named 'gone'."}
    world.replicas.says["/default/cancer"] = {"generation": 1, "variants": [serves, broken]}
    world.look()
    row = world.endpoint()
    assert (row.status, row.reason, row.observed_generation, row.generation) == ("degraded", "variant_failed", 1, 2)
    assert row.message == "Variant b: No module named 'gone'."
    assert [(each.state, each.message) for each in row.variants] == [
        ("ready", None),
        ("failed", "No module named 'gone'."),
    ]
    assert due_in(world) > timedelta(seconds=4)
    world.replicas.says["/default/cancer"] = {
        "generation": 0,
        "variants": [{**broken, "name": "a", "version": 1}, broken],
    }
    world.look()
    assert world.endpoint().status == "failed"


def test_what_serve_says_of_a_failed_deployment_is_told_by_its_last_lines(world) -> None:
    world.create()
    world.replicas.says["/default/cancer"] = None
    trace = 'Traceback (most recent call last):\n  File "x.py"\nImportError: no torch\n'
    world.clients.serve.states[APP] = {"status": "DEPLOY_FAILED", "message": trace}
    world.look()
    row = world.endpoint()
    assert (row.status, row.reason, row.engine_status) == ("failed", "deploy_failed", "DEPLOY_FAILED")
    assert row.message.endswith("ImportError: no torch")


def test_an_alias_is_followed_when_it_moves(world) -> None:
    world.register("cancer", 2, champion=1)
    world.create(variants=[{"name": "a", "model": "cancer", "alias": "champion"}])
    world.look(2)
    assert world.endpoint().status == "ready"
    assert world.configs()[APP]["variants"][0]["model"] == {"name": "default.cancer", "version": 1}
    before = world.endpoint()
    world.clients.mlflow.set_alias("default.cancer", "champion", 2)
    world.look()
    row = world.endpoint()
    assert (row.variants[0].version, row.generation, row.status) == (2, before.generation + 1, "updating")
    assert world.configs()[APP]["variants"][0]["model"]["version"] == 1  # written down before it is served
    world.look()
    assert world.configs()[APP]["variants"][0]["model"]["version"] == 2
    assert world.endpoint().status == "ready"
    assert world.endpoint().salt == before.salt


def test_an_alias_that_points_to_nothing_is_told_and_what_serves_goes_on(world) -> None:
    world.create()
    world.look()
    world.replace({"name": "a", "model": "cancer", "alias": "champion"})
    world.look()
    row = world.endpoint()
    assert (row.status, row.reason) == ("degraded", "alias_missing")
    assert "has the alias 'champion'" in row.message
    assert world.configs()[APP]["generation"] == 1
    world.register("cancer", 3, champion=3)
    world.look(2)
    assert world.endpoint().status == "ready"
    assert world.configs()[APP]["variants"][0]["model"]["version"] == 3


def test_serve_that_lost_everything_is_told_again(world) -> None:
    world.create()
    world.look()
    world.clients.serve.config = {"applications": []}  # as after a restart of Ray
    world.look()
    assert list(world.configs()) == [APP]
    assert world.endpoint().status == "ready"


def test_one_endpoint_is_deleted_and_the_others_stay(world) -> None:
    world.create("one")
    world.create("two")
    world.look()
    world.change(lambda session, row: service.delete(session, row, "ann"), "one")
    assert world.endpoint("one").status == "deleting"
    world.look()
    assert list(world.configs()) == ["default.two"]
    assert world.names() == ["two"]
    assert world.endpoint("two").status == "ready"
    world.change(lambda session, row: service.delete(session, row, "ann"), "two")
    world.look()
    assert world.clients.serve.config["applications"] == []
    assert world.names() == []
    puts = len(world.clients.serve.puts)
    world.look(2)
    assert len(world.clients.serve.puts) == puts


def test_an_endpoint_is_gone_only_when_serve_has_let_go_of_it(world) -> None:
    world.create()
    world.look()
    world.change(lambda session, row: service.delete(session, row, "ann"))
    listed = {"applications": {APP: {"name": APP, "status": "DELETING", "message": "", "deployments": {}}}}
    get, world.clients.serve.get = world.clients.serve.get, lambda: listed
    world.look(2)
    assert world.endpoint().status == "deleting"
    world.clients.serve.get = get
    world.look()
    assert world.names() == []


def test_while_serve_is_away_what_served_is_degraded_and_comes_back(world) -> None:
    world.create()
    world.look()
    world.clients.faults.down.add("serve")
    world.look()
    row = world.endpoint()
    assert (row.status, row.reason, row.engine_status) == ("degraded", "serve_unreachable", "unreachable")
    assert row.observed_generation == 1
    world.clients.faults.down.clear()
    world.look()
    assert world.endpoint().status == "ready"
    assert len(world.clients.serve.puts) == 1


def test_a_token_that_is_revoked_opens_nothing_at_the_next_look(world) -> None:
    world.create()
    with world.sessions() as session:
        token, _ = token_of(session, "caller", role=Role.VIEWER, scope=Scope.PREDICT)
        session.commit()
    world.look()
    assert world.configs()[APP]["token_hashes"] == [token.hash]
    with world.sessions() as session:
        session.get_one(Token, token.id).revoked_at = now(session)
        session.commit()
    world.look()
    assert world.configs()[APP]["token_hashes"] == []
    assert world.endpoint().generation == 1


def test_a_change_made_while_serve_was_asked_is_not_overwritten(world) -> None:
    world.create(variants=[variant("a", 1, 0.5), variant("b", 2, 0.5)])
    put = world.clients.serve.put

    def put_and_change(config) -> None:
        put(config)
        world.clients.serve.put = put
        world.change(lambda session, row: service.set_weights(session, row, {"a": 1.0}, "ann"))

    world.clients.serve.put = put_and_change
    world.look()
    row = world.endpoint()
    assert (row.generation, row.observed_generation, row.status) == (2, 0, "deploying")
    world.look()
    assert [each["weight"] for each in world.configs()[APP]["variants"]] == [1.0, 0.0]
    assert world.endpoint().status == "ready"


def test_what_is_being_deleted_never_comes_back() -> None:
    assert MOVES[Status.DELETING] == {Status.DELETING}
    assert all(Status.DELETING in ways for ways in MOVES.values())


class CrashError(Exception):
    pass


points = st.tuples(
    st.sampled_from(["serve.get", "serve.put", "mlflow.get_registered_model"]),
    st.sampled_from(["before", "after"]),
    st.integers(0, 2),
)
changes = st.lists(st.sampled_from(["weights", "versions", "alias", "salt"]), max_size=4)


@pytest.mark.slow
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(plan=st.lists(points, max_size=5), asked=changes)
def test_whatever_is_asked_and_wherever_it_dies_serve_ends_with_what_was_asked_last(world, plan, asked) -> None:
    name = f"e{next(numbers)}"
    if "default.cancer" not in world.clients.mlflow.models:
        world.register("cancer", 5, champion=1)
    world.create(name, variants=[variant("a", 1, 0.5), {**variant("b", None, 0.5), "alias": "champion"}])
    left = [list(point) for point in plan]

    def crash(call: str, moment: str) -> None:
        for entry in left:
            if entry[:2] == [call, moment]:
                if entry[2] == 0:
                    left.remove(entry)
                    raise CrashError(call)
                entry[2] -= 1

    def look() -> None:
        world.clients.faults.hook = crash
        try:
            world.look()
        except CrashError:
            pass
        finally:
            world.clients.faults.hook = lambda *_: None

    for number, what in enumerate(asked):
        if what == "weights":
            world.change(lambda session, row: service.set_weights(session, row, {"a": 1.0}, "ann"), name)
        elif what == "versions":
            world.replace(
                variant("a", 2 + number % 3, 0.3), {**variant("b", None, 0.7), "alias": "champion"}, name=name
            )
        elif what == "alias":
            world.clients.mlflow.set_alias("default.cancer", "champion", 1 + number % 5)
        else:
            world.change(lambda session, row: service.deal_anew(session, row, "ann"), name)
        look()
    for _ in range(len(plan) + 3):
        look()
    row = world.endpoint(name)
    config = world.configs()[f"default.{name}"]
    assert (row.status, row.observed_generation) == ("ready", row.generation)
    assert (config["generation"], config["salt"]) == (row.generation, row.salt)
    champion = world.clients.mlflow.models["default.cancer"].aliases["champion"]
    assert [each["model"]["version"] for each in config["variants"]] == [row.variants[0].version, champion]
    assert [each["weight"] for each in config["variants"]] == [each.weight for each in row.variants]


@pytest.mark.parametrize("replicas", [1, 3])
def test_replicas_that_are_behind_keep_it_updating(world, replicas) -> None:
    world.create(replicas=replicas)
    world.look()
    world.change(lambda session, row: service.deal_anew(session, row, "ann"))
    old = {"name": "a", "model": "default.cancer", "version": 1, "weight": 1.0, "state": "ready", "message": ""}
    world.replicas.says["/default/cancer"] = {"generation": 1, "variants": [old]}
    world.look()
    assert (world.endpoint().status, world.endpoint().observed_generation) == ("updating", 1)
