"""The API's description (OpenAPI): what FastAPI says of it, with its errors as they are and a name for every type.

`python -m ratchet.openapi` prints it; the dashboard's types are generated from that.
"""

from __future__ import annotations

import json
import re
import sys
from typing import Any

from fastapi import FastAPI

from ratchet.errors import PROBLEM, Problem

REF = "#/components/schemas/"
_CONTENT = {PROBLEM: {"schema": {"$ref": f"{REF}Problem"}}}
PROBLEMS: dict[int | str, dict[str, Any]] = {
    "4XX": {"description": "What is wrong with the request, as problem details (RFC 9457).", "content": _CONTENT},
    "5XX": {"description": "What is wrong here, as problem details (RFC 9457).", "content": _CONTENT},
}
"""Every route's answers to what goes wrong."""
NOT_MODIFIED = {"description": "The caller has it already (If-None-Match)."}


def install(app: FastAPI) -> None:
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            _complete(plain())
        return app.openapi_schema or {}

    app.openapi = openapi  # type: ignore[method-assign]


def _complete(schema: dict[str, Any]) -> None:
    """What FastAPI can't be told: the model of the problems, and the answers that `ratchet.routing` gives."""
    components: dict[str, Any] = schema["components"]["schemas"]
    model = Problem.model_json_schema(ref_template=f"{REF}{{model}}")
    components.update({**model.pop("$defs"), "Problem": model})
    for operations in schema["paths"].values():
        responses = operations.get("get", {}).get("responses", {})
        if "application/json" in responses.get("200", {}).get("content", {}):
            responses["304"] = NOT_MODIFIED
        for operation in operations.values():
            for content in operation.get("requestBody", {}).get("content", {}).values():
                content["schema"] = _named(content["schema"], content["schema"].get("title", ""), components)
    for name, component in list(components.items()):
        for field, found in component.get("properties", {}).items():
            component["properties"][field] = _named(found, f"{name} {field}", components)


def _named(schema: dict[str, Any], title: str, components: dict[str, Any]) -> dict[str, Any]:
    """A reference in place of an enumeration or a union of types: a generated client then has a name for it."""
    schema = dict(schema)
    if "anyOf" in schema:
        schema["anyOf"] = [_named(each, title, components) for each in schema["anyOf"]]
    for within in ("items", "additionalProperties"):
        if isinstance(schema.get(within), dict):
            schema[within] = _named(schema[within], f"{title} value", components)
    if len(schema.get("enum", [])) < 2 and not any("$ref" in each for each in schema.get("oneOf", [])):
        return schema
    name = "".join(word[:1].upper() + word[1:] for word in re.split(r"[\W_]+", title))
    kept = {key: value for key, value in schema.items() if key in ("default", "description")}
    components[name] = {key: value for key, value in schema.items() if key not in ("default", "title")}
    return {"$ref": f"{REF}{name}", **kept}


def main() -> None:
    from ratchet.app import create_app
    from ratchet.settings import Settings

    schema = create_app(Settings(database_url="sqlite://")).openapi()
    sys.stdout.write(json.dumps(schema, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
