"""What every call passes through: the breaker, and the claim of the step that makes it."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from ratchet.clients import guard
from ratchet.clients.fakes import FakeClients, fake_clients
from ratchet.clients.guard import FAILURES, OPEN_S, guarded
from ratchet.clients.ports import Clients, EngineRefused, EngineSilent
from ratchet.reconciler import claims
from ratchet.reconciler.claims import StaleClaimError


@dataclass
class Clock:
    at: float = 100.0

    def __call__(self) -> float:
        return self.at


@dataclass
class Guard:
    fakes: FakeClients
    clients: Clients
    clock: Clock

    def fail(self, times: int) -> None:
        for _ in range(times):
            with pytest.raises(EngineSilent):
                self.clients.jobs.get("job-1-1")


@pytest.fixture
def over() -> Guard:
    fakes = fake_clients()
    clock = Clock()
    return Guard(fakes, guarded(fakes, clock), clock)


def test_an_engine_that_does_not_answer_is_left_alone_and_tried_again(over: Guard) -> None:
    over.fakes.faults.down = {"jobs"}
    over.fail(FAILURES + 5)
    assert len(over.fakes.faults.calls) == FAILURES
    over.fakes.faults.down = set()
    over.clock.at += OPEN_S + 0.1
    assert over.clients.jobs.get("job-1-1") is None
    assert over.clients.jobs.get("job-1-1") is None


def test_one_call_tries_for_all_and_what_it_finds_holds_for_all(over: Guard) -> None:
    over.fakes.faults.down = {"jobs"}
    over.fail(FAILURES)
    over.clock.at += OPEN_S + 0.1
    over.fakes.faults.down = set()
    others: list[str] = []

    def meanwhile(name: str, moment: str) -> None:
        if moment == "before":
            with pytest.raises(EngineSilent):
                over.clients.jobs.get("job-2-1")
            others.append(name)

    over.fakes.faults.hook = meanwhile
    assert over.clients.jobs.get("job-1-1") is None
    assert len(others) == 1
    over.fakes.faults.hook = lambda name, moment: None
    assert over.clients.jobs.get("job-2-1") is None


def test_an_engine_that_answers_badly_still_answers(over: Guard) -> None:
    for _ in range(FAILURES + 2):
        with pytest.raises(EngineRefused):
            over.clients.mlflow.set_tags("no-such-run", {})
    assert len(over.fakes.faults.calls) == FAILURES + 2


def test_an_engine_says_nothing_of_another(over: Guard) -> None:
    over.fakes.faults.down = {"jobs"}
    over.fail(FAILURES + 1)
    assert over.clients.mlflow.get_run("r") is None


def test_the_probe_is_made_whatever_the_breaker_says_and_closes_it(over: Guard) -> None:
    over.fakes.faults.down = {"jobs"}
    over.fail(FAILURES)
    with pytest.raises(EngineSilent):
        over.clients.jobs.alive()
    assert over.fakes.faults.calls[-1] == "jobs.alive"
    over.fakes.faults.down = set()
    over.clients.jobs.alive()
    assert over.clients.jobs.get("job-1-1") is None


def test_a_step_that_lost_its_claim_may_look_but_not_change(over: Guard, monkeypatch: pytest.MonkeyPatch) -> None:
    def lost() -> None:
        raise StaleClaimError

    monkeypatch.setattr(claims, "still_mine", lost)
    assert over.clients.jobs.get("job-1-1") is None
    assert over.clients.storage.uri("a") == "memory://storage/a"
    with pytest.raises(StaleClaimError):
        over.clients.jobs.submit("job-1-1", entrypoint="true", env={}, metadata={})
    with pytest.raises(StaleClaimError):
        over.clients.mlflow.create_run("1", "name", {})
    with pytest.raises(StaleClaimError):
        over.clients.storage.write("a", b"")
    assert over.fakes.jobs.jobs == {}
    assert over.fakes.storage.files == {}


def test_every_read_that_is_named_is_a_method_of_a_client() -> None:
    """A name that is none would be a change that nobody guards."""
    fakes = fake_clients()
    parts = (fakes.jobs, fakes.serve, fakes.mlflow, fakes.storage)
    unknown = {name for name in guard.READS if not any(hasattr(part, name) for part in parts)}
    assert unknown == set()
