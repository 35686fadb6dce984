"""One life of a job, killed at each place of it where a process may die: every commit and every outside call."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from tests.chaos.checker import check_end, check_now
from tests.chaos.simulation import Failpoints, Machine, World

from ratchet.clients.fakes import FakeRayJobs
from ratchet.jobs.status import JobStatus

pytestmark = pytest.mark.slow
ROUNDS = 30


def live(machine: Machine, points: Failpoints, then: Callable[[World], None], seed: int = 1) -> World:
    """Submit a job, lose its first attempt, and let the second do what `then` says."""
    world = World(machine, random.Random(seed), points)
    try:
        world.submit(max_attempts=5)
        for _ in range(ROUNDS):
            world.clock.advance(timedelta(seconds=3))
            world.look()
            check_now(world)
            jobs = world.fakes.jobs
            for submission in jobs.live():
                if submission.endswith("-1"):
                    jobs.lose(submission)
                else:
                    then(world)
            rows = world.rows()
            if not rows:
                world.submit(max_attempts=5)  # the API died before it was written: nobody was told, and asks again
            elif all(JobStatus(row.status).ended for row in rows):
                break
        world.settle()
        check_end(world)
    finally:
        world.close()
    return world


def succeed(world: World) -> None:
    for submission in world.fakes.jobs.live():
        world.end(submission)


def cancel(world: World) -> None:
    for row in world.rows():
        if not JobStatus(row.status).ended:
            world.cancel(row.id)


@pytest.mark.parametrize("then", [succeed, cancel])
def test_a_kill_at_any_place_loses_and_doubles_nothing(
    then: Callable[[World], None], sqlite_template: Path, tmp_path: Path
) -> None:
    machine = Machine(sqlite_template, tmp_path / "ratchet.db")
    places = live(machine, Failpoints(), then).points
    firsts = _firsts(places.trace)
    assert len(firsts) > 20
    for place in firsts:
        world = live(machine, Failpoints(kill_at={place}), then)
        assert sum(world.points.killed.values()) == 1, f"the {place}th place, {places.trace[place - 1]}"


def _firsts(trace: list[str], each: int = 2) -> list[int]:
    """The first few times that each place is reached, from 1: those after are of the same steps over again."""
    seen: dict[str, int] = {}
    found = []
    for number, name in enumerate(trace, start=1):
        seen[name] = seen.get(name, 0) + 1
        if seen[name] <= (15 if "commit" in name else each):
            found.append(number)
    return found


def test_the_checker_sees_what_must_not_be(
    sqlite_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A checker that finds nothing would be worth nothing: with a Ray that starts anew what it has, it must object."""
    machine = Machine(sqlite_template, tmp_path / "ratchet.db")
    real = FakeRayJobs.submit

    def twice(self: FakeRayJobs, submission_id: str, **named: object) -> None:
        real(self, submission_id, **named)  # type: ignore[arg-type]
        real(self, f"{submission_id}0", **named)  # type: ignore[arg-type]

    monkeypatch.setattr(FakeRayJobs, "submit", twice)
    with pytest.raises(AssertionError, match="Ray has one nobody started"):
        live(machine, Failpoints(), succeed)
