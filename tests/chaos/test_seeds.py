"""Seeds: jobs come, run, fail, are cancelled; engines go away; and processes die and are stopped wherever they may."""

from __future__ import annotations

import random
from datetime import timedelta
from pathlib import Path

import pytest
from tests.chaos.checker import check_end, check_now
from tests.chaos.simulation import Failpoints, Machine, World

pytestmark = pytest.mark.slow
SEEDS = 320
AT_ONCE = 20
"""Seeds in one test: a failure names its seed."""
ROUNDS = 14
KILLS, STOPS = 5, 2
REACH = 250
"""Failpoints that a world reaches, or so: kills and stops are planned among the first of them."""


def run(machine: Machine, seed: int) -> World:
    """One world from its beginning to its end."""
    rng = random.Random(seed)
    points = Failpoints(
        kill_at={rng.randrange(1, REACH) for _ in range(KILLS)},
        stop_at={rng.randrange(1, REACH) for _ in range(STOPS)},
    )
    world = World(machine, rng, points)
    try:
        for _ in range(ROUNDS):
            _something(world)
            world.clock.advance(timedelta(seconds=rng.choice([0.1, 0.3, 1, 5])))
            world.look()
            check_now(world)
            world.happen()
        world.settle()
        check_end(world)
    finally:
        world.close()
    return world


def _something(world: World) -> None:
    rng = world.rng
    what = rng.choices(["nothing", "submit", "cancel", "lose", "down", "up"], [6, 4, 1.5, 0.4, 0.7, 2])[0]
    match what:
        case "submit":
            world.submit(
                max_attempts=rng.randint(1, 4),
                priority=rng.randint(0, 3),
                preemptible=rng.random() < 0.5,
                resources={"workers": rng.choice([1, 1, 2, 4])},
            )
        case "cancel" if world.acknowledged:
            world.cancel(rng.choice(world.acknowledged))
        case "lose":
            world.lose_head()
        case "down":
            world.fakes.faults.down = {rng.choice(["jobs", "mlflow", "storage"])}
        case "up":
            world.fakes.faults.down = set()


@pytest.mark.parametrize("first", range(0, SEEDS, AT_ONCE))
def test_nothing_is_lost_and_nothing_doubled(first: int, sqlite_template: Path, tmp_path: Path) -> None:
    machine = Machine(sqlite_template, tmp_path / "ratchet.db")
    kills = stops = 0
    for seed in range(first, first + AT_ONCE):
        try:
            world = run(machine, seed)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error
        kills += sum(world.points.killed.values())
        stops += sum(world.points.stopped.values())
    assert kills > AT_ONCE, "the seeds kill next to nothing"
    assert stops > 0
