"""`ratchet jobs`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ratchet.cli import completion, log, output
from ratchet.cli.app import App
from ratchet.cli.context import client
from ratchet.cli.options import Listing

if TYPE_CHECKING:
    from ratchet.sdk.resources import Failure, Job, Trial

BASES = {"history": "how long past jobs of its kind took", "deadline": "deadlines, so it may be much earlier"}

app = App("Jobs: train, sweep, evaluate, drift check.")

JobId = Annotated[
    str, typer.Argument(metavar="JOB", help="The id, as `ratchet jobs list` shows it.", autocompletion=completion.jobs)
]


@app.add("list", "ratchet jobs list --status running", "ratchet jobs list --kind train --json")
def list_jobs(
    listed: Listing,
    status: Annotated[str | None, typer.Option("--status", help="Of this status alone.")] = None,
    kind: Annotated[str | None, typer.Option("--kind", help="Of this kind alone.")] = None,
) -> None:
    """List jobs, newest first."""
    with client() as ratchet:
        jobs = list(ratchet.jobs.list(status=status, kind=kind, **vars(listed)))
    output.emit(jobs, lambda: _table(jobs))
    output.cut(jobs, listed.limit)


def _table(jobs: list[Job]) -> None:
    output.table(
        ["ID", "KIND", "NAME", "STATUS", "TOOK", "CREATED", "MODEL", "MESSAGE"],
        (
            [
                job.id,
                job.kind,
                _own_name(job),
                output.status(job.status),
                output.elapsed(job.started_at, job.ended_at),
                job.created_at,
                f"{job.model.name}:{job.model.version}" if job.model and job.model.version else "",
                job.message,
            ]
            for job in jobs
        ),
        empty="No jobs yet. The first: ratchet train --data sklearn://breast_cancer --model cancer --follow",
    )


def _own_name(job: Job) -> str | None:
    """The name that was given; without one the API repeats the id."""
    return None if job.name == job.id else job.name


@app.add("show", "ratchet jobs show job-…", "ratchet jobs show job-… --json")
def show(job: JobId) -> None:
    """Show one job: its state, why, and what came out."""
    with client() as ratchet:
        found = ratchet.jobs.get(job)
    output.emit(found, lambda: show_job(found))


def show_job(job: Job) -> None:
    output.fields(
        [
            ("job", job.id),
            ("kind", job.kind),
            ("name", _own_name(job)),
            ("status", output.status(job.status)),
            ("reason", job.reason),
            ("message", job.message),
            ("model", f"{job.model.name}:{job.model.version}" if job.model and job.model.version else None),
            ("took", output.elapsed(job.started_at, job.ended_at)),
            ("created", job.created_at),
            ("by", job.created_by),
            ("attempts", len(job.attempts) if len(job.attempts) > 1 else None),
            ("Ray job", job.attempts[-1].submission_id if job.attempts else None),
            ("MLflow run", job.mlflow_url or job.run_id),
            *((name, value) for name, value in sorted(job.metrics.items())),
        ]
    )
    if job.failure is not None:
        _failure(job.failure)


def _failure(failure: Failure) -> None:
    output.heading("Why it failed")
    output.fields(
        [
            ("error", failure.error),
            ("rank", failure.rank),
            ("exit status", failure.exit_code),
            ("what to do", failure.suggestion),
        ]
    )
    if failure.log_tail:
        output.heading("The end of its log")
        output.stdout().print(failure.log_tail, markup=False, highlight=False)


@app.add("why", "ratchet jobs why job-…")
def why(job: JobId) -> None:
    """Say why a job waits, its place in the queue, and when it will start."""
    with client() as ratchet:
        found = ratchet.jobs.explain_wait(job)
    output.emit(
        found,
        lambda: output.fields(
            [
                ("waits", "yes" if found.waiting else "no"),
                ("place", found.position or None),
                ("message", found.message),
                ("starts", found.predicted_start_at),
                ("predicted by", BASES.get(found.predicted_start_basis or "")),
                ("behind", ", ".join(found.blocked_by) or None),
            ]
        ),
    )


@app.add("follow", "ratchet jobs follow job-…")
def follow(job: JobId) -> None:
    """Watch a job to its end: state, curves and log. Ctrl-C leaves the view, not the job."""
    from ratchet.cli.train import finish

    with client() as ratchet:
        finish(ratchet, ratchet.jobs.get(job), follow=True, wait=False)


@app.add("wait", "ratchet jobs wait job-… --timeout 600")
def wait(
    job: JobId,
    timeout: Annotated[
        float | None, typer.Option("--timeout", metavar="SECONDS", help="Wait at most this long.")
    ] = None,
) -> None:
    """Wait for a job to end; the exit status is 0 when it succeeded and 7 when not."""
    from ratchet.sdk.jobs import raise_for_status

    with client() as ratchet:
        ended = ratchet.jobs.wait(job, timeout=timeout, check=False)
    output.emit(ended, lambda: show_job(ended))
    raise_for_status(ended)


@app.add("cancel", "ratchet jobs cancel job-…")
def cancel(
    jobs: Annotated[list[str], typer.Argument(metavar="JOB", help="One id or more.", autocompletion=completion.jobs)],
) -> None:
    """Stop jobs: a queued one at once, a running one after a last checkpoint."""
    with client() as ratchet:
        cancelled = [ratchet.jobs.cancel(job) for job in jobs]
    output.emit(cancelled, lambda: _table(cancelled))


@app.add("clone", "ratchet jobs clone job-… --set seed=7 --set params.epochs=20 --follow")
def clone(
    job: JobId,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="FIELD=VALUE", help="A field of the spec and its value; null for its default."),
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Watch it to its end.")] = False,
) -> None:
    """Submit a job's spec anew, with changes."""
    from ratchet.cli.files import assignments
    from ratchet.cli.train import finish

    patch = _patch(assignments(changes or [], "--set"))
    with client() as ratchet:
        made = ratchet.jobs.clone(job, patch)
        output.say(f"Submitted [bold]{made.id}[/bold], a clone of {job}.")
        finish(ratchet, made, follow=follow, wait=False)


def _patch(changes: dict[str, Any]) -> dict[str, Any]:
    """`{"params.epochs": 20}` as `{"params": {"epochs": 20}}`."""
    patch: dict[str, Any] = {}
    for path, value in changes.items():
        *parents, name = path.split(".")
        within = patch
        for parent in parents:
            within = within.setdefault(parent, {})
        within[name] = value
    return patch


@app.add("retry", "ratchet jobs retry job-… --follow")
def retry(
    job: JobId,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Watch it to its end.")] = False,
) -> None:
    """Submit a job that failed or was cancelled anew: training goes on from its last checkpoint."""
    from ratchet.cli.train import finish

    with client() as ratchet:
        made = ratchet.jobs.retry(job)
        output.say(f"Submitted [bold]{made.id}[/bold], a retry of {job}.")
        finish(ratchet, made, follow=follow, wait=False)


app.add("logs", *(f"ratchet jobs {example}" for example in log.EXAMPLES))(log.logs)


@app.add("metrics", "ratchet jobs metrics job-…", "ratchet jobs metrics job-… --json")
def metrics(job: JobId) -> None:
    """Show a job's metrics: first, last and best value, and their course."""
    with client() as ratchet:
        series = ratchet.jobs.metrics(job)

    def rows() -> Any:
        for one in series:
            values = [point.value for point in one.points if point.value is not None]
            if values:
                yield [one.name, values[0], values[-1], min(values), max(values), len(values), output.sparkline(values)]

    output.emit(
        series,
        lambda: output.table(
            ["METRIC", ">FIRST", ">LAST", ">LOWEST", ">HIGHEST", ">POINTS", "COURSE"],
            rows(),
            empty="No metrics yet: they come with the first epoch.",
        ),
    )


@app.add("trials", "ratchet jobs trials job-…")
def trials(job: JobId) -> None:
    """Show the trials of a sweep; the best is marked."""
    with client() as ratchet:
        found = list(ratchet.jobs.trials(job))
    output.emit(found, lambda: _trials(found))


def _trials(trials: list[Trial]) -> None:
    params = sorted({name for trial in trials for name in trial.params})
    metrics = sorted({name for trial in trials for name in trial.metrics})[:6]
    output.table(
        ["", "TRIAL", "STATUS", *params, *(f">{name}" for name in metrics)],
        (
            [
                "★" if trial.best else "",
                trial.run_id[:8],
                output.status(trial.status.lower()),
                *(trial.params.get(name) for name in params),
                *(output.number(trial.metrics.get(name)) for name in metrics),
            ]
            for trial in trials
        ),
        empty="No trials yet.",
    )
