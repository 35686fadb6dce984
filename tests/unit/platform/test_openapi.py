"""The API's description is one from which good clients can be generated."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import ratchet
from ratchet.app import ROUTERS, create_app
from ratchet.errors import PROBLEM
from ratchet.routing import Route
from ratchet.settings import Settings

ROOT = Path(ratchet.__file__).parent
SCALARS = {"boolean", "integer", "number", "string"}


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    return create_app(Settings(database_url="sqlite://")).openapi()


def operations(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, found in schema["paths"].items():
        for method, operation in found.items():
            yield f"{method.upper()} {path}", operation


def parts(node: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    if isinstance(node, dict):
        yield path, node
        for name, child in node.items():
            yield from parts(child, (*path, str(name)))
    elif isinstance(node, list):
        for index, child in enumerate(node):
            yield from parts(child, (*path, str(index)))


def test_every_operation_says_what_its_errors_are(schema: dict[str, Any]) -> None:
    for name, operation in operations(schema):
        for status in ("4XX", "5XX"):
            assert list(operation["responses"][status]["content"]) == [PROBLEM], name
        assert not {"422", "default"} & operation["responses"].keys(), name
    assert set(schema["components"]["schemas"]["Problem"]["properties"]) >= {"code", "errors", "hint", "request_id"}
    assert "HTTPValidationError" not in schema["components"]["schemas"]


def test_every_whole_number_that_is_sent_has_bounds(schema: dict[str, Any]) -> None:
    """What a database has no room for is refused before it is asked."""
    sent, wanted = set[str](), [operation.get("requestBody", {}) for _, operation in operations(schema)]
    while wanted:
        for path, part in parts(wanted.pop()):
            if part.get("type") == "integer":
                assert {"maximum", "exclusiveMaximum"} & part.keys(), "/".join(path)
            name = str(part.get("$ref", "")).rpartition("/")[2]
            if name and name not in sent:
                sent.add(name)
                wanted.append(schema["components"]["schemas"][name])
    assert len(sent) > 30


def test_every_get_may_be_answered_that_nothing_changed(schema: dict[str, Any]) -> None:
    for name, operation in operations(schema):
        json = "application/json" in operation["responses"].get("200", {}).get("content", {})
        assert ("304" in operation["responses"]) == (json and name.startswith("GET ")), name


def test_every_operation_has_a_name_of_its_own(schema: dict[str, Any]) -> None:
    names = [operation["operationId"] for _, operation in operations(schema)]
    assert len(names) == len(set(names))
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*", name) for name in names)


def test_every_enumeration_and_union_has_a_name(schema: dict[str, Any]) -> None:
    for path, node in parts(schema):
        named = path[:2] == ("components", "schemas") and len(path) == 3
        assert named or len(node.get("enum", [])) < 2, path
        for union in ("anyOf", "oneOf"):
            others = [each for each in node.get(union, []) if each.get("type") != "null"]
            one = len(others) < 2 or all(each.get("type") in SCALARS for each in others)
            assert named or one or path[-1] == "x-fields", path


def test_every_reference_leads_somewhere(schema: dict[str, Any]) -> None:
    for path, node in parts(schema):
        if isinstance(node.get("$ref"), str):
            assert node["$ref"].rpartition("/")[2] in schema["components"]["schemas"], path


def test_every_route_of_the_api_is_one_of_ours() -> None:
    """So that each GET has a tag, and each POST is kept for its key."""
    for router in ROUTERS:
        for route in router.routes:
            assert isinstance(route, Route), route


def test_every_code_is_in_the_documentation() -> None:
    page = (ROOT.parents[1] / "docs" / "api.md").read_text()
    codes = set()
    for source in ROOT.rglob("*.py"):
        if source.relative_to(ROOT).parts[0] not in {"sdk", "cli", "local"}:
            codes |= set(re.findall(r'\bcode="([a-z_]+)"', source.read_text()))
            codes |= set(re.findall(r'status, code, title = \d+, "([a-z_]+)"', source.read_text()))
    assert {code for code in codes if f"`{code}`" not in page} == set()
