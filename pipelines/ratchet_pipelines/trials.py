"""The trials of a sweep as child runs of its MLflow run: parameters, every epoch's metrics, how each ended."""

from __future__ import annotations

import logging
from typing import Any

from mlflow.entities import Param
from ray.tune import Callback

from ratchet_pipelines.spec import Envelope, RunTag
from ratchet_pipelines.train.tracking import MetricLog, client, patiently

logger = logging.getLogger(__name__)

PARENT = "mlflow.parentRunId"
SPLITS = ("train/", "val/", "learning_rate")


class TrialRuns(Callback):  # type: ignore[misc]  # Ray has no types
    """Called by Tune in the sweep's own process, so that a trial's process needs no MLflow.

    A trial that ASHA stopped is FINISHED, as one that came to its end is: it did all that was asked of it.
    """

    def __init__(self, envelope: Envelope, metric: str, log: MetricLog) -> None:
        self._envelope, self._metric, self._log = envelope, metric, log
        self._runs: dict[str, str] = {}
        self._open: set[str] = set()
        self._experiment: str = patiently(lambda: client().get_run(envelope.run_id)).info.experiment_id
        if envelope.attempt > 1:
            self._remove_earlier()

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune keeps its callbacks in a file for restoring a sweep, which begins anew here instead."""
        return {}

    def run_of(self, trial_id: str) -> str:
        """The MLflow run of a trial."""
        return self._runs[trial_id]

    def end_all(self, status: str) -> None:
        """Ends the runs that are still open."""
        for run_id in list(self._open):
            self._end(run_id, status)

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        if trial.trial_id in self._runs:
            return
        tags = {
            PARENT: self._envelope.run_id,
            RunTag.JOB: self._envelope.job,
            RunTag.PROJECT: self._envelope.project,
            "mlflow.runName": f"trial-{len(self._runs) + 1}",
        }
        run = patiently(lambda: client().create_run(self._experiment, tags={str(k): v for k, v in tags.items()}))
        self._runs[trial.trial_id] = run.info.run_id
        self._open.add(run.info.run_id)
        params = [Param(f"params.{name}", str(value)) for name, value in trial.config.items()]
        patiently(lambda: client().log_batch(run.info.run_id, params=params))

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        metrics = {name: value for name, value in result.items() if name.startswith(SPLITS)}
        metrics[f"best/{self._metric}"] = result["best"]
        self._log.log(self._runs[trial.trial_id], metrics, result["epoch"])

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        run_id, last = self._runs[trial.trial_id], trial.last_result
        logger.info(
            "Trial %d: %s %.4f, %d epochs.",
            list(self._runs).index(trial.trial_id) + 1,
            self._metric,
            last["best"],
            last["epoch"],
        )
        self._end(run_id, "FINISHED")

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        if run_id := self._runs.get(trial.trial_id):
            self._end(run_id, "FAILED")

    def _end(self, run_id: str, status: str) -> None:
        self._open.discard(run_id)
        patiently(lambda: client().set_terminated(run_id, status))

    def _remove_earlier(self) -> None:
        """An attempt begins the search anew: the trials of one that was lost are no part of it."""
        query = f"tags.`{PARENT}` = '{self._envelope.run_id}'"
        for run in patiently(lambda: client().search_runs([self._experiment], query, max_results=1000)):
            patiently(lambda run_id=run.info.run_id: client().delete_run(run_id))  # type: ignore[misc]
