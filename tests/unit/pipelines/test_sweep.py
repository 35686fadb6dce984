"""The search of a sweep, checked before anything is started."""

from __future__ import annotations

from typing import Any

import pytest
from ray.tune.search.sample import Categorical, Float, Integer

from ratchet_pipelines.errors import UserError
from ratchet_pipelines.spec import Sweep
from ratchet_pipelines.sweep import _most_epochs, search_space


def sweep(search: dict[str, Any], **fields: Any) -> Sweep:
    return Sweep.model_validate({"data": {"uri": "sklearn://wine"}, "search": search, **fields})


def test_a_parameter_that_does_not_exist_is_a_user_error() -> None:
    with pytest.raises(UserError, match=r"Did you mean 'learning_rate'\?"):
        search_space(sweep({"learnin_rate": {"kind": "uniform", "low": 0.1, "high": 1}}))


def test_every_bound_and_value_must_be_one_the_recipe_takes() -> None:
    with pytest.raises(UserError, match=r"'dropout' is 1\.5"):
        search_space(sweep({"dropout": {"kind": "uniform", "low": 0.1, "high": 1.5}}))
    with pytest.raises(UserError, match="'hidden'"):
        search_space(sweep({"hidden": {"kind": "choice", "values": [[8], "wide"]}}))


def test_whole_parameters_are_drawn_as_whole_numbers_with_both_bounds() -> None:
    space = search_space(
        sweep(
            {
                "batch_size": {"kind": "uniform", "low": 2, "high": 4},
                "learning_rate": {"kind": "uniform", "low": 1e-4, "high": 1e-1, "log": True},
                "hidden": {"kind": "choice", "values": [[8], [16, 16]]},
            }
        )
    )
    assert isinstance(space["batch_size"], Integer)
    assert {space["batch_size"].sample() for _ in range(200)} == {2, 3, 4}
    assert isinstance(space["learning_rate"], Float)
    assert isinstance(space["hidden"], Categorical)


def test_the_longest_trial_is_known() -> None:
    rate = {"learning_rate": {"kind": "uniform", "low": 0.1, "high": 1}}
    assert _most_epochs(sweep(rate, params={"epochs": 12})) == 12
    assert _most_epochs(sweep({"epochs": {"kind": "choice", "values": [5, 40, 9]}})) == 40
    assert _most_epochs(sweep({"epochs": {"kind": "uniform", "low": 5, "high": 20}})) == 20
