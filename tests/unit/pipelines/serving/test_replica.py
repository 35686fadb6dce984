"""From one configuration to the next: what serves meanwhile, what is loaded, tried again and given up."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from tests.unit.pipelines.serving.fakes import config, ready, run

from ratchet_pipelines.serving import replica as module
from ratchet_pipelines.serving.models import ModelError, ModelUnavailableError, Tried
from ratchet_pipelines.serving.replica import Replica, Tokens


class Store:
    """Models by URI; some fail, one blocks until it is let go."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.tried: list[str] = []
        self.failing: dict[str, ModelError] = {}
        self.gate: asyncio.Event | None = None
        monkeypatch.setattr(module, "fetch_and_try", self.fetch)
        monkeypatch.setattr(module, "_load_tried", lambda tried: ready())

    async def fetch(self, uri: str, parent: Path) -> Tried:
        self.tried.append(uri)
        if self.gate is not None:
            await self.gate.wait()
        if uri in self.failing:
            raise self.failing[uri]
        return Tried(Path("/nowhere"), Path("/nowhere"))


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Store:
    return Store(monkeypatch)


def states(replica: Replica) -> list[tuple[int, str, str]]:
    return [(row["version"], row["state"], row["message"]) for row in replica.status()["variants"]]


def test_weights_change_at_once_and_load_nothing(store: Store) -> None:
    async def scenario() -> Replica:
        replica = Replica()
        await replica.configure(config(0.5, 0.5))
        await replica.configure(config(0.9, 0.1, generation=2))
        return replica

    replica = run(scenario())
    assert store.tried == ["models:/m/1", "models:/m/2"]
    assert replica.status()["generation"] == 2


def test_the_old_configuration_serves_while_a_new_model_loads(store: Store) -> None:
    async def scenario() -> None:
        replica = Replica()
        await replica.configure(config(1.0))
        store.gate = asyncio.Event()
        await replica.configure(config(0.5, 0.5, generation=2))
        await asyncio.sleep(0)
        assert replica.status()["generation"] == 1
        assert states(replica) == [(1, "ready", ""), (2, "loading", "")]
        assert replica.active is not None
        assert replica.active.assignment.index("any") == 0
        store.gate.set()
        assert replica._work is not None
        await replica._work
        assert replica.status()["generation"] == 2
        assert store.tried == ["models:/m/1", "models:/m/2"]

    run(scenario())


def test_a_model_that_fails_changes_nothing_and_is_told(store: Store) -> None:
    async def scenario() -> Replica:
        store.failing["models:/m/2"] = ModelError("it is broken")
        replica = Replica()
        await replica.configure(config(1.0))
        await replica.configure(config(0.5, 0.5, generation=2))
        assert replica._work is not None
        await replica._work
        return replica

    replica = run(scenario())
    status = replica.status()
    assert (status["generation"], status["wanted_generation"]) == (1, 2)
    assert (2, "failed", "it is broken") in states(replica)
    assert replica.active is not None
    assert len(replica.active.models) == 1


def test_going_back_after_a_failure_forgets_it(store: Store) -> None:
    async def scenario() -> Replica:
        store.failing["models:/m/2"] = ModelError("it is broken")
        replica = Replica()
        await replica.configure(config(1.0))
        await replica.configure(config(0.5, 0.5, generation=2))
        await replica.configure(config(1.0, generation=3))
        return replica

    replica = run(scenario())
    assert replica.status()["generation"] == 3
    assert states(replica) == [(1, "ready", "")]


def test_a_fresh_replica_serves_what_could_be_loaded(store: Store) -> None:
    async def scenario() -> Replica:
        store.failing["models:/m/2"] = ModelError("it is broken")
        replica = Replica()
        await replica.configure(config(0.5, 0.5))
        return replica

    replica = run(scenario())
    assert replica.status()["generation"] == 0
    assert states(replica) == [(1, "ready", ""), (2, "failed", "it is broken")]
    assert replica.failure(1) == "it is broken"
    assert replica.active is not None
    assert replica.active.models[0] is not None


def test_a_model_that_could_not_be_fetched_is_tried_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_RETRY_S", 0.01)

    async def scenario() -> Replica:
        store.failing["models:/m/1"] = ModelUnavailableError("MLflow is away")
        replica = Replica()
        await replica.configure(config(1.0))
        assert states(replica) == [(1, "failed", "MLflow is away")]
        store.failing.clear()
        assert replica._work is not None
        await asyncio.wait_for(replica._work, 10)
        return replica

    replica = run(scenario())
    assert replica.status()["generation"] == 1


def test_a_model_no_longer_named_is_unloaded_with_its_files(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    removed: list[Any] = []
    monkeypatch.setattr(module.shutil, "rmtree", lambda path, **_: removed.append(path))

    async def scenario() -> Replica:
        replica = Replica()
        await replica.configure(config(0.5, 0.5))
        await replica.configure(config(1.0, generation=2))
        return replica

    replica = run(scenario())
    assert [model.version for model in replica._models] == [1]
    assert removed == [Path("/nowhere")]


def test_tokens_are_known_by_their_hash_alone() -> None:
    digest = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"
    assert Tokens([digest.upper()]).allow(b"secret")
    assert not Tokens([digest]).allow(digest.encode())
    assert not Tokens([]).allow(b"")
