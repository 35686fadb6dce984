"""A sweep: Ray Tune tries parameters on the recipe's own training loop, and ASHA stops the trials that fall behind.

ASHA (Li et al. 2020) lets every trial run `grace_period` epochs, and from there only the best `1 / reduction_factor`
on to each next rung. Trials are child runs of the sweep's run; the best one's model becomes the sweep's.
"""

from __future__ import annotations

import os
import tempfile
import typing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.tune.logger import JsonLoggerCallback
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search.basic_variant import BasicVariantGenerator

from ratchet_pipelines import recipes
from ratchet_pipelines.catalog import RECIPES, suggestion
from ratchet_pipelines.errors import CancelledJobError, UserError
from ratchet_pipelines.logs.capture import captured
from ratchet_pipelines.spec import Choice, Envelope, Resources, RunTag, Space, Sweep, Uniform
from ratchet_pipelines.train import checkpoints, loop, strategy
from ratchet_pipelines.train.checkpoints import Best, State
from ratchet_pipelines.train.interrupts import interruptible
from ratchet_pipelines.train.spool import Spool
from ratchet_pipelines.train.tracking import MetricLog, client, mlflow_sender, patiently
from ratchet_pipelines.trials import TrialRuns

os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")  # MLflow has the curves; Tune itself reads the JSON


@dataclass(frozen=True)
class Plan:
    """What all trials of a sweep share."""

    recipe: str
    params: dict[str, Any]
    seed: int
    metric: str
    mode: typing.Literal["min", "max"]
    resources: Resources
    storage: str
    """Of the Ray Train runs, one folder a trial, when a trial has several workers."""


def sweep(envelope: Envelope) -> str:
    """Runs the trials and logs the best one's model in the sweep's run; returns a line that says it.

    Raises `UserError` when a searched parameter or the metric does not exist, or no trial came to an end.
    """
    spec = envelope.spec
    assert isinstance(spec, Sweep)
    space = search_space(spec)
    params = recipes.parse_params(spec.recipe, spec.params)
    prepared = recipes.load(spec.recipe).prepare(spec.data, params)
    ray.init(address="auto")
    from ratchet_pipelines import results

    results.log_origin(envelope, {name: value for name, value in params.model_dump().items() if name not in space})
    plan = Plan(
        recipe=spec.recipe,
        params=spec.params,
        seed=spec.seed,
        metric=spec.metric,
        mode=spec.mode,
        resources=spec.resources,
        storage=f"{envelope.storage}/jobs/{envelope.job}/trials-{envelope.attempt}",
    )
    with MetricLog(mlflow_sender(), Spool.of(envelope)) as log:
        runs = TrialRuns(envelope, spec.metric, log)
        winner = _best_result(_tune(spec, plan, space, prepared.material, runs), spec)
    best = _best_epoch(winner, plan)
    chosen = recipes.parse_params(spec.recipe, {**spec.params, **winner.config})
    trained = recipes.load(spec.recipe).result(prepared, chosen, best.weights)
    uri = results.log(envelope, trained, chosen.model_dump())
    run_id = runs.run_of(winner.metrics["trial_id"])
    patiently(lambda: client().set_tag(envelope.run_id, RunTag.BEST_TRIAL, run_id))
    patiently(lambda: client().log_metric(envelope.run_id, spec.metric, best.value, step=best.epoch))
    found = ", ".join(f"{name} {value}" for name, value in winner.config.items())
    return f"{uri}, {spec.metric} {best.value:.4f} with {found}."


def search_space(spec: Sweep) -> dict[str, Any]:
    """Tune's domains for the search, with every bound and value checked as a parameter of the recipe."""
    recipe = RECIPES.get(spec.recipe)
    space = {}
    for name, domain in spec.search.items():
        field = recipe.params.model_fields.get(name) if recipe else None
        if recipe and field is None:
            known = list(recipe.params.model_fields)
            raise UserError(
                f"The search names {name!r}, which is no parameter of the recipe {spec.recipe!r}."
                f"{suggestion(name, known)} Parameters: {', '.join(known)}."
            )
        whole = field is not None and field.annotation is int
        for value in domain.values if isinstance(domain, Choice) else (domain.low, domain.high):
            recipes.parse_params(spec.recipe, {**spec.params, name: round(value) if whole else value})
        space[name] = _domain(domain, whole)
    return space


def _domain(space: Space, whole: bool) -> Any:
    match space:
        case Choice():
            return tune.choice(space.values)
        case Uniform() if whole:
            draw = tune.lograndint if space.log else tune.randint
            return draw(round(space.low), round(space.high) + 1)
        case Uniform():
            return (tune.loguniform if space.log else tune.uniform)(space.low, space.high)


def _tune(spec: Sweep, plan: Plan, space: dict[str, Any], material: Any, runs: TrialRuns) -> tune.ResultGrid:
    epochs = _most_epochs(spec)
    trainable = tune.with_parameters(_trial, plan=plan, material=material)
    tuner = tune.Tuner(
        tune.with_resources(trainable, _trial_resources(spec.resources)),
        param_space=space,
        tune_config=tune.TuneConfig(
            num_samples=spec.trials,
            search_alg=BasicVariantGenerator(max_concurrent=spec.concurrent_trials, random_state=spec.seed),
            trial_dirname_creator=lambda trial: trial.trial_id,
            scheduler=ASHAScheduler(
                time_attr="epoch",
                metric=spec.metric,
                mode=spec.mode,
                max_t=epochs,
                grace_period=min(spec.grace_period, epochs),
                reduction_factor=spec.reduction_factor,
            ),
            # A process that has imported torch is worth keeping; one with workers of its own is not clean again.
            reuse_actors=spec.resources.workers == 1,
        ),
        run_config=tune.RunConfig(
            name="tune", storage_path=plan.storage, callbacks=[runs, JsonLoggerCallback()], verbose=0
        ),
    )
    with interruptible() as interrupted:
        try:
            grid = tuner.fit()
        except (KeyboardInterrupt, SystemExit) as error:
            runs.end_all("KILLED")
            raise CancelledJobError("The sweep was stopped.") from error
        if interrupted():
            runs.end_all("KILLED")
            raise CancelledJobError("The sweep was stopped.")
    return grid


def _most_epochs(spec: Sweep) -> int:
    """The largest number of epochs that any trial may run."""
    values = {**spec.params}
    if (searched := spec.search.get("epochs")) is not None:
        values["epochs"] = max(searched.values) if isinstance(searched, Choice) else round(searched.high)
    return recipes.load(spec.recipe).settings(recipes.parse_params(spec.recipe, values), spec.seed).epochs


def _trial_resources(resources: Resources) -> dict[str, float]:
    if resources.workers > 1:
        return {"memory": 1}  # the trial's workers ask for themselves; Tune can't start a trial that asks for nothing
    return {"CPU": resources.cpus_per_worker} | (
        {"GPU": resources.gpus_per_worker} if resources.gpus_per_worker else {}
    )


def _trial(config: dict[str, Any], plan: Plan, material: Any) -> None:
    """One trial: in this process when it has one worker, else on workers of its own."""
    params = recipes.parse_params(plan.recipe, {**plan.params, **config})
    recipe = recipes.load(plan.recipe)
    settings = replace(recipe.settings(params, plan.seed), monitor=plan.metric, mode=plan.mode)
    log_name = f"trial-{tune.get_context().get_trial_id().replace('_', '-')}"
    if plan.resources.workers == 1:
        import torch

        device = torch.device("cuda" if plan.resources.gpus_per_worker else "cpu")
        with captured(log_name, echo=False):
            loop.fit(recipe.learner(material, params), settings, strategy.Single(device), TuneReporter())
        return
    from ray.tune.integration.ray_train import TuneReportCallback

    from ratchet_pipelines.train.launch import Training, launch

    training = Training(
        name=tune.get_context().get_trial_id(),
        storage=plan.storage,
        recipe=plan.recipe,
        params={**plan.params, **config},
        settings=settings,
        resources=plan.resources,
        log_prefix=f"{log_name}-",
        report_every_epoch=True,
    )
    launch(training, material, callbacks=[TuneReportCallback()])


class TuneReporter:
    """Every epoch to Tune, with the state whenever it is the best yet: a trial may be stopped at any report."""

    def resume(self) -> State | None:
        return None

    def wants_state(self, *, improved: bool, last: bool) -> bool:
        return improved

    def wants_stop(self) -> bool:
        return False

    def report(self, epoch: int, metrics: dict[str, float], best: Best, state: State | None) -> None:
        told = {**metrics, "epoch": epoch, "best": best.value}
        if state is None:
            tune.report(told)
            return
        with tempfile.TemporaryDirectory() as folder:
            checkpoints.save(state, Path(folder))
            tune.report(told, checkpoint=tune.Checkpoint.from_directory(folder))


def _best_result(grid: tune.ResultGrid, spec: Sweep) -> Any:
    """The trial with the best epoch of all; `best` in its last report is the value at that epoch."""
    ended = [result for result in grid if result.metrics and result.metrics.get("best") is not None]
    if not ended:
        first = str(grid.errors[0]).strip().splitlines()[-1] if grid.errors else "none reported an epoch"
        raise UserError(f"No trial of the sweep came to an end: {first}")
    pick = min if spec.mode == "min" else max
    return pick(ended, key=lambda result: result.metrics["best"])


def _best_epoch(winner: Any, plan: Plan) -> Best:
    checkpoint = winner.checkpoint
    if plan.resources.workers > 1:
        checkpoint = ray.train.Result.from_path(f"{plan.storage}/{winner.metrics['trial_id']}").checkpoint
    with checkpoint.as_directory() as folder:
        return checkpoints.load(Path(folder)).best
