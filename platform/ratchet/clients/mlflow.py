"""MLflow's REST API: runs, metrics, artifacts, and the model registry."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import httpx2

from ratchet.clients.http import Http
from ratchet.clients.ports import (
    EngineRefused,
    EngineUnavailable,
    MetricPoint,
    RegisteredModel,
    RegisteredVersion,
    Run,
)

API = "/api/2.0/mlflow"
PAGE = 1_000
MAX_RUNS = 10_000
MAX_POINTS = 25_000
MAX_ARTIFACT_BYTES = 32 * 1024 * 1024
MISSING = "RESOURCE_DOES_NOT_EXIST"
EXISTS = "RESOURCE_ALREADY_EXISTS"
PARENT_TAG = "mlflow.parentRunId"


class MlflowClient:
    def __init__(
        self, url: str, token: Callable[[], str] = str, *, transport: httpx2.BaseTransport | None = None
    ) -> None:
        self._http = Http("MLflow", url, token, transport=transport)

    # -- runs

    def ensure_experiment(self, name: str) -> str:
        found = self._get("experiments/get-by-name", experiment_name=name)
        if found is None:
            try:
                return str(self._post("experiments/create", name=name)["experiment_id"])
            except EngineRefused as error:
                if error.code != EXISTS:
                    raise
                found = self._get("experiments/get-by-name", experiment_name=name) or {}
        experiment = found["experiment"]
        if experiment.get("lifecycle_stage") == "deleted":
            self._post("experiments/restore", experiment_id=experiment["experiment_id"])
        return str(experiment["experiment_id"])

    def find_run(self, experiment_id: str, tag: str, value: str) -> Run | None:
        runs = self._search_runs(experiment_id, f"tags.`{tag}` = {_quoted(value)}", limit=1)
        return next(runs, None)

    def create_run(self, experiment_id: str, name: str, tags: Mapping[str, str]) -> Run:
        created = self._post(
            "runs/create",
            experiment_id=experiment_id,
            run_name=name,
            start_time=_now_ms(),
            tags=_pairs(tags),
        )
        return _run(created["run"])

    def get_run(self, run_id: str) -> Run | None:
        found = self._get("runs/get", run_id=run_id)
        return None if found is None else _run(found["run"])

    def children(self, experiment_id: str, parent_run_id: str) -> list[Run]:
        return list(self._search_runs(experiment_id, f"tags.`{PARENT_TAG}` = {_quoted(parent_run_id)}", limit=MAX_RUNS))

    def metric_history(self, run_id: str, key: str) -> list[MetricPoint]:
        found = self._get("metrics/get-history", run_id=run_id, metric_key=key, max_results=MAX_POINTS) or {}
        points = [
            MetricPoint(int(point.get("step", 0)), float(point["value"]), int(point["timestamp"]))
            for point in found.get("metrics", [])
        ]
        return sorted(points, key=lambda point: (point.step, point.timestamp_ms))

    def set_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        self._post("runs/log-batch", run_id=run_id, tags=_pairs(tags))

    def end_run(self, run_id: str, status: str) -> None:
        self._post("runs/update", run_id=run_id, status=status, end_time=_now_ms())

    def resume_run(self, run_id: str) -> None:
        self._post("runs/update", run_id=run_id, status="RUNNING")

    def get_artifact(self, run_id: str, path: str) -> bytes | None:
        try:
            response = self._http.request("GET", "/get-artifact", params={"run_id": run_id, "path": path})
        except EngineRefused as error:
            if error.status == 404:
                return None
            raise
        except EngineUnavailable:
            # MLflow answers a missing artifact with 500 (an unhandled FileNotFoundError): ask whether it is there.
            if self._has_artifact(run_id, path):
                raise
            return None
        if len(response.content) > MAX_ARTIFACT_BYTES:
            raise EngineRefused("MLflow", f"The artifact {path!r} is larger than {MAX_ARTIFACT_BYTES} bytes.", 413)
        return response.content

    # -- the registry

    def ensure_registered_model(self, name: str) -> None:
        try:
            self._post("registered-models/create", name=name)
        except EngineRefused as error:
            if error.code != EXISTS:
                raise

    def list_registered_models(self, prefix: str) -> list[RegisteredModel]:
        found = self._pages(
            "registered-models/search", "registered_models", filter=f"name LIKE {_quoted(prefix + '%')}"
        )
        # LIKE knows `_` as a wildcard, and may ignore case.
        return [_model(each) for each in found if each["name"].startswith(prefix)]

    def get_registered_model(self, name: str) -> RegisteredModel | None:
        found = self._get("registered-models/get", name=name)
        return None if found is None else _model(found["registered_model"])

    def find_version(self, name: str, run_id: str) -> RegisteredVersion | None:
        return next(self._versions(f"name = {_quoted(name)} and run_id = {_quoted(run_id)}"), None)

    def create_version(self, name: str, *, source: str, run_id: str, tags: Mapping[str, str]) -> int:
        model_id = source.removeprefix("models:/")
        body: dict[str, Any] = {"name": name, "source": source, "run_id": run_id, "tags": _pairs(tags)}
        if model_id.startswith("m-"):
            body["model_id"] = model_id
        return int(self._post("model-versions/create", **body)["model_version"]["version"])

    def get_version(self, name: str, version: int) -> RegisteredVersion | None:
        found = self._get("model-versions/get", name=name, version=version)
        return None if found is None else _version(found["model_version"])

    def list_versions(self, name: str) -> list[RegisteredVersion]:
        return list(self._versions(f"name = {_quoted(name)}"))

    def set_version_tags(self, name: str, version: int, tags: Mapping[str, str]) -> None:
        for key, value in tags.items():
            self._post("model-versions/set-tag", name=name, version=str(version), key=key, value=value)

    def set_alias(self, name: str, alias: str, version: int) -> None:
        self._post("registered-models/alias", name=name, alias=alias, version=str(version))

    def delete_alias(self, name: str, alias: str) -> None:
        try:
            self._http.json("DELETE", f"{API}/registered-models/alias", json={"name": name, "alias": alias})
        except EngineRefused as error:
            if error.code != MISSING:
                raise

    # -- how it is called

    def _get(self, path: str, /, **params: str | int) -> dict[str, Any] | None:
        try:
            return self._http.json("GET", f"{API}/{path}", params=params)
        except EngineRefused as error:
            if error.code == MISSING:
                return None
            raise

    def _post(self, path: str, /, **body: Any) -> dict[str, Any]:
        return self._http.json("POST", f"{API}/{path}", json=body)

    def _search_runs(self, experiment_id: str, query: str, *, limit: int) -> Iterator[Run]:
        token, left = "", limit
        while left > 0:
            body = {
                "experiment_ids": [experiment_id],
                "filter": query,
                "max_results": min(PAGE, left),
                "order_by": ["attributes.start_time ASC"],
            }
            page = self._post("runs/search", **body, **({"page_token": token} if token else {}))
            runs = page.get("runs", [])
            yield from map(_run, runs)
            left -= len(runs)
            token = page.get("next_page_token", "")
            if not token:
                return

    def _versions(self, query: str) -> Iterator[RegisteredVersion]:
        pages = self._pages("model-versions/search", "model_versions", filter=query, order_by="version_number DESC")
        return map(_version, pages)

    def _pages(self, path: str, key: str, /, **params: str | int) -> Iterator[dict[str, Any]]:
        token = ""
        while True:
            page = self._get(path, max_results=PAGE, **params, **({"page_token": token} if token else {})) or {}
            yield from page.get(key, [])
            token = page.get("next_page_token", "")
            if not token:
                return

    def _has_artifact(self, run_id: str, path: str) -> bool:
        listed = self._get("artifacts/list", run_id=run_id, path=path.rpartition("/")[0]) or {}
        return any(each["path"] == path for each in listed.get("files", []))


def _run(data: Mapping[str, Any]) -> Run:
    info, body = data["info"], data.get("data", {})
    return Run(
        run_id=info["run_id"],
        experiment_id=info["experiment_id"],
        status=info["status"],
        name=info.get("run_name", ""),
        params={each["key"]: each["value"] for each in body.get("params", [])},
        metrics={each["key"]: float(each["value"]) for each in body.get("metrics", [])},
        tags={each["key"]: each["value"] for each in body.get("tags", [])},
        start_time_ms=int(info.get("start_time") or 0),
        end_time_ms=int(info["end_time"]) if info.get("end_time") else None,
    )


def _version(data: Mapping[str, Any]) -> RegisteredVersion:
    return RegisteredVersion(
        name=data["name"],
        version=int(data["version"]),
        source=data.get("source", ""),
        run_id=data.get("run_id", ""),
        created_at_ms=int(data.get("creation_timestamp") or 0),
        tags={each["key"]: each["value"] for each in data.get("tags", [])},
    )


def _model(data: Mapping[str, Any]) -> RegisteredModel:
    aliases = {each["alias"]: int(each["version"]) for each in data.get("aliases", [])}
    return RegisteredModel(name=data["name"], aliases=aliases, description=data.get("description", ""))


def _pairs(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in tags.items()]


def _quoted(value: str) -> str:
    """A string of MLflow's filter language, which has no escapes: what needs one can't be asked for."""
    if "'" in value or "\\" in value:
        raise EngineRefused("MLflow", f"{value!r} can't be searched for: it has a quote or a backslash.")
    return f"'{value}'"


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
