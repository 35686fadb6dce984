"""Checkpoints: what is not whole is never loaded; the last whole one is found, and what is passed over is named."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import ray.train
import torch

from ratchet_pipelines.errors import EngineError
from ratchet_pipelines.spec import Resources
from ratchet_pipelines.train import checkpoints, launch, loop
from ratchet_pipelines.train.checkpoints import DIGEST, FILE, Best, State
from ratchet_pipelines.train.spool import Spool
from ratchet_pipelines.train.tracking import MetricLog


def save(folder: Path, epoch: int) -> Path:
    folder.mkdir(parents=True)
    weights = {"w": torch.full((1000,), float(epoch))}
    checkpoints.save(State(epoch, weights, {}, {}, Best(epoch, 0.5, {"val/loss": 0.5}, weights)), folder)
    return folder


def cut(folder: Path) -> None:
    content = (folder / FILE).read_bytes()
    (folder / FILE).write_bytes(content[: len(content) // 2])


def alter(folder: Path) -> None:
    content = bytearray((folder / FILE).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / FILE).write_bytes(content)


def exchange(folder: Path) -> None:
    (folder / DIGEST).write_text("0" * 64)


def forget_digest(folder: Path) -> None:
    (folder / DIGEST).unlink()


def empty(folder: Path) -> None:
    (folder / FILE).unlink()


BREAKS = [cut, alter, exchange, forget_digest, empty]


def test_what_is_saved_is_what_is_loaded(tmp_path: Path) -> None:
    state = checkpoints.load(save(tmp_path / "a", 7))
    assert (state.epoch, state.best.metrics) == (7, {"val/loss": 0.5})
    assert torch.equal(state.net["w"], torch.full((1000,), 7.0))


@pytest.mark.parametrize("broken", BREAKS)
def test_what_is_not_whole_is_not_loaded(tmp_path: Path, broken: Callable[[Path], None]) -> None:
    folder = save(tmp_path / "a", 7)
    broken(folder)
    with pytest.raises(EngineError, match=f"{FILE}|{DIGEST}"):
        checkpoints.load(folder)


@pytest.fixture
def attempts(tmp_path: Path) -> Path:
    """Of two attempts, of which the clock says nothing: the second went on from 3, since 101 could not be read then."""
    for attempt, epoch in ((2, 100), (2, 20), (1, 101), (1, 3)):
        save(tmp_path / f"attempt-{attempt}" / checkpoints.name_of(epoch), epoch)
    save(tmp_path / "attempt-2" / "something-else", 200)
    return tmp_path


def epoch_of(*folders: Path) -> int | None:
    checkpoint = launch.last_checkpoint(folder.as_uri() for folder in folders)
    return None if checkpoint is None else checkpoints.load(Path(checkpoint.path)).epoch


def test_the_last_is_found_over_all_attempts(attempts: Path) -> None:
    assert epoch_of(attempts) == 100


@pytest.mark.parametrize("broken", BREAKS)
def test_one_that_is_broken_is_passed_over_and_named(
    attempts: Path, broken: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    broken(attempts / "attempt-2" / "epoch-100")
    broken(attempts / "attempt-2" / "epoch-20")
    broken(attempts / "attempt-1" / "epoch-101")
    assert epoch_of(attempts) == 3
    told = capsys.readouterr().out
    if broken is not empty:  # then there is no checkpoint to tell of
        assert f"Passed over {attempts / 'attempt-2' / 'epoch-100'}: The checkpoint is not" in told
        assert "epoch-20" in told


def test_the_next_folder_is_looked_at_where_one_has_none(attempts: Path, tmp_path: Path) -> None:
    other = tmp_path.with_name("other")
    save(other / "attempt-1" / "epoch-9", 9)
    assert epoch_of(tmp_path / "missing", attempts, other) == 100
    assert epoch_of(other, attempts) == 9
    cut(other / "attempt-1" / "epoch-9")
    assert epoch_of(other, attempts) == 100
    assert epoch_of(tmp_path / "missing") is None


def test_of_old_checkpoints_the_last_two_are_kept(attempts: Path) -> None:
    launch.remove_old_checkpoints(attempts.as_uri())
    assert sorted(path.name for path in attempts.glob("*/epoch-*")) == ["epoch-100", "epoch-20"]
    launch.remove_old_checkpoints((attempts / "missing").as_uri())


def test_no_checkpoint_is_ahead_of_the_metrics(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What was measured up to it is not measured again, so that it must not be in memory alone by then."""
    spool, saved = Spool(tmp_path.as_uri(), 1), []

    def report(metrics: dict[str, float], checkpoint: object = None, checkpoint_dir_name: str = "") -> None:
        if checkpoint is not None:
            assert checkpoint_dir_name == checkpoints.name_of(int(metrics["epoch"]))
            saved.append([entry[4] for entry in Spool(spool.folder, 2).left()])

    def away(run: str, metrics: object) -> None:
        assert ended.wait(10)

    monkeypatch.setattr(ray.train, "report", report)
    monkeypatch.setattr(ray.train, "get_context", lambda: SimpleNamespace(get_world_rank=lambda: 0))
    settings = loop.Settings(3, 1, 0.1, 0.0, 0.0, 3, 0)
    training = launch.Training("attempt-1", "", "", {}, settings, Resources(), run_id="a", spool=spool)
    ended = threading.Event()
    with MetricLog(away, spool) as log:
        reporter = launch.RayReporter(training, log, lambda: False)
        for epoch in (1, 2, 3):
            state = State(epoch, {}, {}, {}, Best()) if epoch > 1 else None
            reporter.report(epoch, {"val/loss": 1 / epoch}, Best(), state)
        ended.set()
    assert saved == [[1, 2], [1, 2, 3]]
