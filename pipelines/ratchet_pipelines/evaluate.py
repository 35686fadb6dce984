"""Measuring model versions on the same test split of the same data."""

from __future__ import annotations

import time
from typing import Any

import mlflow
import pandas as pd
from mlflow.entities import Metric, RunTag
from mlflow.exceptions import MlflowException

from ratchet_pipelines import measures
from ratchet_pipelines.data import tables, targets
from ratchet_pipelines.data.split import split
from ratchet_pipelines.data.tables import Table
from ratchet_pipelines.errors import DataError, UserError
from ratchet_pipelines.spec import Data, Envelope, Evaluate, ModelVersion
from ratchet_pipelines.spec import RunTag as Tag
from ratchet_pipelines.train.tracking import client, patiently


def evaluate(envelope: Envelope) -> str:
    """Logs each version's metrics as `v<version>/<metric>`; returns a line that says them.

    Raises `UserError` when a version does not exist, was trained on rows of this test split or on another task, and
    `DataError` when the data lacks what a version needs.
    """
    spec = envelope.spec
    assert isinstance(spec, Evaluate)
    table = tables.load(spec.data)
    rows = split(table, spec.data).test
    test = table.frame.iloc[rows].reset_index(drop=True)
    models = {version: _load(version) for version in spec.models}
    task = _task(models, table)
    found = {version: _measure(version, model, test, table, spec.data, task) for version, model in models.items()}
    metric, greater = measures.primary(task)
    now = int(time.time() * 1000)
    metrics = [Metric("test/rows", len(test), now, 0)]
    metrics += [
        Metric(f"v{version.version}/{name}", value, now, 0)
        for version, values in found.items()
        for name, value in values.items()
    ]
    tags = {Tag.DATA_HASH: table.hash, Tag.PRIMARY_METRIC: metric, Tag.GREATER_IS_BETTER: str(greater).lower()}
    patiently(
        lambda: client().log_batch(
            envelope.run_id, metrics=metrics, tags=[RunTag(str(key), value) for key, value in tags.items()]
        )
    )
    said = ", ".join(f"{version.name} v{version.version} {metric} {found[version][metric]:.4f}" for version in found)
    return f"{said} on {len(test)} test rows."


def _load(version: ModelVersion) -> Any:
    try:
        return patiently(lambda: mlflow.pyfunc.load_model(version.uri))
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            raise UserError(f"There is no version {version.version} of the model {version.name!r}.") from error
        raise


def _facts(model: Any) -> dict[str, Any]:
    return model.metadata.metadata or {}


def _task(models: dict[ModelVersion, Any], table: Table) -> targets.Task:
    tasks = {_facts(model).get("task") or targets.task_of(table.frame[table.target]) for model in models.values()}
    if len(tasks) > 1:
        raise UserError("The versions can't be compared: some predict classes, some quantities.")
    task: targets.Task = tasks.pop()
    return task


def _measure(
    version: ModelVersion, model: Any, test: pd.DataFrame, table: Table, data: Data, task: targets.Task
) -> dict[str, float]:
    facts = _facts(model)
    _require_same_split(version, facts, table, data)
    inputs = model.metadata.get_input_schema()
    columns = inputs.input_names() if inputs is not None else table.features
    if lacking := [column for column in columns if column not in test]:
        raise DataError(f"{version.name} version {version.version} needs the column {lacking[0]!r}, not in {data.uri}.")
    predictions = model.predict(test[columns])
    if not isinstance(predictions, pd.DataFrame):
        predictions = pd.DataFrame({"prediction": predictions})
    return measures.measure(task, test[table.target], predictions, facts.get("labels", ()))


def _require_same_split(version: ModelVersion, facts: dict[str, Any], table: Table, data: Data) -> None:
    """A row's side follows from the features and fractions: with others, training rows would be tested on."""
    trained = facts.get("data")
    if trained is None or trained["uri"] != data.uri:
        return
    same = (
        sorted(trained["features"]) == sorted(table.features)
        and trained["test_fraction"] == data.test_fraction
        and trained["target"] == data.target
    )
    if not same:
        raise UserError(
            f"{version.name} version {version.version} was trained on {data.uri} with another split, so rows that it "
            "learned from would be in this test split. Give the target, features and test_fraction of its training."
        )
