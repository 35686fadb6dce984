"""MLflow's pages ask some things by GraphQL: of a query, what it concerns; or that nobody can say what it does.

A query is understood when all that it names is in its variables: it must hold no text of its own. Then the variables
say which runs and experiments it is about, and its fields are those that answer about nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from ratchet.tracking.rules import Kind, Subject

_FIELDS = {
    "mlflowGetExperiment",
    "mlflowGetRun",
    "mlflowGetMetricHistoryBulkInterval",
    "mlflowListArtifacts",
    "mlflowSearchRuns",
}
_IDS = {
    "experimentId": Kind.EXPERIMENT,
    "experimentIds": Kind.EXPERIMENT,
    "runId": Kind.RUN,
    "runUuid": Kind.RUN,
    "runIds": Kind.RUN,
}
_LITERAL = re.compile(r'["#=]|\b(?:mutation|test)\b')
"""Texts, remarks (which could hide what is read here), default values, and what is no query."""
_DIRECTIVE = re.compile(r'@component\(name:\s*"[A-Za-z.]*"\)')


def subjects(body: Any) -> list[Subject] | None:
    """The runs and experiments of a query; None when it is none that can be judged."""
    if not isinstance(body, dict) or not isinstance(body.get("query"), str) or isinstance(body.get("variables"), str):
        return None
    query = _DIRECTIVE.sub("", body["query"])
    fields = re.findall(r"\bmlflow\w*", query)
    given = re.findall(r"(?<!\$)\binput\b", query)
    variable = re.findall(r"(?<!\$)\binput\s*:\s*\$\w+", query)
    if _LITERAL.search(query) or set(fields) - _FIELDS or not len(fields) == len(given) == len(variable) > 0:
        return None
    variables = body.get("variables")
    inputs = list(variables.values()) if isinstance(variables, dict) else []
    found = [list(_ids(each)) for each in inputs]
    # Each input names what it is about: one that names nothing might be about everything.
    return [subject for each in found for subject in each] if found and all(found) else None


def _ids(value: Any) -> Iterator[Subject]:
    if not isinstance(value, dict):
        return
    for name, given in value.items():
        kind = _IDS.get(name)
        for one in given if isinstance(given, list) else [given]:
            if kind is not None:
                yield Subject(kind, str(one))
