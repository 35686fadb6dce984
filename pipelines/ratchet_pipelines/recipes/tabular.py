"""The recipe `tabular`: a multi-layer perceptron on a table, for classes or quantities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional

from ratchet_pipelines import measures, nets
from ratchet_pipelines.catalog import TabularParams
from ratchet_pipelines.data import tables, targets
from ratchet_pipelines.data.features import Features, Floats
from ratchet_pipelines.data.split import Split, split
from ratchet_pipelines.data.tables import Kind, Table
from ratchet_pipelines.data.targets import Classes, Quantity
from ratchet_pipelines.errors import UserError
from ratchet_pipelines.models import NetSpec, TabularModel
from ratchet_pipelines.recipes.base import Prepared, Trained
from ratchet_pipelines.spec import Data
from ratchet_pipelines.train.checkpoints import Weights
from ratchet_pipelines.train.loop import Batch, Settings

PROFILE_ROWS = 10_000
EXAMPLE_ROWS = 3
MLFLOW_TYPES = {Kind.NUMBER: "double", Kind.BOOLEAN: "boolean", Kind.TEXT: "string"}


@dataclass(frozen=True)
class Material:
    """What the workers train on: encoded rows and targets, and the shape of the net."""

    train: tuple[Floats, npt.NDArray[Any]]
    validation: tuple[Floats, npt.NDArray[Any]]
    target: Classes | Quantity
    width: int


@dataclass(frozen=True)
class Held:
    data: Data
    table: Table
    split: Split
    features: Features


class Tabular:
    """See `recipes.base.Recipe`."""

    def settings(self, params: TabularParams, seed: int) -> Settings:
        return Settings(
            epochs=params.epochs,
            batch_size=params.batch_size,
            learning_rate=params.learning_rate,
            weight_decay=params.weight_decay,
            warmup_fraction=params.warmup_fraction,
            patience=params.patience,
            seed=seed,
        )

    def prepare(self, data: Data, params: TabularParams) -> Prepared:
        table = tables.load(data)
        if "prediction" in table.frame:
            raise UserError(
                "The data has a column 'prediction', which is what the model's answer is called. Rename it."
            )
        parts = split(table, data)
        target = targets.fit(table, parts, params.task)
        features = Features.fit(table.frame.iloc[parts.train], table.kinds)
        encoded = features.encoder().frame(table.frame)
        answers = target.encode(table.frame[table.target])
        material = Material(
            (encoded[parts.train], answers[parts.train]),
            (encoded[parts.validation], answers[parts.validation]),
            target,
            features.width,
        )
        task: targets.Task = "classification" if isinstance(target, Classes) else "regression"
        return Prepared(material, task, _facts(data, table, parts), Held(data, table, parts, features))

    def learner(self, material: Material, params: TabularParams) -> TabularLearner:
        return TabularLearner(material, params)

    def result(self, prepared: Prepared, params: TabularParams, weights: Weights) -> Trained:
        held: Held = prepared.held
        target = prepared.material.target
        model = TabularModel(held.features, target, _net(prepared.material, params), weights)
        table, frame = held.table, held.table.frame
        labels = target.labels if isinstance(target, Classes) else []
        test = frame.iloc[held.split.test]
        train = frame.iloc[held.split.train]
        profile = train.sample(min(len(train), PROFILE_ROWS), random_state=0).sort_index().reset_index(drop=True)
        return Trained(
            model=model,
            loader_module=TabularModel.__module__,
            task=prepared.task,
            test_metrics=measures.measure(prepared.task, test[table.target], model.predict(test), labels),
            inputs={name: MLFLOW_TYPES[kind] for name, kind in table.kinds.items()},
            outputs=_outputs(target),
            example=train[table.features].head(EXAMPLE_ROWS).reset_index(drop=True),
            profile=profile.assign(prediction=model.predict(profile)["prediction"]),
            facts=prepared.facts,
            metadata={
                "task": prepared.task,
                "target": table.target,
                "labels": labels,
                "data": held.data.model_dump(mode="json") | {"features": table.features},
                "data_hash": table.hash,
            },
        )


class TabularLearner:
    """See `train.loop.Learner`: cross-entropy for classes, squared error of the standardised quantity."""

    def __init__(self, material: Material, params: TabularParams) -> None:
        self._material, self._params = material, params
        self.train: Batch = _tensors(material.train)
        self.validation: Batch = _tensors(material.validation)

    def build(self) -> nn.Module:
        spec = _net(self._material, self._params)
        return nets.build(spec.name, spec.arguments)

    def measure(self, net: nn.Module, batch: Batch) -> dict[str, Tensor]:
        rows, answers = batch
        outputs = net(rows)
        if isinstance(self._material.target, Classes):
            loss = functional.cross_entropy(outputs, answers, reduction="none")
            return {"loss": loss, "accuracy": (outputs.argmax(dim=1) == answers).double()}
        errors = outputs[:, 0] - answers
        return {"loss": errors.square(), "mae": errors.abs()}

    def summary(self, means: dict[str, float]) -> dict[str, float]:
        if isinstance(self._material.target, Classes):
            return means
        scale = self._material.target.scale
        return {"loss": means["loss"], "rmse": means["loss"] ** 0.5 * scale, "mae": means["mae"] * scale}


def _net(material: Material, params: TabularParams) -> NetSpec:
    outputs = len(material.target.labels) if isinstance(material.target, Classes) else 1
    return NetSpec(
        "mlp", {"inputs": material.width, "hidden": params.hidden, "outputs": outputs, "dropout": params.dropout}
    )


def _tensors(arrays: tuple[npt.NDArray[Any], ...]) -> Batch:
    # Copied: Ray's arrays are read-only memory shared between processes, of which torch warns.
    return tuple(torch.from_numpy(np.array(array)) for array in arrays)


def _outputs(target: Classes | Quantity) -> dict[str, str]:
    if isinstance(target, Quantity):
        return {"prediction": "double"}
    kinds = {"b": "boolean", "i": "long", "f": "double"}
    prediction = kinds.get(pd.Series(target.labels).dtype.kind, "string")
    return {"prediction": prediction, **{f"probability_{label}": "double" for label in target.labels}}


def _facts(data: Data, table: Table, parts: Split) -> dict[str, Any]:
    return {
        "uri": data.uri,
        "hash": table.hash,
        "rows": len(table.frame),
        "rows_without_target": table.rows_without_target,
        "columns": {name: str(kind) for name, kind in table.kinds.items()},
        "target": table.target,
        "split": parts.sizes,
    }
