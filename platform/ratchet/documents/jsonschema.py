"""Documents as JSON Schema, for editors: of draft 07, which is what the YAML language server reads."""

from __future__ import annotations

from typing import Any

from ratchet.documents.kinds import MODELS
from ratchet_pipelines.catalog import RECIPES

DRAFT = "http://json-schema.org/draft-07/schema#"


def schema(kind: str) -> dict[str, Any]:
    """The schema of one kind of file."""
    found = MODELS[kind].model_json_schema(ref_template="#/definitions/{model}")
    definitions = found.pop("$defs", {})
    found["properties"] = {
        "kind": {"const": kind},
        **{name: part for name, part in found["properties"].items() if name != "kind"},
    }
    found["required"] = ["kind", *(name for name in found.get("required", []) if name != "kind")]
    if "recipe" in found["properties"]:
        default = found["properties"]["recipe"]["default"]
        found["allOf"] = [_params_of(name, definitions, default=name == default) for name in RECIPES]
    return {"$schema": DRAFT, **draft_07(found), "definitions": draft_07(definitions)}


def any_schema() -> dict[str, Any]:
    """Chosen by `kind`, so that what is wrong in a file is told of its kind alone."""
    definitions: dict[str, Any] = {}
    for kind in MODELS:
        one = schema(kind)
        definitions |= one.pop("definitions")
        del one["$schema"]
        definitions[kind] = one
    return {
        "$schema": DRAFT,
        "title": "Ratchet",
        "type": "object",
        "required": ["kind"],
        "properties": {"kind": {"enum": list(MODELS)}},
        "allOf": [
            {
                "if": {"required": ["kind"], "properties": {"kind": {"const": kind}}},
                "then": {"$ref": f"#/definitions/{kind}"},
            }
            for kind in MODELS
        ],
        "definitions": definitions,
    }


def _params_of(recipe: str, definitions: dict[str, Any], *, default: bool) -> dict[str, Any]:
    """What `params` may hold when the recipe is this one: the `default` is also meant where none is named."""
    params = RECIPES[recipe].params
    found = params.model_json_schema(ref_template="#/definitions/{model}")
    definitions |= found.pop("$defs", {})
    definitions[params.__name__] = found
    return {
        "if": {"properties": {"recipe": {"const": recipe}}, **({} if default else {"required": ["recipe"]})},
        "then": {"properties": {"params": {"$ref": f"#/definitions/{params.__name__}"}}},
    }


def draft_07(part: Any) -> Any:
    """A schema of 2020-12, as pydantic writes it, in the words of draft 07.

    There a `$ref` hides what stands beside it, so that it goes into an `allOf`; a tuple is a list of `items`; and
    `discriminator` is OpenAPI's.
    """
    if isinstance(part, list):
        return [draft_07(item) for item in part]
    if not isinstance(part, dict):
        return part
    found = {key: draft_07(value) for key, value in part.items() if key != "discriminator" or not _is_openapi(value)}
    if isinstance(found.get("$ref"), str) and len(found) > 1:
        found["allOf"] = [{"$ref": found.pop("$ref")}]
    if isinstance(found.get("prefixItems"), list):
        found |= {"items": found.pop("prefixItems"), "additionalItems": found.pop("items", True)}
    return found


def _is_openapi(value: Any) -> bool:
    """Whether it is the keyword, and no property that is called so."""
    return isinstance(value, dict) and "propertyName" in value
