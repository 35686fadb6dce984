"""What people read of a recipe's parameters and of a spec: the API's description and the dashboard's forms show it."""

from __future__ import annotations

from ratchet_pipelines.catalog import RECIPES
from ratchet_pipelines.spec import Data, Train


def test_the_schema_of_a_recipe_describes_its_fields() -> None:
    fields = RECIPES["tabular"].params.model_json_schema()["properties"]
    assert fields["batch_size"]["description"] == "Rows in one step, over all workers together."
    assert fields["hidden"]["description"] == "Width of each hidden layer."


def test_the_schema_of_a_spec_describes_its_fields() -> None:
    assert Data.model_json_schema()["properties"]["features"]["description"].startswith("The columns to learn from")
    assert "was preempted" in Train.model_json_schema()["properties"]["max_attempts"]["description"]
