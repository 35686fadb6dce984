"""`ratchet pipelines`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ratchet.cli import completion, output
from ratchet.cli.app import App
from ratchet.cli.context import client
from ratchet.cli.options import Listing

if TYPE_CHECKING:
    from ratchet.sdk.client import Client
    from ratchet.sdk.resources import Pipeline, PipelineRun

app = App("Pipelines: train, gate, register, deploy, compare, promote; by hand, by schedule or by an alert.")

Name = Annotated[
    str, typer.Argument(metavar="PIPELINE", help="The pipeline's name.", autocompletion=completion.pipelines)
]
RunId = Annotated[str, typer.Argument(metavar="RUN", help="The run's id.")]
Follow = Annotated[bool, typer.Option("--follow", "-f", help="Watch it to its end; the exit status is its result.")]


@app.add("list", "ratchet pipelines list")
def list_pipelines(listed: Listing) -> None:
    """List pipelines."""
    with client() as ratchet:
        found = list(ratchet.pipelines.list(**vars(listed)))
    output.listing(
        found,
        ["PIPELINE", "SCHEDULE", "CREATED"],
        lambda one: [one.name, one.schedule, one.created_at],
        empty="No pipelines yet. The first: ratchet pipelines create -f pipeline.yaml",
        limit=listed.limit,
    )


@app.add("show", "ratchet pipelines show retrain-cancer")
def show(pipeline: Name) -> None:
    """Show a pipeline as it was declared."""
    with client() as ratchet:
        found = ratchet.pipelines.get(pipeline)
    output.emit(found, lambda: show_pipeline(found))


def show_pipeline(pipeline: Pipeline) -> None:
    import yaml

    output.fields(
        [
            ("pipeline", pipeline.name),
            ("schedule", pipeline.schedule),
            ("next run", pipeline.next_run_at),
            ("last run", pipeline.last_run.id if pipeline.last_run else None),
            ("ended", output.status(pipeline.last_run.status) if pipeline.last_run else None),
        ]
    )
    output.heading("Spec")
    output.stdout().print(yaml.safe_dump(pipeline.spec, sort_keys=False).rstrip(), markup=False)


@app.add("create", "ratchet pipelines create -f pipeline.yaml")
def create(
    file: Annotated[str, typer.Option("--file", "-f", metavar="FILE", help="YAML or JSON; - is stdin.")],
) -> None:
    """Create a pipeline from a file; `ratchet schema pipeline` says what it may hold."""
    from ratchet.cli.apply import apply

    apply(file, yes=True)


@app.add("run", "ratchet pipelines run retrain-cancer --follow")
def run(pipeline: Name, follow: Follow = False) -> None:
    """Run a pipeline now."""
    with client() as ratchet:
        started = ratchet.pipelines.run(pipeline)
        output.say(f"Started [bold]{started.id}[/bold].")
        _finish(ratchet, started, follow=follow)


@app.add("follow", "ratchet pipelines follow run-…")
def follow(run: RunId) -> None:
    """Watch a run to its end."""
    with client() as ratchet:
        _finish(ratchet, ratchet.pipelines.get_run(run), follow=True)


def _finish(ratchet: Client, run: PipelineRun, *, follow: bool) -> None:
    from ratchet.sdk.errors import WorkFailed

    if follow:
        told: dict[str, str] = {}
        run = ratchet.pipelines.wait_run(run, on_change=lambda now: _tell(now, told), check=False)
    output.emit(run, lambda: show_run(run))
    if run.status in ("failed", "cancelled"):
        raise WorkFailed(f"Run {run.id} {run.status}. {run.message or ''}".strip(), run)


def _tell(run: PipelineRun, told: dict[str, str]) -> None:
    """Each step whose state changed."""
    for step in run.steps:
        if step.status != "pending" and told.get(step.name) != step.status:
            told[step.name] = step.status
            if not output.options.json:
                output.stderr().print(output.status(step.status), f"[bold]{step.name}[/bold]", step.message or "")


@app.add("cancel", "ratchet pipelines cancel run-…")
def cancel(run: RunId) -> None:
    """Stop a run and what it has under way."""
    with client() as ratchet:
        cancelled = ratchet.pipelines.cancel_run(run)
    output.emit(cancelled, lambda: show_run(cancelled))


@app.add("runs", "ratchet pipelines runs", "ratchet pipelines runs retrain-cancer")
def runs(
    listed: Listing,
    pipeline: Annotated[str | None, typer.Argument(metavar="[PIPELINE]", help="Of this one alone.")] = None,
) -> None:
    """List runs, newest first."""
    with client() as ratchet:
        found = list(ratchet.pipelines.runs(pipeline, **vars(listed)))
    output.listing(
        found,
        ["RUN", "PIPELINE", "TRIGGER", "STATUS", "STEP", "CREATED"],
        lambda one: [
            one.id,
            one.pipeline,
            one.trigger.kind if one.trigger else "",
            output.status(one.status),
            next((step.name for step in one.steps if step.status in ("running", "failed")), ""),
            one.created_at,
        ],
        empty="No runs yet. Run one: ratchet pipelines run PIPELINE --follow",
        limit=listed.limit,
    )


@app.add("show-run", "ratchet pipelines show-run run-…")
def show_one_run(run: RunId) -> None:
    """Show a run and its steps."""
    with client() as ratchet:
        found = ratchet.pipelines.get_run(run)
    output.emit(found, lambda: show_run(found))


def show_run(run: PipelineRun) -> None:
    output.fields(
        [
            ("run", run.id),
            ("pipeline", run.pipeline),
            ("trigger", run.trigger.kind if run.trigger else None),
            ("status", output.status(run.status)),
            ("message", run.message),
        ]
    )
    output.heading("Steps")
    output.table(
        ["STEP", "STATUS", "TOOK", "REF", "MESSAGE"],
        (
            [
                step.name,
                output.status(step.status),
                output.elapsed(step.started_at, step.ended_at),
                f"{step.ref.get('kind')} {step.ref.get('id')}" if isinstance(step.ref, dict) else step.ref,
                step.message,
            ]
            for step in run.steps
        ),
        empty="No steps yet.",
    )
