"""The recipes that can be asked for, and the schema of their parameters.

A recipe's code is imported on the cluster alone; the platform needs its name, what it says of itself and its schema.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Params(BaseModel):
    """The base of every recipe's parameters. What stands under a field describes it in the schema."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class TabularParams(Params):
    """A multi-layer perceptron on a table: classification when the target is a category, regression when a number."""

    hidden: list[Annotated[int, Field(ge=1, le=65_536)]] = Field(default=[64, 64], min_length=1, max_length=16)
    """Width of each hidden layer."""
    dropout: float = Field(default=0.1, ge=0, lt=1)
    epochs: int = Field(default=30, ge=1, le=10_000)
    batch_size: int = Field(default=32, ge=1, le=65_536)
    """Rows in one step, over all workers together."""
    learning_rate: float = Field(default=3e-3, gt=0, le=10)
    """Peak learning rate, after the warm-up."""
    weight_decay: float = Field(default=1e-2, ge=0, le=10)
    """Decoupled weight decay (AdamW, Loshchilov & Hutter 2019)."""
    warmup_fraction: float = Field(default=0.1, ge=0, lt=1)
    """Share of all steps in which the learning rate rises linearly; then it falls along a cosine."""
    patience: int = Field(default=10, ge=1, le=1_000_000)
    """Epochs without a better validation loss before training stops."""
    task: Literal["auto", "classification", "regression"] = "auto"


@dataclass(frozen=True)
class Recipe:
    name: str
    summary: str
    params: type[Params]
    entrypoint: str
    """`module:class`, a `ratchet_pipelines.recipes.base.Recipe`, imported on the cluster."""


RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in [
        Recipe(
            name="tabular",
            summary="A neural network on a table: classification or regression, by the type of the target.",
            params=TabularParams,
            entrypoint="ratchet_pipelines.recipes.tabular:Tabular",
        ),
    ]
}


def suggestion(word: str, words: list[str]) -> str:
    """` Did you mean 'x'?`, or nothing when no word is near."""
    near = get_close_matches(word, words, n=1, cutoff=0.6)
    return f" Did you mean {near[0]!r}?" if near else ""


def find(name: str) -> Recipe:
    """The recipe of that name; a `LookupError` says which there are."""
    if name not in RECIPES:
        near = suggestion(name, list(RECIPES))
        raise LookupError(f"There is no recipe {name!r}.{near} Recipes: {', '.join(RECIPES)}.")
    return RECIPES[name]


def parse_params(recipe: Recipe, params: dict[str, Any]) -> Params:
    """The parameters, checked; a `pydantic.ValidationError` names each field that is wrong."""
    return recipe.params.model_validate(params)
