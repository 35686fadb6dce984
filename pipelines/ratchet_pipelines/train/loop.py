"""The training loop: every recipe's, every strategy's.

With N workers a step sees the same rows as with one, and weighs each the same, so that the result is the same but for
the order of additions and what dropout drops.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor, nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from ratchet_pipelines.train import optim
from ratchet_pipelines.train.checkpoints import Best, State
from ratchet_pipelines.train.strategy import Strategy

Batch = tuple[Tensor, ...]
EVALUATION_ROWS = 4096
"""Rows measured at once; only memory depends on it."""


class Learner(Protocol):
    """What a recipe trains. Batches are tuples of tensors whose first dimension is rows."""

    train: Batch
    validation: Batch

    def build(self) -> nn.Module:
        """A new net, drawn from torch's generator."""

    def measure(self, net: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """Each row's loss (under `loss`, differentiable) and whatever else is averaged over rows: shape (rows,)."""

    def summary(self, means: dict[str, float]) -> dict[str, float]:
        """Metrics from the means over rows of what `measure` gave."""


@dataclass(frozen=True)
class Settings:
    epochs: int
    batch_size: int
    """Rows in one step, over all processes."""
    learning_rate: float
    weight_decay: float
    warmup_fraction: float
    patience: int
    seed: int
    monitor: str = "val/loss"
    """The metric that decides which epoch is best, and when to stop."""
    mode: Literal["min", "max"] = "min"


class Reporter(Protocol):
    """Where an epoch's metrics and state go."""

    def resume(self) -> State | None:
        """The state to go on from."""

    def wants_state(self, *, improved: bool, last: bool) -> bool:
        """Whether `report` should be given the state. Asked on rank 0 only."""

    def wants_stop(self) -> bool:
        """Whether the run is to be stopped after this epoch, with its state saved. Asked on rank 0 only."""

    def report(self, epoch: int, metrics: dict[str, float], best: Best, state: State | None) -> None:
        """Called on every rank after every epoch; `state` is given on all ranks or on none."""


@dataclass
class _Run:
    learner: Learner
    settings: Settings
    strategy: Strategy
    net: nn.Module
    wrapped: nn.Module
    optimizer: AdamW
    schedule: LambdaLR
    best: Best
    epoch: int = 0


def fit(learner: Learner, settings: Settings, strategy: Strategy, reporter: Reporter) -> Best:
    """Trains until the epochs are over, the monitored metric has not been better for `patience` epochs, or the reporter
    wants it stopped.

    Returns the best epoch with its weights. Raises `FloatingPointError` when the loss is no longer finite, `KeyError`
    when there is no metric `settings.monitor`.
    """
    state = reporter.resume()
    if state is not None and state.finished:
        return state.best
    run = _start(learner, settings, strategy, state)
    while True:
        metrics = _epoch(run)
        improved = run.best.improves(metrics[settings.monitor], settings.mode)
        if improved:
            run.best = Best(run.epoch, metrics[settings.monitor], metrics, strategy.weights(run.net))
        last = run.epoch >= settings.epochs or run.epoch - run.best.epoch >= settings.patience
        main = strategy.rank == 0
        stop = main and reporter.wants_stop()
        save = stop or (main and reporter.wants_state(improved=improved, last=last))
        last, save, stop = _decided_by_main(strategy, last, save, stop)
        reporter.report(run.epoch, metrics, run.best, _state(run, last) if save else None)
        if last or stop:
            return run.best


def _start(learner: Learner, settings: Settings, strategy: Strategy, state: State | None) -> _Run:
    torch.manual_seed(settings.seed)
    net = learner.build().to(strategy.device)
    if state is not None:
        net.load_state_dict(state.net)
    wrapped = strategy.wrap(net)
    optimizer = optim.adamw(net, settings.learning_rate, settings.weight_decay)
    steps = -(-len(learner.train[0]) // settings.batch_size)
    schedule = optim.warmup_cosine(optimizer, settings.epochs * steps, settings.warmup_fraction)
    if state is None:
        return _Run(learner, settings, strategy, net, wrapped, optimizer, schedule, Best())
    optimizer.load_state_dict(state.optimizer)
    schedule.load_state_dict(state.schedule)
    return _Run(learner, settings, strategy, net, wrapped, optimizer, schedule, state.best, state.epoch)


def _epoch(run: _Run) -> dict[str, float]:
    run.epoch += 1
    # Seeded by epoch and rank: a resumed run draws what an uninterrupted one does.
    torch.manual_seed(hash((run.settings.seed, run.epoch, run.strategy.rank)))
    rate = run.optimizer.param_groups[0]["lr"]
    run.wrapped.train()
    train = _means(run, _train_steps(run))
    if not torch.isfinite(torch.tensor(train["loss"])):
        raise FloatingPointError(f"the training loss is {train['loss']} in epoch {run.epoch}")
    run.net.eval()
    validation = _means(run, _validation_steps(run))
    metrics = {f"train/{name}": value for name, value in run.learner.summary(train).items()}
    metrics |= {f"val/{name}": value for name, value in run.learner.summary(validation).items()}
    return metrics | {"learning_rate": rate}


def _train_steps(run: _Run) -> Iterator[dict[str, Tensor]]:
    settings, strategy = run.settings, run.strategy
    order = torch.randperm(
        len(run.learner.train[0]), generator=torch.Generator().manual_seed(hash((settings.seed, run.epoch)))
    )
    for rows in torch.split(order, settings.batch_size):
        mine = rows[strategy.rank :: strategy.world]
        measured = run.learner.measure(run.wrapped, _take(run.learner.train, mine, strategy))
        run.optimizer.zero_grad(set_to_none=True)
        # Processes may hold a different number of rows; averaging their gradients must still weigh every row alike.
        (measured["loss"].sum() * strategy.world / len(rows)).backward()  # type: ignore[no-untyped-call]
        run.optimizer.step()
        run.schedule.step()
        yield measured


@torch.no_grad()
def _validation_steps(run: _Run) -> Iterator[dict[str, Tensor]]:
    rows = torch.arange(run.strategy.rank, len(run.learner.validation[0]), run.strategy.world)
    for chunk in torch.split(rows, EVALUATION_ROWS):
        yield run.learner.measure(run.net, _take(run.learner.validation, chunk, run.strategy))


def _take(batch: Batch, rows: Tensor, strategy: Strategy) -> Batch:
    return tuple(tensor[rows].to(strategy.device, non_blocking=True) for tensor in batch)


def _means(run: _Run, steps: Iterator[dict[str, Tensor]]) -> dict[str, float]:
    """The means over all rows of all processes, from one reduction."""
    totals: dict[str, Tensor] = defaultdict(lambda: torch.zeros((), dtype=torch.float64, device=run.strategy.device))
    for measured in steps:
        for name, values in measured.items():
            totals[name] += values.detach().sum(dtype=torch.float64)
        totals[""] += len(measured["loss"])
    names = sorted(totals)
    sums = run.strategy.sum(torch.stack([totals[name] for name in names])).tolist()
    by_name = dict(zip(names, sums, strict=True))
    rows = by_name.pop("")
    return {name: value / rows for name, value in by_name.items()}


def _decided_by_main(strategy: Strategy, *decisions: bool) -> list[bool]:
    flags = torch.tensor(decisions, dtype=torch.uint8, device=strategy.device)
    return [bool(flag) for flag in strategy.from_main(flags).tolist()]


def _state(run: _Run, finished: bool) -> State:
    return State(
        epoch=run.epoch,
        net=run.strategy.weights(run.net),
        optimizer=run.optimizer.state_dict(),
        schedule=run.schedule.state_dict(),
        best=run.best,
        finished=finished,
    )
