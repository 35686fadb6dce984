"""How good predictions are: the same figures for a training job's test split and for an evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from ratchet_pipelines.data.targets import Task

SMALLEST_PROBABILITY = 1e-15


def primary(task: Task) -> tuple[str, bool]:
    """The metric by which two models of a task are compared, and whether more is better."""
    return ("accuracy", True) if task == "classification" else ("rmse", False)


def measure(task: Task, truth: pd.Series, predictions: pd.DataFrame, labels: Sequence[Any] = ()) -> dict[str, float]:
    """All metrics of `predictions`, row by row beside `truth`.

    Classification: accuracy, f1_macro; log_loss (natural logarithm, per row) where there are probabilities, roc_auc
    where there are two `labels` and both occur. Regression: rmse and mae in the target's unit, r2.
    """
    if task == "regression":
        return _regression(truth, predictions)
    return _classification(truth, predictions, labels)


def _regression(truth: pd.Series, predictions: pd.DataFrame) -> dict[str, float]:
    actual = truth.to_numpy(np.float64)
    errors = predictions["prediction"].to_numpy(np.float64) - actual
    spread = float(((actual - actual.mean()) ** 2).sum())
    metrics = {"rmse": float(np.sqrt((errors**2).mean())), "mae": float(np.abs(errors).mean())}
    return metrics | ({"r2": 1 - float((errors**2).sum()) / spread} if spread > 0 else {})


def _classification(truth: pd.Series, predictions: pd.DataFrame, labels: Sequence[Any]) -> dict[str, float]:
    from sklearn.metrics import f1_score, roc_auc_score

    actual, predicted = truth.tolist(), predictions["prediction"].tolist()
    hits = [one == other for one, other in zip(actual, predicted, strict=True)]
    metrics = {
        "accuracy": float(np.mean(hits)),
        "f1_macro": float(f1_score([str(v) for v in actual], [str(v) for v in predicted], average="macro")),
    }
    columns = [f"probability_{label}" for label in labels]
    if not columns or not set(columns) <= set(predictions.columns):
        return metrics
    probabilities = predictions[columns].to_numpy(np.float64)
    places = {label: place for place, label in enumerate(labels)}
    # A class the model has never heard of has probability 0 from it.
    given = [row[places[label]] if label in places else 0.0 for row, label in zip(probabilities, actual, strict=True)]
    metrics["log_loss"] = float(-np.log(np.clip(given, SMALLEST_PROBABILITY, 1.0)).mean())
    if len(labels) == 2 and set(actual) == set(labels):
        metrics["roc_auc"] = float(roc_auc_score([label == labels[1] for label in actual], probabilities[:, 1]))
    return metrics
