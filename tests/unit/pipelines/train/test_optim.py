from __future__ import annotations

import pytest
from torch import nn

from ratchet_pipelines.train import optim


def test_the_rate_rises_to_its_peak_and_falls_to_nothing() -> None:
    optimizer = optim.adamw(nn.Linear(2, 2), 0.5, 0.1)
    schedule = optim.warmup_cosine(optimizer, steps=100, warmup_fraction=0.1)
    rates = []
    for _ in range(100):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates[:10] == pytest.approx([0.05 * (step + 1) for step in range(10)])
    assert max(rates) == rates[10] == pytest.approx(0.5)
    assert rates[55] == pytest.approx(0.25)
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] < 0.001


def test_biases_are_not_decayed() -> None:
    groups = optim.adamw(nn.Linear(3, 2), 0.1, 0.25).param_groups
    assert [(group["weight_decay"], [p.dim() for p in group["params"]]) for group in groups] == [
        (0.25, [2]),
        (0.0, [1]),
    ]
