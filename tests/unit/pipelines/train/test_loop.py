"""The training loop: learns, repeats itself exactly, resumes as if never stopped, and is the same on two processes."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as multiprocessing

from ratchet_pipelines.catalog import TabularParams
from ratchet_pipelines.data.targets import Classes
from ratchet_pipelines.recipes.tabular import Material, Tabular, TabularLearner
from ratchet_pipelines.train import checkpoints, loop, strategy
from ratchet_pipelines.train.checkpoints import Best, State

PARAMS = TabularParams(hidden=[8], dropout=0.0, epochs=6, batch_size=16, learning_rate=0.02)


def learner(params: TabularParams = PARAMS) -> TabularLearner:
    generator = np.random.default_rng(0)
    rows = generator.normal(size=(130, 4)).astype(np.float32)
    answers = (rows[:, 0] + rows[:, 1] > 0).astype(np.int64)
    material = Material((rows[:101], answers[:101]), (rows[101:], answers[101:]), Classes([0, 1]), 4)
    return Tabular().learner(material, params)


class Memory:
    """Keeps what is reported; hands out a state to go on from; may break the loop after an epoch or want it stopped."""

    def __init__(
        self, state: State | None = None, stop_after: int | None = None, wanted_after: int | None = None
    ) -> None:
        self.state, self.stop_after, self.wanted_after = state, stop_after, wanted_after
        self.history: list[dict[str, float]] = []

    def resume(self) -> State | None:
        return self.state

    def wants_stop(self) -> bool:
        return len(self.history) + 1 == self.wanted_after

    def wants_state(self, *, improved: bool, last: bool) -> bool:
        return self.wanted_after is None or last

    def report(self, epoch: int, metrics: dict[str, float], best: Best, state: State | None) -> None:
        self.history.append(metrics)
        with tempfile.TemporaryDirectory() as folder:  # through the file, as a checkpoint goes
            if state is not None:
                checkpoints.save(state, Path(folder))
                self.state = checkpoints.load(Path(folder))
        if epoch == self.stop_after:
            raise InterruptedError


def fit(settings: loop.Settings, memory: Memory, params: TabularParams = PARAMS) -> Best:
    return loop.fit(learner(params), settings, strategy.Single(torch.device("cpu")), memory)


SETTINGS = Tabular().settings(PARAMS, seed=3)


def test_it_learns() -> None:
    memory = Memory()
    best = fit(replace(SETTINGS, epochs=30), memory)
    assert best.metrics["val/accuracy"] > 0.9
    assert memory.history[-1]["train/loss"] < memory.history[0]["train/loss"] / 2


def test_the_same_seed_gives_the_same_and_another_does_not() -> None:
    params = PARAMS.model_copy(update={"dropout": 0.2})
    runs = [Memory() for _ in range(3)]
    for memory, seed in zip(runs, (3, 3, 4), strict=True):
        fit(replace(SETTINGS, seed=seed), memory, params)
    assert runs[0].history == runs[1].history
    assert runs[0].history != runs[2].history


def test_a_resumed_run_ends_as_one_that_was_never_stopped() -> None:
    params = PARAMS.model_copy(update={"dropout": 0.2})
    whole, first = Memory(), Memory(stop_after=2)
    expected = fit(SETTINGS, whole, params)
    with pytest.raises(InterruptedError):
        fit(SETTINGS, first, params)
    second = Memory(first.state)
    result = fit(SETTINGS, second, params)
    assert first.history + second.history == whole.history
    assert result.epoch == expected.epoch
    assert all(torch.equal(result.weights[name], expected.weights[name]) for name in expected.weights)


def test_a_run_that_is_asked_for_its_room_saves_its_state_and_ends_as_if_it_had_not_been() -> None:
    whole, first = Memory(), Memory(wanted_after=2)
    expected = fit(SETTINGS, whole)
    fit(SETTINGS, first)
    assert first.state is not None
    assert (first.state.epoch, first.state.finished, len(first.history)) == (2, False, 2)
    second = Memory(first.state)
    assert fit(SETTINGS, second).epoch == expected.epoch
    assert first.history + second.history == whole.history


def test_a_finished_run_is_not_trained_again() -> None:
    memory = Memory()
    best = fit(SETTINGS, memory)
    again = Memory(memory.state)
    assert fit(SETTINGS, again).epoch == best.epoch
    assert again.history == []


def test_it_stops_when_the_validation_loss_gets_no_better() -> None:
    memory = Memory()
    best = fit(replace(SETTINGS, epochs=200, learning_rate=0.5, patience=3), memory)
    assert len(memory.history) == best.epoch + 3 < 200
    assert best.value == min(metrics["val/loss"] for metrics in memory.history)


def test_the_monitored_metric_decides_which_epoch_is_best() -> None:
    memory = Memory()
    best = fit(replace(SETTINGS, monitor="val/accuracy", mode="max"), memory)
    assert best.value == max(metrics["val/accuracy"] for metrics in memory.history)


def test_a_loss_that_is_no_number_ends_the_run() -> None:
    broken = learner()
    broken.train[0][0, 0] = float("nan")
    with pytest.raises(FloatingPointError, match="epoch 1"):
        loop.fit(broken, SETTINGS, strategy.Single(torch.device("cpu")), Memory())


def _rank(rank: int, address: str, results: Any) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=address, rank=rank, world_size=2)
    memory = Memory()
    best = loop.fit(learner(), SETTINGS, strategy.current(torch.device("cpu")), memory)
    results.put((rank, memory.history, {name: value.numpy() for name, value in best.weights.items()}))
    dist.destroy_process_group()


@pytest.mark.slow
def test_two_processes_train_the_same_net_as_one(tmp_path: Path) -> None:
    """Training rows (101) and batches (16, the last 5) don't divide by two: every row must still weigh the same."""
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    processes = [context.Process(target=_rank, args=(n, f"file://{tmp_path}/store", results)) for n in range(2)]
    for process in processes:
        process.start()
    found = {rank: (history, weights) for rank, history, weights in (results.get(timeout=120) for _ in processes)}
    for process in processes:
        process.join(30)
    alone = Memory()
    best = fit(SETTINGS, alone)
    assert found[0][0] == found[1][0]
    for together, single in zip(found[0][0], alone.history, strict=True):
        assert together == pytest.approx(single, rel=1e-4, abs=1e-6)
    for name, value in best.weights.items():
        assert np.allclose(found[0][1][name], value.numpy(), atol=1e-4)
