"""What a job came to, as it told it in its MLflow run."""

from __future__ import annotations

import math
from typing import Any

from ratchet.clients.ports import Run
from ratchet_pipelines.spec import RunTag

MAX_METRICS = 200
TOLD = {
    RunTag.MODEL_URI: "model_uri",
    RunTag.DATA_HASH: "data_hash",
    RunTag.PRIMARY_METRIC: "primary_metric",
    RunTag.GREATER_IS_BETTER: "greater_is_better",
    RunTag.BEST_TRIAL: "best_trial",
    RunTag.DRIFT: "drift",
    RunTag.PREDICTED_BY: "predicted_by",
    RunTag.OUTPUT: "output",
}
"""The tags by which a job tells its result, and their names in `Job.result`."""


def result_of(run: Run) -> dict[str, Any]:
    """What the job told in its run: the tags of `RunTag` under plain names, and its metrics."""
    told: dict[str, Any] = {name: run.tags[tag] for tag, name in TOLD.items() if tag in run.tags}
    if "greater_is_better" in told:
        told["greater_is_better"] = told["greater_is_better"] == "true"
    return {**told, "metrics": finite(run.metrics)}


def finite(metrics: dict[str, float]) -> dict[str, float | None]:
    """JSON has no word for NaN and infinity: null stands for them."""
    names = sorted(metrics)[:MAX_METRICS]
    return {name: metrics[name] if math.isfinite(metrics[name]) else None for name in names}
