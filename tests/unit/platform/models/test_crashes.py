"""The reconciler may die anywhere: before a call to MLflow, right after it had its effect, before or after a commit."""

from __future__ import annotations

import itertools

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ratchet.models.schemas import CHAMPION

CALLS = ["mlflow.get_version", "mlflow.get_registered_model", "mlflow.get_run", "mlflow.set_alias"]
POINTS = [*itertools.product(CALLS, ["before", "after"]), ("record", "before"), ("record", "after")]
numbers = itertools.count()


class CrashError(Exception):
    pass


class Crasher:
    """Dies at the planned points, each of which is (name, moment, how many times it is passed first)."""

    def __init__(self, plan: list[tuple[str, str, int]]) -> None:
        self.left = [[name, moment, skip] for name, moment, skip in plan]
        self.deaths = 0

    def __call__(self, name: str, moment: str) -> None:
        for entry in self.left:
            if entry[:2] == [name, moment]:
                if entry[2] == 0:
                    self.left.remove(entry)
                    self.deaths += 1
                    raise CrashError(f"{moment} {name}")
                entry[2] -= 1


def look(world, promotion: str, crasher: Crasher) -> None:
    """One step that may die; whatever happens, an alias that moved did so with its evidence written before."""
    record = world.reconciler.record

    def dying_record(session, row, seen, found):
        crasher("record", "before")
        again = record(session, row, seen, found)
        session.flush()
        crasher("record", "after")  # before the commit: all of it is rolled back
        return again

    world.reconciler.record = dying_record
    world.clients.faults.hook = crasher
    try:
        world.look(only=promotion)
    except CrashError:
        pass
    finally:
        del world.reconciler.record
        world.clients.faults.hook = lambda *_: None


def check_evidence(world, promotion: str, model: str, passes: bool) -> None:
    row = world.row(promotion)
    if world.aliases(model)[CHAMPION] == 2:
        assert passes
        assert row.gate_passed
        assert row.previous_version == 1
        assert row.evidence["rules"]


plans = st.lists(st.tuples(st.sampled_from(POINTS), st.integers(0, 3)), max_size=6)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(plan=plans, passes=st.booleans())
def test_a_promotion_ends_exactly_once_and_no_alias_moves_without_evidence(world, plan, passes) -> None:
    model = f"model-{next(numbers)}"
    world.register(2, champion=1, model=model)
    promotion = world.ask(2, model=model)
    crasher = Crasher([(*point, skip) for point, skip in plan])
    ended = False
    for _ in range(len(plan) + 12):
        look(world, promotion, crasher)
        check_evidence(world, promotion, model, passes)
        if world.jobs(promotion) and not ended:
            world.end_job(promotion, {"v2/accuracy": 0.97 if passes else 0.91, "v1/accuracy": 0.95})
            ended = True
        if world.row(promotion).decided_at is not None:
            break
    row = world.row(promotion)
    assert row.status == ("passed" if passes else "refused")
    assert world.aliases(model) == {CHAMPION: 2 if passes else 1}
    moves = world.moves(model)
    assert [(move.from_version, move.to_version) for move in moves] == ([(1, 2)] if passes else [])
    assert all(move.evidence["rules"] for move in moves)
    assert len(world.jobs(promotion)) == 1
    actions = world.actions(promotion)
    assert actions.count(f"promotion.{row.status}") == 1
    assert len(actions) == len(set(actions))
    assert not row.holds_alias


def test_the_plans_do_kill(world) -> None:
    """The test above proves nothing unless its crashes happen."""
    world.register(2, champion=1)
    promotion = world.ask(2)
    crasher = Crasher([("mlflow.set_alias", "after", 0)])
    for _ in range(4):
        look(world, promotion, crasher)
    world.end_job(promotion, {"v2/accuracy": 0.97, "v1/accuracy": 0.95})
    while not crasher.deaths:
        look(world, promotion, crasher)
    assert (world.row(promotion).status, world.aliases(), world.moves()) == ("evaluating", {CHAMPION: 2}, [])
    look(world, promotion, crasher)
    assert world.row(promotion).status == "passed"
    assert len(world.moves()) == 1
