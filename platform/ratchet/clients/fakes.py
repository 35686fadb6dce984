"""Ray, MLflow and storage in memory: they behave as the real ones do where the platform relies on it.

A test moves a job along (`jobs.run`, `jobs.succeed`, `jobs.fail`), and injects faults: `faults.before(name)` raises
before a call has an effect, `faults.after(name)` after it had one, both as an engine that did not answer.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ratchet.clients.ports import (
    ON_HEAD,
    Clients,
    ClusterInfo,
    Driver,
    EngineRefused,
    EngineSilent,
    EngineUnavailable,
    JobInfo,
    MetricPoint,
    RayStatus,
    RegisteredModel,
    RegisteredVersion,
    Run,
)

PARENT_TAG = "mlflow.parentRunId"


class Faults:
    """Which calls fail next, and a record of all calls, as `engine.method`."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.down: set[str] = set()
        """Engines (`jobs`, `serve`, `mlflow`, `storage`) that answer nothing."""
        self.hook: Callable[[str, str], None] = lambda name, moment: None
        """Called with the call's name and `before` or `after`; what it raises comes out of the call."""
        self._planned: list[tuple[str, str]] = []

    def before(self, name: str) -> None:
        self._planned.append((name, "before"))

    def after(self, name: str) -> None:
        self._planned.append((name, "after"))

    @contextmanager
    def call(self, name: str) -> Iterator[None]:
        engine = name.partition(".")[0]
        self.calls.append(name)
        if engine in self.down:
            raise EngineSilent(engine, f"{engine} is down")
        self._fail(name, "before")
        yield
        self._fail(name, "after")

    def _fail(self, name: str, moment: str) -> None:
        self.hook(name, moment)
        if (name, moment) in self._planned:
            self._planned.remove((name, moment))
            raise EngineUnavailable(name.partition(".")[0], f"{name} was made to fail {moment} its effect")


@dataclass
class FakeJob:
    info: JobInfo
    entrypoint: str
    env: dict[str, str]
    metadata: dict[str, str]
    driver: Driver = ON_HEAD
    logs: str = ""
    stops: int = 0


class FakeRayJobs:
    def __init__(self, faults: Faults | None = None) -> None:
        self.faults = faults or Faults()
        self.jobs: dict[str, FakeJob] = {}
        self.size = ClusterInfo(cpus=4, gpus=0, memory_bytes=8 * 1024**3)
        self.stops_at_once = True
        """Whether a job ends when it is asked to; a pending one of the real Ray may not."""

    def submit(
        self,
        submission_id: str,
        *,
        entrypoint: str,
        env: Mapping[str, str],
        metadata: Mapping[str, str],
        driver: Driver = ON_HEAD,
    ) -> None:
        with self.faults.call("jobs.submit"):
            if submission_id not in self.jobs:
                info = JobInfo(submission_id, RayStatus.PENDING)
                self.jobs[submission_id] = FakeJob(info, entrypoint, dict(env), dict(metadata), driver)

    def get(self, submission_id: str) -> JobInfo | None:
        with self.faults.call("jobs.get"):
            job = self.jobs.get(submission_id)
            return None if job is None else job.info

    def stop(self, submission_id: str) -> None:
        with self.faults.call("jobs.stop"):
            job = self.jobs.get(submission_id)
            if job is not None and not job.info.status.terminal:
                job.stops += 1
                if self.stops_at_once:
                    self._set(submission_id, RayStatus.STOPPED)

    def logs(self, submission_id: str) -> str | None:
        with self.faults.call("jobs.logs"):
            job = self.jobs.get(submission_id)
            return None if job is None else job.logs

    def cluster(self) -> ClusterInfo:
        with self.faults.call("jobs.cluster"):
            return self.size

    def alive(self) -> None:
        with self.faults.call("jobs.alive"):
            return

    def live_jobs(self, instance: str) -> list[str]:
        with self.faults.call("jobs.live_jobs"):
            return [id for id in self.live() if self.jobs[id].metadata.get("instance") == instance]

    # -- what a test does to the cluster

    def resize(self, cpus: float) -> None:
        self.size = replace(self.size, cpus=cpus)

    def run(self, submission_id: str) -> None:
        self._set(submission_id, RayStatus.RUNNING)

    def succeed(self, submission_id: str) -> None:
        self._set(submission_id, RayStatus.SUCCEEDED, exit_code=0)

    def fail(
        self,
        submission_id: str,
        *,
        exit_code: int | None = 70,
        error_type: str = "JOB_ENTRYPOINT_COMMAND_ERROR",
        message: str = "",
    ) -> None:
        self._set(submission_id, RayStatus.FAILED, exit_code=exit_code, error_type=error_type, message=message)

    def lose(self, submission_id: str) -> None:
        """As after a restart of Ray's head: nothing of the job is known any more."""
        del self.jobs[submission_id]

    def submitted(self) -> list[str]:
        return list(self.jobs)

    def live(self) -> list[str]:
        return [id for id, job in self.jobs.items() if not job.info.status.terminal]

    def _set(self, submission_id: str, status: RayStatus, **changes: Any) -> None:
        job = self.jobs[submission_id]
        job.info = replace(job.info, status=status, **changes)


class FakeRayServe:
    """Applications become RUNNING at the next look, unless the test sets `states`."""

    def __init__(self, faults: Faults | None = None) -> None:
        self.faults = faults or Faults()
        self.config: dict[str, Any] = {"applications": []}
        self.puts: list[dict[str, Any]] = []
        self.states: dict[str, dict[str, Any]] = {}
        """What `get` says of an application, by its name, over the default."""

    def put(self, config: Mapping[str, Any]) -> None:
        with self.faults.call("serve.put"):
            self.config = dict(config)
            self.puts.append(self.config)

    def get(self) -> dict[str, Any]:
        with self.faults.call("serve.get"):
            return {"applications": {app["name"]: self._details(app) for app in self.config["applications"]}}

    def _details(self, app: dict[str, Any]) -> dict[str, Any]:
        deployments = {
            each["name"]: {"name": each["name"], "status": "HEALTHY", "message": "", "deployment_config": each}
            for each in app.get("deployments", [])
        }
        details = {"name": app["name"], "status": "RUNNING", "message": "", "deployments": deployments}
        return {**details, **self.states.get(app["name"], {})}


@dataclass
class FakeModel:
    name: str
    versions: list[RegisteredVersion] = field(default_factory=list)
    aliases: dict[str, int] = field(default_factory=dict)


class FakeMlflow:
    def __init__(self, faults: Faults | None = None) -> None:
        self.faults = faults or Faults()
        self.experiments: dict[str, str] = {}
        self.runs: dict[str, Run] = {}
        self.history: dict[tuple[str, str], list[MetricPoint]] = {}
        self.artifacts: dict[tuple[str, str], bytes] = {}
        self.models: dict[str, FakeModel] = {}
        self._numbers = itertools.count(1)

    # -- runs

    def ensure_experiment(self, name: str) -> str:
        with self.faults.call("mlflow.ensure_experiment"):
            return self.experiments.setdefault(name, str(next(self._numbers)))

    def find_run(self, experiment_id: str, tag: str, value: str) -> Run | None:
        with self.faults.call("mlflow.find_run"):
            return next(iter(self._runs_with(experiment_id, tag, value)), None)

    def create_run(self, experiment_id: str, name: str, tags: Mapping[str, str]) -> Run:
        with self.faults.call("mlflow.create_run"):
            number = next(self._numbers)
            run = Run(f"{number:032x}", experiment_id, "RUNNING", name, tags=dict(tags), start_time_ms=number)
            self.runs[run.run_id] = run
            return run

    def get_run(self, run_id: str) -> Run | None:
        with self.faults.call("mlflow.get_run"):
            return self.runs.get(run_id)

    def children(self, experiment_id: str, parent_run_id: str) -> list[Run]:
        with self.faults.call("mlflow.children"):
            return self._runs_with(experiment_id, PARENT_TAG, parent_run_id)

    def metric_history(self, run_id: str, key: str) -> list[MetricPoint]:
        with self.faults.call("mlflow.metric_history"):
            return list(self.history.get((run_id, key), []))

    def set_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        with self.faults.call("mlflow.set_tags"):
            run = self._run(run_id)
            self.runs[run_id] = replace(run, tags={**run.tags, **tags})

    def end_run(self, run_id: str, status: str) -> None:
        with self.faults.call("mlflow.end_run"):
            self.runs[run_id] = replace(self._run(run_id), status=status, end_time_ms=next(self._numbers))

    def resume_run(self, run_id: str) -> None:
        with self.faults.call("mlflow.resume_run"):
            self.runs[run_id] = replace(self._run(run_id), status="RUNNING")

    def get_artifact(self, run_id: str, path: str) -> bytes | None:
        with self.faults.call("mlflow.get_artifact"):
            return self.artifacts.get((run_id, path))

    # -- the registry

    def ensure_registered_model(self, name: str) -> None:
        with self.faults.call("mlflow.ensure_registered_model"):
            self.models.setdefault(name, FakeModel(name))

    def list_registered_models(self, prefix: str) -> list[RegisteredModel]:
        with self.faults.call("mlflow.list_registered_models"):
            return [self._view(model) for name, model in sorted(self.models.items()) if name.startswith(prefix)]

    def get_registered_model(self, name: str) -> RegisteredModel | None:
        with self.faults.call("mlflow.get_registered_model"):
            return self._view(self.models[name]) if name in self.models else None

    def find_version(self, name: str, run_id: str) -> RegisteredVersion | None:
        with self.faults.call("mlflow.find_version"):
            versions = self.models[name].versions if name in self.models else []
            return next((each for each in reversed(versions) if each.run_id == run_id), None)

    def create_version(self, name: str, *, source: str, run_id: str, tags: Mapping[str, str]) -> int:
        with self.faults.call("mlflow.create_version"):
            versions = self._model(name).versions
            number = len(versions) + 1
            versions.append(RegisteredVersion(name, number, source, run_id, next(self._numbers), dict(tags)))
            return number

    def get_version(self, name: str, version: int) -> RegisteredVersion | None:
        with self.faults.call("mlflow.get_version"):
            versions = self.models[name].versions if name in self.models else []
            return versions[version - 1] if 0 < version <= len(versions) else None

    def list_versions(self, name: str) -> list[RegisteredVersion]:
        with self.faults.call("mlflow.list_versions"):
            return list(reversed(self.models[name].versions)) if name in self.models else []

    def set_version_tags(self, name: str, version: int, tags: Mapping[str, str]) -> None:
        with self.faults.call("mlflow.set_version_tags"):
            versions = self._model(name).versions
            versions[version - 1] = replace(versions[version - 1], tags={**versions[version - 1].tags, **tags})

    def set_alias(self, name: str, alias: str, version: int) -> None:
        with self.faults.call("mlflow.set_alias"):
            model = self._model(name)
            if not 0 < version <= len(model.versions):
                raise EngineRefused("MLflow", f"{name} has no version {version}", 404, "RESOURCE_DOES_NOT_EXIST")
            model.aliases[alias] = version

    def delete_alias(self, name: str, alias: str) -> None:
        with self.faults.call("mlflow.delete_alias"):
            self._model(name).aliases.pop(alias, None)

    # -- what a test does to it

    def log(self, run_id: str, metrics: Mapping[str, Sequence[float]]) -> None:
        """Log each metric's values at steps 0, 1, …."""
        for key, values in metrics.items():
            points = [MetricPoint(step, value, next(self._numbers)) for step, value in enumerate(values)]
            self.history[run_id, key] = points
            run = self.runs[run_id]
            self.runs[run_id] = replace(run, metrics={**run.metrics, key: values[-1]})

    def tag(self, run_id: str, tags: Mapping[str, str]) -> None:
        """As a job sets tags in its run."""
        run = self.runs[run_id]
        self.runs[run_id] = replace(run, tags={**run.tags, **tags})

    def _runs_with(self, experiment_id: str, tag: str, value: str) -> list[Run]:
        found = [run for run in self.runs.values() if run.experiment_id == experiment_id and run.tags.get(tag) == value]
        return sorted(found, key=lambda run: run.start_time_ms)

    def _run(self, run_id: str) -> Run:
        if run_id not in self.runs:
            raise EngineRefused("MLflow", f"Run {run_id!r} not found", 404, "RESOURCE_DOES_NOT_EXIST")
        return self.runs[run_id]

    def _model(self, name: str) -> FakeModel:
        if name not in self.models:
            raise EngineRefused("MLflow", f"Registered Model {name!r} not found", 404, "RESOURCE_DOES_NOT_EXIST")
        return self.models[name]

    @staticmethod
    def _view(model: FakeModel) -> RegisteredModel:
        return RegisteredModel(model.name, dict(model.aliases))


class FakeStorage:
    def __init__(self, faults: Faults | None = None) -> None:
        self.faults = faults or Faults()
        self.files: dict[str, bytes] = {}

    def uri(self, path: str) -> str:
        return f"memory://storage/{path}"

    def write(self, path: str, data: bytes) -> None:
        with self.faults.call("storage.write"):
            self.files[path] = data

    def upload(self, path: str, file: Path) -> None:
        with self.faults.call("storage.upload"):
            self.files[path] = file.read_bytes()

    def read(self, path: str) -> bytes | None:
        with self.faults.call("storage.read"):
            return self.files.get(path)

    def list(self, folder: str) -> Sequence[str]:
        with self.faults.call("storage.list"):
            return sorted(path for path in self.files if path.startswith(folder.rstrip("/") + "/"))

    def sizes(self, folder: str) -> Mapping[str, int]:
        with self.faults.call("storage.sizes"):
            inside = folder.rstrip("/") + "/"
            return {path: len(data) for path, data in self.files.items() if path.startswith(inside)}

    def delete(self, folder: str) -> None:
        with self.faults.call("storage.delete"):
            for path in [path for path in self.files if path.startswith(folder.rstrip("/") + "/")]:
                del self.files[path]

    @property
    def look_every_s(self) -> float:
        return 0.01


@dataclass(frozen=True)
class FakeClients(Clients):
    """`Clients` whose fields are the fakes, with the faults that all of them share."""

    jobs: FakeRayJobs
    serve: FakeRayServe
    mlflow: FakeMlflow
    storage: FakeStorage
    faults: Faults


def fake_clients() -> FakeClients:
    faults = Faults()
    return FakeClients(FakeRayJobs(faults), FakeRayServe(faults), FakeMlflow(faults), FakeStorage(faults), faults)
