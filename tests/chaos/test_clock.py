"""The database's clock is set by an hour while jobs are under way: nothing is doubled, and nothing waits for it."""

from __future__ import annotations

import random
from datetime import timedelta
from pathlib import Path

import pytest
from tests.chaos.checker import check_end, check_now
from tests.chaos.simulation import Machine, World

pytestmark = pytest.mark.slow
SECONDS_ENOUGH = 120


@pytest.mark.parametrize("by", [timedelta(hours=1), timedelta(hours=-1)], ids=["forward", "back"])
@pytest.mark.parametrize("seed", range(5))
def test_a_clock_that_is_set_holds_up_no_job(by: timedelta, seed: int, sqlite_template: Path, tmp_path: Path) -> None:
    rng = random.Random(seed)
    world = World(Machine(sqlite_template, tmp_path / "ratchet.db"), rng)
    try:
        for _ in range(3):
            world.submit()
        world.loop.heartbeat.beat()  # as each reconciler does at its start
        set_at = rng.randrange(1, 12)
        for second in range(SECONDS_ENOUGH):
            world.clock.advance(by if second == set_at else timedelta(seconds=1))
            world.look()
            check_now(world)
            world.happen()
        check_end(world)
    finally:
        world.close()
