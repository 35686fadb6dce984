"""Recipes by name, and the tabular one from data to model without a cluster."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from ratchet_pipelines import recipes
from ratchet_pipelines.catalog import RECIPES
from ratchet_pipelines.errors import UserError
from ratchet_pipelines.recipes.base import Trained
from ratchet_pipelines.recipes.tabular import Tabular
from ratchet_pipelines.spec import Data
from ratchet_pipelines.train import loop, strategy
from ratchet_pipelines.train.checkpoints import Best, State


class Silent:
    def resume(self) -> State | None:
        return None

    def wants_stop(self) -> bool:
        return False

    def wants_state(self, *, improved: bool, last: bool) -> bool:
        return False

    def report(self, epoch: int, metrics: dict[str, float], best: Best, state: State | None) -> None:
        return


def train(uri: str, **params: Any) -> Trained:
    recipe, parsed = recipes.load("tabular"), recipes.parse_params("tabular", params)
    prepared = recipe.prepare(Data(uri=uri), parsed)
    device = strategy.Single(torch.device("cpu"))
    best = loop.fit(recipe.learner(prepared.material, parsed), recipe.settings(parsed, 0), device, Silent())
    return recipe.result(prepared, parsed, best.weights)


def test_every_recipe_of_the_catalog_can_be_loaded() -> None:
    for name in RECIPES:
        assert recipes.load(name)


def test_unknown_recipes_and_parameters_say_what_there_is() -> None:
    with pytest.raises(UserError, match=r"Did you mean 'tabular'\?"):
        recipes.load("tabullar")
    with pytest.raises(UserError, match=r"Did you mean 'epochs'\?"):
        recipes.parse_params("tabular", {"epoch": 3})
    with pytest.raises(UserError, match="'dropout' is 2"):
        recipes.parse_params("tabular", {"dropout": 2})


def test_classification_from_data_to_model() -> None:
    trained = train("sklearn://breast_cancer")
    assert trained.task == "classification"
    assert trained.test_metrics["accuracy"] > 0.9
    assert trained.test_metrics["roc_auc"] > 0.97
    assert set(trained.inputs.values()) == {"double"}
    assert trained.outputs == {"prediction": "long", "probability_0": "double", "probability_1": "double"}
    assert list(trained.model.predict(trained.example).columns) == list(trained.outputs)
    assert sum(trained.facts["split"].values()) == trained.facts["rows"] == 569


def test_the_profile_is_of_training_rows_as_they_are_in_the_data() -> None:
    trained = train("sklearn://iris", epochs=2)
    assert len(trained.profile) == trained.facts["split"]["train"]
    assert set(trained.profile.columns) == {*trained.inputs, "target", "prediction"}
    assert trained.profile["sepal length (cm)"].between(4, 8).all()


def test_regression_from_data_to_model() -> None:
    trained = train("sklearn://diabetes")
    assert trained.task == "regression"
    assert trained.test_metrics["r2"] > 0.3
    assert trained.outputs == {"prediction": "double"}


def test_digits_are_told_apart() -> None:
    trained = train("sklearn://digits", epochs=15)
    assert trained.test_metrics["accuracy"] > 0.93
    assert len(trained.outputs) == 11


def test_settings_are_the_parameters() -> None:
    parsed = recipes.parse_params("tabular", {"epochs": 7, "batch_size": 5, "patience": 2})
    settings = Tabular().settings(parsed, 9)  # type: ignore[arg-type]
    assert (settings.epochs, settings.batch_size, settings.patience, settings.seed) == (7, 5, 2, 9)
