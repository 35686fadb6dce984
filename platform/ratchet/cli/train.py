"""`train`, `sweep` and `evaluate`: the common case from flags."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ratchet.cli.app import App

if TYPE_CHECKING:
    from collections.abc import Callable

    from ratchet.sdk.client import Client
    from ratchet.sdk.resources import Job, Plan

PANEL = "Train"

Data = Annotated[str, typer.Option("--data", "-d", metavar="URI", help="A Parquet or CSV URI, or sklearn://NAME.")]
Target = Annotated[str, typer.Option("--target", "-t", help="The column to predict.")]
Features = Annotated[
    list[str], typer.Option("--feature", metavar="COLUMN", help="A column to learn from (again for more); all others.")
]
Recipe = Annotated[str, typer.Option("--recipe", "-r", help="What to train: see `ratchet recipes`.")]
ModelName = Annotated[str | None, typer.Option("--model", "-m", help="Register the result as a version of this model.")]
JobName = Annotated[str | None, typer.Option("--name", help="A name for the job.")]
Params = Annotated[list[str], typer.Option("-p", "--param", metavar="NAME=VALUE", help="A parameter of the recipe.")]
Workers = Annotated[int, typer.Option("--workers", "-w", min=1, help="Processes that train together.")]
Cpus = Annotated[float | None, typer.Option("--cpus", help="CPUs for each worker.")]
Gpus = Annotated[float | None, typer.Option("--gpus", help="GPUs for each worker.")]
Seed = Annotated[int | None, typer.Option("--seed", help="The same seed gives the same result.")]
Deadline = Annotated[int | None, typer.Option("--deadline", metavar="SECONDS", help="Stop the job after this long.")]
Priority = Annotated[int | None, typer.Option("--priority", min=-100, max=100, help="Higher goes first.")]
Follow = Annotated[bool, typer.Option("--follow", "-f", help="Watch it to its end; the exit status is its result.")]
Wait = Annotated[bool, typer.Option("--wait", help="Wait for its end in silence; the exit status is its result.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Have it checked and planned, and start nothing.")]


def add_to(app: App) -> None:
    app.add(
        "train",
        "ratchet train --data sklearn://breast_cancer --model cancer --workers 2 --follow",
        "ratchet train -d s3://bucket/churn.parquet -t churned -m churn -p epochs=50 -p hidden=[128,64]",
        panel=PANEL,
    )(train)
    app.add(
        "sweep",
        "ratchet sweep -d sklearn://digits -m digits -s learning_rate=log:1e-4..1e-1 -s batch_size=[32,64] -f",
        panel=PANEL,
    )(sweep)
    app.add(
        "evaluate",
        "ratchet evaluate cancer:3 cancer:4 --data sklearn://breast_cancer --follow",
        panel=PANEL,
    )(evaluate)


def train(
    data: Data,
    target: Target = "target",
    feature: Features = [],  # noqa: B006  typer reads it, and gives a new list each time
    recipe: Recipe = "tabular",
    model: ModelName = None,
    param: Params = [],  # noqa: B006
    workers: Workers = 1,
    cpus: Cpus = None,
    gpus: Gpus = None,
    name: JobName = None,
    seed: Seed = None,
    deadline: Deadline = None,
    priority: Priority = None,
    follow: Follow = False,
    wait: Wait = False,
    dry_run: DryRun = False,
) -> None:
    """Train one model."""
    from ratchet.cli.files import assignments

    spec = {
        **common("train", name, seed, deadline, priority, resources(workers, cpus, gpus)),
        "recipe": recipe,
        "data": _data(data, target, feature),
        "params": assignments(param, "-p"),
        "model": model,
    }
    start(spec, follow=follow, wait=wait, dry_run=dry_run)


def sweep(
    data: Data,
    search: Annotated[
        list[str], typer.Option("-s", "--search", metavar="NAME=RANGE", help="LOW..HIGH, log:LOW..HIGH or [A,B,C].")
    ],
    target: Target = "target",
    feature: Features = [],  # noqa: B006
    recipe: Recipe = "tabular",
    model: ModelName = None,
    param: Params = [],  # noqa: B006
    trials: Annotated[int, typer.Option("--trials", "-n", min=1, help="How many to try.")] = 8,
    concurrent: Annotated[int, typer.Option("--concurrent", "-c", min=1, help="How many at once.")] = 2,
    metric: Annotated[str, typer.Option("--metric", help="What to look at.")] = "val/loss",
    mode: Annotated[str, typer.Option("--mode", help="`min` or `max`.")] = "min",
    workers: Workers = 1,
    cpus: Cpus = None,
    gpus: Gpus = None,
    name: JobName = None,
    seed: Seed = None,
    deadline: Deadline = None,
    priority: Priority = None,
    follow: Follow = False,
    wait: Wait = False,
    dry_run: DryRun = False,
) -> None:
    """Search a recipe's parameters; bad trials are stopped early, the best one is registered."""
    from ratchet.cli.files import assignments, search_space

    spec = {
        **common("sweep", name, seed, deadline, priority, resources(workers, cpus, gpus)),
        "recipe": recipe,
        "data": _data(data, target, feature),
        "params": assignments(param, "-p"),
        "search": search_space(search),
        "trials": trials,
        "max_concurrent": concurrent,
        "metric": metric,
        "mode": mode,
        "model": model,
    }
    start(spec, follow=follow, wait=wait, dry_run=dry_run)


def evaluate(
    models: Annotated[list[str], typer.Argument(metavar="MODEL:VERSION", help="The versions to measure.")],
    data: Data,
    target: Target = "target",
    feature: Features = [],  # noqa: B006
    name: JobName = None,
    follow: Follow = False,
    wait: Wait = False,
    dry_run: DryRun = False,
) -> None:
    """Measure model versions on the same test split of the same data."""
    from ratchet.cli.names import model_version

    chosen = [model_version(text) for text in models]
    spec = {
        **common("evaluate", name, None, None, None, {}),
        "data": _data(data, target, feature),
        "models": [{"name": model, "version": version} for model, version in chosen],
    }
    start(spec, follow=follow, wait=wait, dry_run=dry_run)


def common(
    kind: str, name: str | None, seed: int | None, deadline: int | None, priority: int | None, resources: dict[str, Any]
) -> dict[str, Any]:
    return {
        "kind": kind,
        "name": name,
        "seed": seed,
        "deadline_s": deadline,
        "priority": priority,
        "resources": resources or None,
    }


def _data(uri: str, target: str, features: list[str]) -> dict[str, Any]:
    return {"uri": uri, "target": target, **({"features": features} if features else {})}


def resources(workers: int, cpus: float | None, gpus: float | None, memory_gib: float | None = None) -> dict[str, Any]:
    asked = {
        "workers": workers,
        "cpus_per_worker": cpus,
        "gpus_per_worker": gpus,
        "memory_gib_per_worker": memory_gib,
    }
    return {name: value for name, value in asked.items() if value is not None}


def start(
    spec: dict[str, Any],
    *,
    prepare: Callable[[Client], dict[str, Any]] = lambda ratchet: {},
    follow: bool,
    wait: bool,
    dry_run: bool,
) -> None:
    """Submits a job (what is None is left to the server), and stays with it as asked. `prepare` gives more fields."""
    from ratchet.cli import output
    from ratchet.cli.context import client

    body = {name: value for name, value in spec.items() if value is not None}
    with client() as ratchet:
        body |= prepare(ratchet)
        if dry_run:
            plan = ratchet.jobs.plan(body)
            output.emit(plan, lambda: show_plan(plan))
            return
        job = ratchet.jobs.submit(body)
        output.say(f"Submitted [bold]{job.id}[/bold] ({job.kind}).")
        finish(ratchet, job, follow=follow, wait=wait)


def finish(ratchet: Client, job: Job, *, follow: bool, wait: bool) -> None:
    """Stays with a job as asked, shows it, and fails when it failed."""
    from ratchet.cli import output
    from ratchet.cli.jobs import show_job
    from ratchet.sdk.jobs import raise_for_status

    job = stay(ratchet, job, follow=follow, wait=wait)
    output.emit(job, lambda: show_job(job))
    raise_for_status(job)


def stay(ratchet: Client, job: Job, *, follow: bool, wait: bool) -> Job:
    """The job once it has ended, where that was asked for."""
    from ratchet.cli import output
    from ratchet.cli.follow import follow as follow_job

    if follow:
        return follow_job(ratchet, job)
    if wait:
        return ratchet.jobs.wait(job, check=False)
    output.note(f"Watch it: ratchet jobs follow {job.id}")
    return job


def room(plan: Plan) -> str:
    """What a job takes, and when it can have it."""
    from ratchet.cli import output

    takes = f"{output.number(plan.cpus)} CPUs, {output.number(plan.gpus)} GPUs"
    return f"{takes}; {plan.message or ('It starts now.' if plan.starts_now else 'It waits for room.')}"


def show_plan(plan: Plan) -> None:
    from ratchet.cli import output

    output.fields(
        [
            ("job", plan.kind),
            ("takes", f"{output.number(plan.cpus)} CPUs, {output.number(plan.gpus)} GPUs"),
            ("starts", "now" if plan.starts_now else "when there is room"),
            ("message", plan.message),
            *((name, value) for name, value in plan.params.items()),
        ]
    )
