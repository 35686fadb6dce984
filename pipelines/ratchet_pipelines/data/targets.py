"""What is predicted: one of some classes, or a quantity. Both turn the data's values into numbers and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from ratchet_pipelines.data.split import Split
from ratchet_pipelines.data.tables import Table
from ratchet_pipelines.errors import DataError

MAX_CLASSES = 100
ROWS_PER_CLASS = 10
Task = Literal["classification", "regression"]


@dataclass(frozen=True)
class Classes:
    """Labels in order; a label's number is its place. They keep the type they have in the data: text, int or bool."""

    labels: list[Any]

    def encode(self, values: pd.Series) -> npt.NDArray[np.int64]:
        places = {label: place for place, label in enumerate(self.labels)}
        return np.array([places[value] for value in values.tolist()], np.int64)


@dataclass(frozen=True)
class Quantity:
    """A number, standardised by the training rows' mean and standard deviation."""

    mean: float
    scale: float

    def encode(self, values: pd.Series) -> npt.NDArray[np.float32]:
        return np.asarray((values.to_numpy(np.float64) - self.mean) / self.scale, np.float32)


def task_of(values: pd.Series) -> Task:
    """What a target without missing values is by its type.

    Text and booleans are classes. Whole numbers are classes when they are few: at most 100, and at least ten rows for
    each on average. All other numbers are quantities.
    """
    if values.dtype.kind not in "iuf":
        return "classification"
    if values.dtype.kind == "f":
        return "regression"
    return (
        "classification" if values.nunique() <= min(MAX_CLASSES, max(2, len(values) / ROWS_PER_CLASS)) else "regression"
    )


def fit(table: Table, split: Split, task: Literal["auto"] | Task) -> Classes | Quantity:
    """The target of `table`, learned from its training rows. Raises `DataError` when nothing can be predicted."""
    values = table.frame[table.target]
    if (task_of(values) if task == "auto" else task) == "regression":
        return _quantity(table, split)
    labels = sorted(values.unique().tolist(), key=lambda label: (str(type(label)), label))
    if len(labels) < 2:
        raise DataError(
            f"The target {table.target!r} is {labels[0]!r} in every row: there is nothing to tell apart. "
            "Choose another target, or data with at least two classes."
        )
    if len(labels) > max(2, len(values) // 2):
        raise DataError(
            f"The target {table.target!r} has {len(labels)} classes in {len(values)} rows: too few rows of each to "
            "learn from. If it is a quantity, give it as a number."
        )
    seen = set(values.iloc[split.train].tolist())
    if lost := [label for label in labels if label not in seen]:
        raise DataError(
            f"The class {lost[0]!r} of the target {table.target!r} has no row in the training split. "
            "Give more rows of it, or leave it out."
        )
    return Classes(labels)


def _quantity(table: Table, split: Split) -> Quantity:
    values = table.frame[table.target]
    if values.dtype.kind not in "iuf":
        raise DataError(f"The target {table.target!r} is not a number: use the task `classification`.")
    train = values.iloc[split.train].to_numpy(np.float64)
    if not np.isfinite(values.to_numpy(np.float64)).all():
        raise DataError(f"The target {table.target!r} is infinite in some row. Correct it.")
    if train.std() == 0:
        raise DataError(f"The target {table.target!r} is {train[0]:g} in every training row: nothing to predict.")
    return Quantity(float(train.mean()), float(train.std()))
