"""What a target is by its type, and the targets that nothing can be learned from."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from ratchet_pipelines.data import tables, targets
from ratchet_pipelines.data.split import Split
from ratchet_pipelines.data.targets import Classes, Quantity
from ratchet_pipelines.errors import DataError
from ratchet_pipelines.spec import Data


@pytest.mark.parametrize(
    ("values", "task"),
    [
        (["a", "b"] * 20, "classification"),
        ([True, False] * 20, "classification"),
        ([0, 1, 2, 1] * 10, "classification"),
        (list(range(40)), "regression"),
        ([0.5, 1.5] * 20, "regression"),
    ],
)
def test_the_task_follows_from_the_type(values: list[Any], task: str) -> None:
    assert targets.task_of(pd.Series(values)) == task


def fit(values: list[Any], train: list[int], task: Any = "auto") -> Classes | Quantity:
    frame = pd.DataFrame({"x": np.arange(len(values), dtype=float), "y": values})
    table = tables.check(frame, Data(uri="file:///x.csv", target="y"))
    rest = np.setdiff1d(np.arange(len(values)), train)
    return targets.fit(table, Split(np.array(train), rest, rest), task)


def test_labels_keep_their_type() -> None:
    for values in (["no", "yes"], [3, 8], [False, True]):
        target = fit(values * 10, list(range(10)))
        assert isinstance(target, Classes)
        assert target.labels == values
        assert [type(label) for label in target.labels] == [type(value) for value in values]
        assert target.encode(pd.Series(values)).tolist() == [0, 1]


def test_a_quantity_is_standardised_by_the_training_rows_alone() -> None:
    target = fit([1.0, 3.0, 100.0, 200.0], [0, 1])
    assert target == Quantity(mean=2.0, scale=1.0)


@pytest.mark.parametrize(
    ("values", "train", "task", "says"),
    [
        (["a"] * 20, [0], "auto", "is 'a' in every row"),
        ([f"name-{n}" for n in range(20)], [0], "auto", "too few rows of each"),
        (["a"] * 19 + ["b"], [0, 1], "auto", "class 'b' .* has no row in the training split"),
        (["a", "b"] * 10, [0, 1], "regression", "not a number"),
        ([2.5] * 20, [0, 1], "auto", "in every training row"),
    ],
)
def test_targets_without_anything_to_learn(values: list[Any], train: list[int], task: Any, says: str) -> None:
    with pytest.raises(DataError, match=says):
        fit(values, train, task)
