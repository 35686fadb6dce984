"""`train`, `sweep` and `evaluate`: the common case from flags."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ratchet.cli.app import App

if TYPE_CHECKING:
    from collections.abc import Callable

    from ratchet.sdk.client import Client
    from ratchet.sdk.resources import Job, Plan

PANEL = "Train"
_JOB = "Job options"

ModelName = Annotated[str | None, typer.Option("--model", "-m", help="Register the result as a version of this model.")]


@dataclass(frozen=True)
class Table:
    """What is learned from, or measured on."""

    data: Annotated[str, typer.Option("--data", "-d", metavar="URI", help="A Parquet or CSV URI, or sklearn://NAME.")]
    target: Annotated[str, typer.Option("--target", "-t", help="The column to predict.")] = "target"
    feature: Annotated[
        list[str],
        typer.Option("--feature", metavar="COLUMN", help="A column to learn from (again for more); all others."),
    ] = field(default_factory=list)

    @property
    def spec(self) -> dict[str, Any]:
        return {"uri": self.data, "target": self.target, **({"features": self.feature} if self.feature else {})}


@dataclass(frozen=True)
class Learning:
    """What is trained."""

    recipe: Annotated[str, typer.Option("--recipe", "-r", help="What to train: see `ratchet recipes`.")] = "tabular"
    model: ModelName = None
    param: Annotated[
        list[str], typer.Option("-p", "--param", metavar="NAME=VALUE", help="A parameter of the recipe.")
    ] = field(default_factory=list)

    @property
    def spec(self) -> dict[str, Any]:
        from ratchet.cli.files import assignments

        return {"recipe": self.recipe, "params": assignments(self.param, "-p"), "model": self.model}


@dataclass(frozen=True)
class Room:
    """What a job takes of the cluster, and when. What is not given is left to the server."""

    workers: Annotated[
        int, typer.Option("--workers", "-w", min=1, help="Processes that work together.", rich_help_panel=_JOB)
    ] = 1
    cpus: Annotated[float | None, typer.Option("--cpus", help="CPUs for each worker.", rich_help_panel=_JOB)] = None
    gpus: Annotated[float | None, typer.Option("--gpus", help="GPUs for each worker.", rich_help_panel=_JOB)] = None
    memory: Annotated[
        float | None, typer.Option("--memory", metavar="GIB", help="Memory for each worker.", rich_help_panel=_JOB)
    ] = None
    seed: Annotated[
        int | None, typer.Option("--seed", help="The same seed gives the same result.", rich_help_panel=_JOB)
    ] = None
    deadline: Annotated[
        int | None,
        typer.Option("--deadline", metavar="SECONDS", help="Stop the job after this long.", rich_help_panel=_JOB),
    ] = None
    priority: Annotated[
        int | None, typer.Option("--priority", min=-100, max=100, help="Higher goes first.", rich_help_panel=_JOB)
    ] = None

    @property
    def spec(self) -> dict[str, Any]:
        asked = {"cpus_per_worker": self.cpus, "gpus_per_worker": self.gpus, "memory_gib_per_worker": self.memory}
        given = {name: value for name, value in asked.items() if value is not None}
        resources = {"workers": self.workers, **given}
        return {"resources": resources, "seed": self.seed, "deadline_s": self.deadline, "priority": self.priority}


@dataclass(frozen=True)
class Submission:
    """Its name, and whether one stays with it."""

    name: Annotated[str | None, typer.Option("--name", help="A name for the job.", rich_help_panel=_JOB)] = None
    follow: Annotated[
        bool,
        typer.Option(
            "--follow", "-f", help="Watch it to its end; the exit status is its result.", rich_help_panel=_JOB
        ),
    ] = False
    wait: Annotated[
        bool,
        typer.Option(
            "--wait", help="Wait for its end in silence; the exit status is its result.", rich_help_panel=_JOB
        ),
    ] = False
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Have it checked and planned, and start nothing.", rich_help_panel=_JOB)
    ] = False


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


def train(table: Table, learning: Learning, room: Room, submission: Submission) -> None:
    """Train one model."""
    start({"kind": "train", "data": table.spec, **learning.spec, **room.spec}, submission)


def sweep(
    table: Table,
    search: Annotated[
        list[str], typer.Option("-s", "--search", metavar="NAME=RANGE", help="LOW..HIGH, log:LOW..HIGH or [A,B,C].")
    ],
    learning: Learning,
    room: Room,
    submission: Submission,
    trials: Annotated[int, typer.Option("--trials", "-n", min=1, help="How many to try.")] = 8,
    concurrent: Annotated[int, typer.Option("--concurrent", "-c", min=1, help="How many at once.")] = 2,
    metric: Annotated[str, typer.Option("--metric", help="What to look at.")] = "val/loss",
    mode: Annotated[str, typer.Option("--mode", help="`min` or `max`.")] = "min",
) -> None:
    """Search a recipe's parameters; bad trials are stopped early, the best one is registered."""
    from ratchet.cli.files import search_space

    spec = {
        "kind": "sweep",
        "data": table.spec,
        **learning.spec,
        "search": search_space(search),
        "trials": trials,
        "max_concurrent": concurrent,
        "metric": metric,
        "mode": mode,
        **room.spec,
    }
    start(spec, submission)


def evaluate(
    models: Annotated[list[str], typer.Argument(metavar="MODEL:VERSION", help="The versions to measure.")],
    table: Table,
    submission: Submission,
) -> None:
    """Measure model versions on the same test split of the same data."""
    from ratchet.cli.names import model_version

    chosen = [model_version(text) for text in models]
    versions = [{"name": model, "version": version} for model, version in chosen]
    start({"kind": "evaluate", "data": table.spec, "models": versions}, submission)


def start(
    spec: dict[str, Any],
    submission: Submission,
    *,
    prepare: Callable[[Client], dict[str, Any]] = lambda ratchet: {},
) -> None:
    """Submits a job (what is None is left to the server), and stays with it as asked. `prepare` gives more fields."""
    from ratchet.cli import output
    from ratchet.cli.context import client

    body = {name: value for name, value in {**spec, "name": submission.name}.items() if value is not None}
    with client() as ratchet:
        body |= prepare(ratchet)
        if submission.dry_run:
            plan = ratchet.jobs.plan(body)
            output.emit(plan, lambda: show_plan(plan))
            return
        job = ratchet.jobs.submit(body)
        output.say(f"Submitted [bold]{job.id}[/bold] ({job.kind}).")
        finish(ratchet, job, follow=submission.follow, wait=submission.wait)


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
