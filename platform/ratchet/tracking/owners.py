"""Whose a thing in MLflow is: its experiment's or model's name says the project. What was found once never changes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx2

from ratchet.errors import Unavailable
from ratchet.tracking.rules import Kind, Subject

API = "/api/2.0/mlflow"
MAX_REMEMBERED = 100_000
PARENT_TAG = "mlflow.parentRunId"
ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,255}")


@dataclass(frozen=True)
class Owner:
    """`run_id` and `parent_run_id`: the run that a thing belongs to, and that run's own parent."""

    project: str
    experiment_id: str = ""
    run_id: str = ""
    parent_run_id: str = ""


def project_of_experiment(name: str) -> str:
    """An experiment is called as its project, or begins with its name and a slash."""
    return name.partition("/")[0]


def project_of_model(name: str) -> str:
    """`<project>.<model>`."""
    return name.partition(".")[0]


class Owners:
    def __init__(self, client: httpx2.AsyncClient) -> None:
        self._client = client
        self._found: dict[tuple[Kind, str], Owner] = {}

    async def of(self, subject: Subject) -> Owner | None:
        """None when there is no such thing, or nobody's."""
        match subject.kind:
            case Kind.EXPERIMENT_NAME:
                return Owner(project_of_experiment(subject.id))
            case Kind.REGISTERED_MODEL:
                return Owner(project_of_model(subject.id)) if "." in subject.id else None
            case Kind.FILE:
                return await self._of_file(subject.id)
            case Kind.NOTHING:
                return None
            case _:
                return await self._remembered(subject)

    async def _remembered(self, subject: Subject) -> Owner | None:
        key = (subject.kind, subject.id)
        if not ID.fullmatch(subject.id):
            return None
        if key not in self._found:
            look = {
                Kind.EXPERIMENT: self._of_experiment,
                Kind.RUN: self._of_run,
                Kind.LOGGED_MODEL: self._of_logged_model,
            }[subject.kind]
            owner = await look(subject.id)
            if owner is None:
                return None
            if len(self._found) >= MAX_REMEMBERED:
                self._found.clear()
            self._found[key] = owner
        return self._found[key]

    async def _of_file(self, path: str) -> Owner | None:
        """Of the run or the model in whose folder it is; of the experiment when of neither."""
        parts = path.strip("/").split("/")
        if any(part in ("", ".", "..") for part in parts):
            return None
        experiment = await self.of(Subject(Kind.EXPERIMENT, parts[0]))
        if experiment is None or len(parts) == 1:
            return experiment
        in_model = parts[1] == "models" and len(parts) > 2
        inner = Subject(Kind.LOGGED_MODEL, parts[2]) if in_model else Subject(Kind.RUN, parts[1])
        owner = await self.of(inner)
        return owner if owner is not None and owner.experiment_id == parts[0] else None

    async def _of_experiment(self, experiment_id: str) -> Owner | None:
        found = await self._get("experiments/get", experiment_id=experiment_id)
        if found is None:
            return None
        return Owner(project_of_experiment(found["experiment"]["name"]), found["experiment"]["experiment_id"])

    async def _of_run(self, run_id: str) -> Owner | None:
        found = await self._get("runs/get", run_id=run_id)
        if found is None:
            return None
        info = found["run"]["info"]
        experiment = await self.of(Subject(Kind.EXPERIMENT, info["experiment_id"]))
        tags = {tag["key"]: tag["value"] for tag in found["run"].get("data", {}).get("tags", [])}
        if experiment is None:
            return None
        return Owner(experiment.project, info["experiment_id"], info["run_id"], tags.get(PARENT_TAG, ""))

    async def _of_logged_model(self, model_id: str) -> Owner | None:
        found = await self._get(f"logged-models/{model_id}")
        if found is None:
            return None
        info = found["model"]["info"]
        if info.get("source_run_id"):
            return await self.of(Subject(Kind.RUN, info["source_run_id"]))
        experiment = await self.of(Subject(Kind.EXPERIMENT, info["experiment_id"]))
        return None if experiment is None else Owner(experiment.project, info["experiment_id"])

    async def _get(self, path: str, **params: str) -> Mapping[str, Any] | None:
        try:
            answer = await self._client.get(f"{API}/{path}", params=params)
        except httpx2.TransportError as error:
            raise Unavailable("MLflow does not answer.", hint="`ratchet status` shows whether it runs.") from error
        if answer.status_code in (400, 404):
            return None
        if answer.status_code != 200:
            raise Unavailable(f"MLflow answered {answer.status_code}.")
        body: dict[str, Any] = answer.json()
        return body
