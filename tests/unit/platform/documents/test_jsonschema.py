"""Schemas as an editor reads them: draft 07."""

from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft7Validator

from ratchet.cli import files
from ratchet.cli.templates import TEMPLATES
from ratchet.documents.jsonschema import any_schema, draft_07, schema
from ratchet.documents.kinds import MODELS


def refused(found: dict[str, Any], document: Any) -> list[str]:
    return [
        "/".join(map(str, error.path)) + f": {error.message}" for error in Draft7Validator(found).iter_errors(document)
    ]


def read(text: str) -> dict[str, Any]:
    (document,) = files.parse(text, "f")
    return document.data


def words(part: Any) -> set[str]:
    if isinstance(part, list):
        return {word for item in part for word in words(item)}
    return {*part, *(word for item in part.values() for word in words(item))} if isinstance(part, dict) else set()


@pytest.mark.parametrize("kind", MODELS)
def test_a_schema_is_of_draft_07_and_stands_on_its_own(kind: str) -> None:
    found = schema(kind)
    Draft7Validator.check_schema(found)
    assert not {"$defs", "prefixItems", "discriminator"} & words(found)
    assert found["properties"]["kind"] == {"const": kind}
    assert "kind" in found["required"]


@pytest.mark.parametrize("kind", TEMPLATES)
def test_every_template_fits_its_schema_and_its_model(kind: str) -> None:
    document = read(TEMPLATES[kind])
    assert refused(schema(kind), document) == []
    assert refused(any_schema(), document) == []
    body = document if "kind" in MODELS[kind].model_fields else {k: v for k, v in document.items() if k != "kind"}
    MODELS[kind].model_validate(body)


def test_every_kind_that_people_write_has_a_template() -> None:
    assert set(MODELS) - set(TEMPLATES) == {"drift_check"}  # monitors make those


@pytest.mark.parametrize("kind", TEMPLATES)
def test_what_is_commented_out_in_a_template_is_right_too(kind: str) -> None:
    lines = [
        line.replace("# ", "", 1) if line.lstrip().startswith("# ") else line for line in TEMPLATES[kind].splitlines()
    ]
    assert refused(schema(kind), read("\n".join(lines))) == []


def test_a_mistake_is_told_of_its_kind_alone() -> None:
    found = refused(any_schema(), {"kind": "train", "data": {"uri": "x"}, "params": {"epocs": 3}})
    assert found == ["params: Additional properties are not allowed ('epocs' was unexpected)"]
    assert refused(any_schema(), {"kind": "trian"})[0].startswith("kind: 'trian' is not one of")
    assert refused(any_schema(), {}) == [": 'kind' is a required property"]


def test_a_recipe_that_is_not_named_has_no_say() -> None:
    document = {"kind": "train", "recipe": "another", "data": {"uri": "x"}, "params": {"epocs": 3}}
    assert refused(schema("train"), document) == []


def test_what_stands_beside_a_reference_is_kept() -> None:
    assert draft_07({"$ref": "#/x", "description": "d"}) == {"description": "d", "allOf": [{"$ref": "#/x"}]}
    assert draft_07({"$ref": "#/x"}) == {"$ref": "#/x"}
    assert draft_07({"prefixItems": [{}], "items": False}) == {"items": [{}], "additionalItems": False}
    assert draft_07({"properties": {"discriminator": {"type": "string"}}}) == {
        "properties": {"discriminator": {"type": "string"}}
    }


def test_fields_are_described() -> None:
    assert schema("monitor")["properties"]["schedule"]["description"] == "Cron, in UTC."
    assert "CPUs" in schema("endpoint")["properties"]["cpus_per_replica"]["description"]
