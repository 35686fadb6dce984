"""A training's result in its MLflow run: the model, what it was made of, and everything needed to make it again."""

from __future__ import annotations

import json
import os
import tempfile
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import mlflow
from mlflow.entities import Metric, Param, RunTag
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema

from ratchet_pipelines import measures
from ratchet_pipelines.recipes.base import Trained
from ratchet_pipelines.spec import Envelope, Sweep, Train
from ratchet_pipelines.spec import RunTag as Tag
from ratchet_pipelines.train.tracking import client, patiently

MODEL_PACKAGES = ["mlflow", "numpy", "pandas", "torch"]
"""What a model needs beside this package to be loaded; given to MLflow so that it need not find out by running it."""
MAX_PARAM_CHARACTERS = 6000


def log(envelope: Envelope, trained: Trained, params: dict[str, Any]) -> str:
    """Logs `trained` in the envelope's run and returns the model's URI, `models:/m-…`.

    While MLflow can't be reached it waits, see `tracking.patiently`. The tag that names the model is set last: where it
    is, everything is.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write_artifacts(envelope, trained, folder)
        patiently(lambda: client().log_artifacts(envelope.run_id, str(folder)))
    info = patiently(lambda: _log_model(envelope, trained, params))
    metric, greater = measures.primary(trained.task)
    tags = {
        Tag.DATA_HASH: trained.facts["hash"],
        Tag.PRIMARY_METRIC: f"test/{metric}",
        Tag.GREATER_IS_BETTER: str(greater).lower(),
        Tag.MODEL_URI: info.model_uri,
    }
    now = int(time.time() * 1000)
    metrics = [
        Metric(f"test/{name}", value, now, 0, model_id=info.model_id) for name, value in trained.test_metrics.items()
    ]
    patiently(
        lambda: client().log_batch(
            envelope.run_id, metrics=metrics, tags=[RunTag(str(key), value) for key, value in tags.items()]
        )
    )
    return str(info.model_uri)


def log_origin(envelope: Envelope, params: dict[str, Any]) -> None:
    """Logs what the run is: the parameters, and where its code is from."""
    spec = envelope.spec
    assert isinstance(spec, Train | Sweep)
    values: dict[str, Any] = {
        "recipe": spec.recipe,
        "data.uri": spec.data.uri,
        "data.target": spec.data.target,
        "data.test_fraction": spec.data.test_fraction,
        "data.validation_fraction": spec.data.validation_fraction,
        "resources.workers": spec.resources.workers,
        "resources.cpus_per_worker": spec.resources.cpus_per_worker,
        "resources.gpus_per_worker": spec.resources.gpus_per_worker,
        "seed": spec.seed,
        **{f"params.{name}": value for name, value in params.items()},
    }
    tags = {
        Tag.JOB: envelope.job,
        Tag.PROJECT: envelope.project,
        "mlflow.source.type": "JOB",
        "mlflow.source.name": f"ratchet_pipelines/{spec.recipe}",
        "ratchet.package_version": metadata.version("ratchet"),
    }
    if commit := git_commit():
        tags["mlflow.source.git.commit"] = commit
    patiently(
        lambda: client().log_batch(
            envelope.run_id,
            params=[Param(name, str(value)[:MAX_PARAM_CHARACTERS]) for name, value in values.items()],
            tags=[RunTag(str(key), value) for key, value in tags.items()],
        )
    )


def git_commit() -> str | None:
    """The commit of this code: `RATCHET_GIT_COMMIT`, else that of the checkout it runs from, if it does.

    Reads git's files and starts no process. A work tree's changes are not looked for.
    """
    if commit := os.environ.get("RATCHET_GIT_COMMIT"):
        return commit
    for parent in Path(__file__).resolve().parents:
        git = parent / ".git"
        if git.is_dir():
            return _commit_in(git)
    return None


def _commit_in(git: Path) -> str | None:
    head = (git / "HEAD").read_text().strip()
    if not head.startswith("ref: "):
        return head
    reference = head.removeprefix("ref: ")
    if (git / reference).is_file():
        return (git / reference).read_text().strip()
    packed = git / "packed-refs"
    lines = packed.read_text().splitlines() if packed.is_file() else []
    return next((line.split()[0] for line in lines if line.endswith(f" {reference}")), None)


def _write_artifacts(envelope: Envelope, trained: Trained, folder: Path) -> None:
    (folder / "reference").mkdir()
    trained.profile.to_parquet(folder / "reference" / "profile.parquet", index=False)
    (folder / "spec.json").write_text(envelope.spec.model_dump_json(indent=1))
    (folder / "data.json").write_text(json.dumps(trained.facts, indent=1))
    (folder / "requirements.txt").write_text("\n".join(installed_packages()) + "\n")


def installed_packages() -> list[str]:
    """`name==version` of all packages here, as `pip freeze` lists them."""
    found = {package.metadata["Name"]: package.version for package in metadata.distributions()}
    return sorted((f"{name}=={version}" for name, version in found.items()), key=str.lower)


def _log_model(envelope: Envelope, trained: Trained, params: dict[str, Any]) -> Any:
    os.environ["MLFLOW_UV_AUTO_DETECT"] = "false"
    os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"
    signature = ModelSignature(
        inputs=Schema([ColSpec(kind, name) for name, kind in trained.inputs.items()]),
        outputs=Schema([ColSpec(kind, name) for name, kind in trained.outputs.items()]),
    )
    with tempfile.TemporaryDirectory() as name, mlflow.start_run(run_id=envelope.run_id):
        folder = Path(name) / "model"
        folder.mkdir()
        trained.model.save(folder)
        return mlflow.pyfunc.log_model(
            name="model",
            loader_module=trained.loader_module,
            data_path=str(folder),
            signature=signature,
            input_example=trained.example,
            pip_requirements=[f"{package}=={metadata.version(package)}" for package in MODEL_PACKAGES],
            metadata=trained.metadata,
            params={name: str(value)[:MAX_PARAM_CHARACTERS] for name, value in params.items()},
            tags={str(Tag.JOB): envelope.job, str(Tag.PROJECT): envelope.project},
        )
