"""What each call of MLflow's API concerns, and the role that it needs. What is not in the table, is not let through.

A call concerns experiments, runs, models and files; each belongs to a project (see `owners`), in which the caller must
have the role. `Subject`s are read from everything that MLflow itself would read: path, query and body, each field under
each of its names.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from ratchet.identity.roles import Role


class Kind(StrEnum):
    EXPERIMENT = "experiment"
    EXPERIMENT_NAME = "experiment name"
    RUN = "run"
    LOGGED_MODEL = "logged model"
    REGISTERED_MODEL = "registered model"
    FILE = "file"
    """A path below the artifact root: `<experiment>/<run>/artifacts/…` or `<experiment>/models/<model>/…`."""
    NOTHING = "nothing"
    """Belongs to nobody and is refused: a place that no rule can judge."""


@dataclass(frozen=True)
class Subject:
    kind: Kind
    id: str
    role: Role | None = None
    """When it needs another than the call does."""


@dataclass(frozen=True)
class Call:
    """One request to MLflow, as far as it is judged."""

    path: Mapping[str, str]
    fields: Mapping[str, Any]
    """Of the query or of the JSON body; a list where the query gives a name more than once."""

    def values(self, *names: str) -> list[Any]:
        """Every value that is given under one of the names, in MLflow's spelling or in protobuf's JSON spelling."""
        found: list[Any] = []
        for name in names:
            for spelled in {name, _camel(name)}:
                for value in (self.path.get(spelled), self.fields.get(spelled)):
                    found += value if isinstance(value, list) else [] if value is None else [value]
        return found


Finder = Callable[[Call], Iterator[Subject]]


@dataclass(frozen=True)
class Rule:
    role: Role
    finders: Sequence[Finder]
    filters: str | None = None
    """The key of the list in the answer of which only what is the caller's is shown: `experiments`, …"""
    streams: bool = False
    """Its body is a file and not looked at."""
    job: bool = False
    """Whether a job may make this call, about its own run, where it changes something."""
    free: bool = False
    """It concerns nobody's things: pages, scripts, the version."""


@dataclass(frozen=True)
class _Route:
    method: str
    pattern: re.Pattern[str]
    rule: Rule = field(compare=False)


def find(method: str, path: str) -> tuple[Rule, dict[str, str]] | None:
    """The rule for a call of `path` (below `/mlflow/`), and the values in the path."""
    normal = _VERSION.sub("", path, count=1)
    for route in _ROUTES:
        if route.method == method and (match := route.pattern.fullmatch(normal)):
            return route.rule, match.groupdict()
    return None


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part.title() for part in rest)


def _each(kind: Kind, *names: str, role: Role | None = None) -> Finder:
    def find_each(call: Call) -> Iterator[Subject]:
        for value in call.values(*names):
            yield Subject(kind, str(value), role)

    return find_each


def _sources(call: Call) -> Iterator[Subject]:
    """Where a new model version's files are: what one registers, one must be able to read."""
    for source in call.values("source"):
        text = str(source)
        if text.startswith("models:/m-"):
            yield Subject(Kind.LOGGED_MODEL, text.removeprefix("models:/").partition("/")[0], Role.VIEWER)
        elif text.startswith("runs:/"):
            yield Subject(Kind.RUN, text.removeprefix("runs:/").partition("/")[0], Role.VIEWER)
        elif text.startswith("mlflow-artifacts:/"):
            yield Subject(Kind.FILE, text.removeprefix("mlflow-artifacts:").lstrip("/"), Role.VIEWER)
        else:
            yield Subject(Kind.NOTHING, text)


def _nested_models(*lists: str) -> Finder:
    """`model_id` in the entries of lists: of metrics, of a run's inputs and outputs."""

    def find_nested(call: Call) -> Iterator[Subject]:
        for entry in call.values(*lists):
            if isinstance(entry, dict):
                for name in ("model_id", "modelId"):
                    if entry.get(name):
                        yield Subject(Kind.LOGGED_MODEL, str(entry[name]))

    return find_nested


def _own_location(call: Call) -> Iterator[Subject]:
    """A new experiment keeps its files where all do."""
    for location in call.values("artifact_location"):
        if location:
            yield Subject(Kind.NOTHING, str(location))


VIEW, EDIT = Role.VIEWER, Role.EDITOR
_VERSION = re.compile(r"^(?:api|ajax-api)/[23]\.0/")
_RUN = _each(Kind.RUN, "run_id", "run_uuid")
_EXPERIMENT = _each(Kind.EXPERIMENT, "experiment_id")
_EXPERIMENTS = _each(Kind.EXPERIMENT, "experiment_ids")
_NAME = _each(Kind.REGISTERED_MODEL, "name")
_LOGGED = _each(Kind.LOGGED_MODEL, "model_id")
_FILE = _each(Kind.FILE, "file", "path")


def _rule(role: Role, *finders: Finder, **options: Any) -> Rule:
    return Rule(role, finders, **options)


_FREE = _rule(VIEW, free=True)
_TABLE: dict[str, Rule] = {
    # Pages and what they load.
    "GET ": _FREE,
    "GET static-files/{file}": _FREE,
    "GET version": _FREE,
    "GET health": _FREE,
    "GET mlflow/server-info": _FREE,
    "GET mlflow/ui-telemetry": _FREE,
    # Experiments.
    "POST mlflow/experiments/create": _rule(EDIT, _each(Kind.EXPERIMENT_NAME, "name"), _own_location),
    "GET mlflow/experiments/get": _rule(VIEW, _EXPERIMENT),
    "GET mlflow/experiments/get-by-name": _rule(VIEW, _each(Kind.EXPERIMENT_NAME, "experiment_name")),
    "GET mlflow/experiments/search": _rule(VIEW, filters="experiments"),
    "POST mlflow/experiments/search": _rule(VIEW, filters="experiments"),
    "POST mlflow/experiments/search-datasets": _rule(VIEW, _EXPERIMENTS),
    "POST mlflow/experiments/update": _rule(EDIT, _EXPERIMENT, _each(Kind.EXPERIMENT_NAME, "new_name")),
    "POST mlflow/experiments/delete": _rule(EDIT, _EXPERIMENT),
    "POST mlflow/experiments/restore": _rule(EDIT, _EXPERIMENT),
    "POST mlflow/experiments/set-experiment-tag": _rule(EDIT, _EXPERIMENT),
    "POST mlflow/experiments/delete-experiment-tag": _rule(EDIT, _EXPERIMENT),
    # Runs.
    "POST mlflow/runs/create": _rule(EDIT, _EXPERIMENT, job=True),
    "GET mlflow/runs/get": _rule(VIEW, _RUN),
    "POST mlflow/runs/search": _rule(VIEW, _EXPERIMENTS),
    **{
        f"POST mlflow/runs/{verb}": _rule(EDIT, _RUN, _LOGGED, _nested_models("metrics", "models"), job=True)
        for verb in (
            *("update", "delete", "restore", "log-metric", "log-parameter", "log-batch", "log-inputs", "log-model"),
            *("outputs", "set-tag", "delete-tag"),
        )
    },
    "GET mlflow/metrics/get-history": _rule(VIEW, _RUN),
    "GET mlflow/metrics/get-history-bulk": _rule(VIEW, _RUN),
    "GET mlflow/metrics/get-history-bulk-interval": _rule(VIEW, _each(Kind.RUN, "run_ids")),
    # Files.
    "GET mlflow/artifacts/list": _rule(VIEW, _RUN),
    "GET get-artifact": _rule(VIEW, _RUN),
    "GET model-versions/get-artifact": _rule(VIEW, _NAME),
    "POST mlflow/upload-artifact": _rule(EDIT, _RUN, streams=True),
    "GET mlflow-artifacts/artifacts": _rule(VIEW, _FILE),
    "GET mlflow-artifacts/artifacts/{file}": _rule(VIEW, _FILE),
    "PUT mlflow-artifacts/artifacts/{file}": _rule(EDIT, _FILE, streams=True, job=True),
    "DELETE mlflow-artifacts/artifacts/{file}": _rule(EDIT, _FILE),
    # Logged models.
    "POST mlflow/logged-models": _rule(EDIT, _EXPERIMENT, _each(Kind.RUN, "source_run_id"), job=True),
    "POST mlflow/logged-models/search": _rule(VIEW, _EXPERIMENTS),
    "GET mlflow/logged-models/{model_id}": _rule(VIEW, _LOGGED),
    "PATCH mlflow/logged-models/{model_id}": _rule(EDIT, _LOGGED, job=True),
    "DELETE mlflow/logged-models/{model_id}": _rule(EDIT, _LOGGED),
    "POST mlflow/logged-models/{model_id}/params": _rule(EDIT, _LOGGED, job=True),
    "PATCH mlflow/logged-models/{model_id}/tags": _rule(EDIT, _LOGGED, job=True),
    "DELETE mlflow/logged-models/{model_id}/tags/{key}": _rule(EDIT, _LOGGED),
    "GET mlflow/logged-models/{model_id}/artifacts/directories": _rule(VIEW, _LOGGED),
    "GET mlflow/logged-models/{model_id}/artifacts/files": _rule(VIEW, _LOGGED),
    # The registry.
    "POST mlflow/registered-models/create": _rule(EDIT, _NAME),
    "GET mlflow/registered-models/get": _rule(VIEW, _NAME),
    "GET mlflow/registered-models/search": _rule(VIEW, filters="registered_models"),
    "PATCH mlflow/registered-models/update": _rule(EDIT, _NAME),
    "POST mlflow/registered-models/rename": _rule(EDIT, _NAME, _each(Kind.REGISTERED_MODEL, "new_name")),
    "DELETE mlflow/registered-models/delete": _rule(EDIT, _NAME),
    "POST mlflow/registered-models/set-tag": _rule(EDIT, _NAME),
    "DELETE mlflow/registered-models/delete-tag": _rule(EDIT, _NAME),
    "GET mlflow/registered-models/get-latest-versions": _rule(VIEW, _NAME),
    "POST mlflow/registered-models/get-latest-versions": _rule(VIEW, _NAME),
    "GET mlflow/registered-models/alias": _rule(VIEW, _NAME),
    "POST mlflow/registered-models/alias": _rule(EDIT, _NAME),
    "DELETE mlflow/registered-models/alias": _rule(EDIT, _NAME),
    "POST mlflow/model-versions/create": _rule(
        EDIT,
        _NAME,
        _sources,
        _each(Kind.RUN, "run_id", role=VIEW),
        _each(Kind.LOGGED_MODEL, "model_id", role=VIEW),
    ),
    "GET mlflow/model-versions/get": _rule(VIEW, _NAME),
    "GET mlflow/model-versions/get-download-uri": _rule(VIEW, _NAME),
    "GET mlflow/model-versions/search": _rule(VIEW, filters="model_versions"),
    "PATCH mlflow/model-versions/update": _rule(EDIT, _NAME),
    "DELETE mlflow/model-versions/delete": _rule(EDIT, _NAME),
    "POST mlflow/model-versions/set-tag": _rule(EDIT, _NAME),
    "DELETE mlflow/model-versions/delete-tag": _rule(EDIT, _NAME),
    "POST mlflow/model-versions/transition-stage": _rule(EDIT, _NAME),
}


def _compiled(key: str, rule: Rule) -> _Route:
    method, _, template = key.partition(" ")
    parts = re.split(r"\{(\w+)\}", template)
    # A file's path is whatever is left; any other value is one segment.
    pattern = "".join(
        re.escape(part) if i % 2 == 0 else f"(?P<{part}>{'.+' if part == 'file' else '[^/]+'})"
        for i, part in enumerate(parts)
    )
    return _Route(method, re.compile(pattern), rule)


_ROUTES = [_compiled(key, rule) for key, rule in _TABLE.items()]
KNOWN = frozenset(_TABLE)
