"""The drift check: what an endpoint was asked, compared with what its model was trained on."""

from __future__ import annotations

import json
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import fsspec
import mlflow.artifacts
import pandas as pd
from mlflow.entities import Metric
from mlflow.entities import RunTag as MlflowTag
from mlflow.exceptions import MlflowException

from ratchet_pipelines.errors import DataError, UserError
from ratchet_pipelines.monitoring import report, window
from ratchet_pipelines.monitoring.comparison import Comparison, align
from ratchet_pipelines.monitoring.pvalues import ColumnResult, threshold_of
from ratchet_pipelines.spec import DriftCheck, Envelope, ModelVersion, RunTag
from ratchet_pipelines.train.tracking import client, patiently

Verdict = Literal["drift", "no_drift", "insufficient_data"]
PROFILE = "reference/profile.parquet"


def check(envelope: Envelope) -> str:
    """Write the verdict (`drift.json`), the report, the metrics and the tag; a line that says the verdict.

    Raises `UserError` for a window or a model version that does not exist, `DataError` for a log or a profile that
    can't be read or do not fit each other.
    """
    spec = envelope.spec
    assert isinstance(spec, DriftCheck)
    bounds = window.Window.parse(spec.since, spec.until)
    profile = read_profile(spec.model)
    log = window.read(spec.predictions, bounds, spec.model, spec.max_rows)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = _judge(spec, profile, log, folder / "drift.html")
        (folder / "drift.json").write_text(json.dumps(found, indent=1, allow_nan=False))
        _keep(envelope.run_id, spec, folder, found)
    return _sentence(found)


def read_profile(model: ModelVersion) -> pd.DataFrame:
    """The reference profile that was logged by the run which trained the model version."""
    try:
        version = patiently(lambda: client().get_model_version(model.name, str(model.version)))
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            raise UserError(f"There is no version {model.version} of the model {model.name!r}.") from error
        raise
    if not version.run_id:
        raise DataError(f"{model.uri} names no run, so there is no reference profile to compare with.")
    with tempfile.TemporaryDirectory() as folder:
        try:
            path = mlflow.artifacts.download_artifacts(run_id=version.run_id, artifact_path=PROFILE, dst_path=folder)
            return pd.read_parquet(path)
        except (MlflowException, OSError, ValueError) as error:
            raise DataError(
                f"The run of {model.uri} has no readable {PROFILE}: train the model with a recipe, or log a sample of "
                f"its training rows with its predictions there. ({error})"
            ) from error


def judge(comparison: Comparison, alpha: float) -> tuple[Verdict, list[ColumnResult], float]:
    """The verdict, each column's result, and the threshold of one test.

    Without drift the verdict is `drift` with probability at most `alpha`, however many columns there are.
    """
    results = comparison.results()
    threshold = threshold_of(results, alpha)
    return "drift" if any(r.drifted(threshold) for r in results) else "no_drift", results, threshold


def _judge(spec: DriftCheck, profile: pd.DataFrame, log: pd.DataFrame, page: Path) -> dict[str, Any]:
    found: dict[str, Any] = {
        "verdict": "insufficient_data",
        "alpha": spec.alpha,
        "threshold": None,
        "rows": {"reference": len(profile), "current": len(log)},
        "window": {"since": spec.since, "until": spec.until},
        "model": {"name": spec.model.name, "version": spec.model.version},
        "columns": [],
        "drifted_columns": 0,
        "report": spec.report,
    }
    if min(len(log), len(profile)) < spec.min_rows:
        report.write_note(_sentence(found), page)
        return found
    comparison = align(profile, log)
    verdict, results, threshold = judge(comparison, spec.alpha)
    columns = [{**asdict(result), "drifted": result.drifted(threshold)} for result in results]
    report.write(comparison, results, threshold, page)
    drifted = sum(column["drifted"] for column in columns)
    return {**found, "verdict": verdict, "threshold": threshold, "columns": columns, "drifted_columns": drifted}


def _keep(run_id: str, spec: DriftCheck, folder: Path, found: dict[str, Any]) -> None:
    fs, path = fsspec.core.url_to_fs(spec.report)
    fs.makedirs(path.rsplit("/", 1)[0], exist_ok=True)
    fs.pipe_file(path, (folder / "drift.html").read_bytes())
    now = int(time.time() * 1000)
    p_values = [column[name] for column in found["columns"] for name in ("p_value", "missing_p_value")]
    metrics = {
        "drift/rows": found["rows"]["current"],
        "drift/drifted_columns": found["drifted_columns"],
        "drift/min_p_value": min((p for p in p_values if p is not None), default=None),
    }
    logged = [Metric(name, value, now, 0) for name, value in metrics.items() if value is not None]
    tags = [MlflowTag(str(RunTag.DRIFT), found["verdict"])]
    for artifact in ("drift.json", "drift.html"):
        patiently(lambda name=artifact: client().log_artifact(run_id, str(folder / name)))  # type: ignore[misc]
    # The tag last: whoever sees it finds the rest.
    patiently(lambda: client().log_batch(run_id, metrics=logged, tags=tags))


def _sentence(found: dict[str, Any]) -> str:
    rows = found["rows"]
    against = f"{rows['current']} rows against {rows['reference']} of the training data"
    if found["verdict"] == "insufficient_data":
        return f"Too few rows to say anything of drift: {against}."
    if found["verdict"] == "no_drift":
        return f"No drift: {against}, at a false-alarm rate of at most {found['alpha']:g}."
    named = ", ".join(column["column"] for column in found["columns"] if column["drifted"])
    return f"Drift in {found['drifted_columns']} of {len(found['columns'])} columns ({named[:500]}): {against}."
