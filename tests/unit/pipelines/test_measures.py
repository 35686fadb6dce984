from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics

from ratchet_pipelines import measures


def test_classification_as_scikit_learn_measures_it() -> None:
    generator = np.random.default_rng(0)
    truth = pd.Series(generator.choice(["a", "b"], 200))
    p = np.clip(np.where(truth == "b", 0.6, 0.4) + generator.normal(0, 0.2, 200), 0.01, 0.99)
    answers = pd.DataFrame({"prediction": np.where(p > 0.5, "b", "a"), "probability_a": 1 - p, "probability_b": p})
    found = measures.measure("classification", truth, answers, ["a", "b"])
    assert found == pytest.approx(
        {
            "accuracy": metrics.accuracy_score(truth, answers["prediction"]),
            "f1_macro": metrics.f1_score(truth, answers["prediction"], average="macro"),
            "log_loss": metrics.log_loss(truth, np.stack([1 - p, p], axis=1)),
            "roc_auc": metrics.roc_auc_score(truth == "b", p),
        }
    )


def test_a_class_the_model_never_heard_of_costs_the_most_and_has_no_curve() -> None:
    answers = pd.DataFrame({"prediction": [0, 1], "probability_0": [1.0, 0.0], "probability_1": [0.0, 1.0]})
    found = measures.measure("classification", pd.Series([0, 2]), answers, [0, 1])
    assert found["log_loss"] == pytest.approx(-np.log(1e-15) / 2)
    assert "roc_auc" not in found


def test_regression_as_scikit_learn_measures_it() -> None:
    truth, answers = pd.Series([1.0, 2.0, 4.0]), pd.DataFrame({"prediction": [1.5, 2.0, 3.0]})
    assert measures.measure("regression", truth, answers) == pytest.approx(
        {
            "rmse": metrics.root_mean_squared_error(truth, answers["prediction"]),
            "mae": metrics.mean_absolute_error(truth, answers["prediction"]),
            "r2": metrics.r2_score(truth, answers["prediction"]),
        }
    )


def test_models_without_probabilities_are_measured_by_their_answers() -> None:
    found = measures.measure("classification", pd.Series([0, 1]), pd.DataFrame({"prediction": [0, 0]}), [0, 1])
    assert set(found) == {"accuracy", "f1_macro"}
