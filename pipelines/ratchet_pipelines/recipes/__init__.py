"""Recipes: one readable file each. `catalog` lists them; `load` imports one on the cluster."""

from __future__ import annotations

from importlib import import_module
from typing import Any, cast

from pydantic import ValidationError

from ratchet_pipelines import catalog
from ratchet_pipelines.catalog import Params
from ratchet_pipelines.errors import UserError
from ratchet_pipelines.recipes.base import Recipe


def load(name: str) -> Recipe:
    """The recipe of that name, imported. Raises `UserError` when there is none."""
    module, _, attribute = _find(name).entrypoint.partition(":")
    return cast(Recipe, getattr(import_module(module), attribute)())


def parse_params(name: str, params: dict[str, Any]) -> Params:
    """The parameters of a recipe, checked. Raises `UserError` that names the first wrong one."""
    entry = _find(name)
    try:
        return catalog.parse_params(entry, params)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            known = list(entry.params.model_fields)
            raise UserError(
                f"The recipe {name!r} has no parameter {field!r}.{catalog.suggestion(field, known)} "
                f"Parameters: {', '.join(known)}."
            ) from error
        raise UserError(f"The parameter {field!r} is {first['input']!r}: {first['msg']}.") from error


def _find(name: str) -> catalog.Recipe:
    try:
        return catalog.find(name)
    except LookupError as error:
        raise UserError(str(error.args[0])) from error
