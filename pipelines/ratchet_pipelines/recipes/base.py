"""What a recipe is: where its parts run, and what passes between them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pandas as pd

from ratchet_pipelines.catalog import Params
from ratchet_pipelines.data.targets import Task
from ratchet_pipelines.spec import Data
from ratchet_pipelines.train.checkpoints import Weights
from ratchet_pipelines.train.loop import Learner, Settings


class Model(Protocol):
    """Something that predicts, and that `mlflow.pyfunc` can load again from the folder it was saved in."""

    def predict(self, frame: pd.DataFrame) -> pd.DataFrame: ...

    def save(self, folder: Path) -> None: ...


@dataclass(frozen=True)
class Prepared:
    """The data, ready. `material` goes to every worker; the rest stays with the driver."""

    material: Any
    task: Task
    facts: dict[str, Any]
    """For `data.json`: address, hash, rows, columns, sizes of the splits."""
    held: Any = field(repr=False)
    """What the recipe itself needs to build the result."""


@dataclass(frozen=True)
class Trained:
    """All that is kept of a training: logged once by `results.log`."""

    model: Model
    loader_module: str
    task: Task
    test_metrics: dict[str, float]
    inputs: dict[str, str]
    """MLflow's type of each input column (`double`, `boolean`, `string`), in the order of the data."""
    outputs: dict[str, str]
    example: pd.DataFrame
    """A few rows of the data, without the target."""
    profile: pd.DataFrame
    """Rows of the training split as they are in the data, with `prediction`: what drift is measured against."""
    facts: dict[str, Any]
    metadata: dict[str, Any]
    """Kept with the model: task, target, labels, the data it was trained on."""


class Recipe(Protocol):
    """`prepare` and `result` run once, on the driver; `learner` runs in every worker."""

    def settings(self, params: Params, seed: int) -> Settings: ...

    def prepare(self, data: Data, params: Params) -> Prepared:
        """Reads and checks the data. Raises `UserError` or `DataError`."""

    def learner(self, material: Any, params: Params) -> Learner: ...

    def result(self, prepared: Prepared, params: Params, weights: Weights) -> Trained: ...
