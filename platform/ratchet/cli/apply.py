"""`apply`: anything from a file; and `schema`: what such a file may hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ratchet.cli import output
from ratchet.cli.app import App, is_interactive

if TYPE_CHECKING:
    from ratchet.cli.files import Document
    from ratchet.sdk.client import Client

JOB_KINDS = ("train", "sweep", "evaluate", "drift_check", "batch_prediction", "custom")
SERVER_SCHEMAS = {
    "endpoint": "NewEndpoint",
    "abtest": "NewABTest",
    "monitor": "NewMonitor",
    "pipeline": "NewPipeline",
}
KINDS = (*JOB_KINDS, *SERVER_SCHEMAS)


def add_to(app: App) -> None:
    app.add("apply", "ratchet apply -f train.yaml --follow", "ratchet apply -f everything.yaml --yes", panel="Train")(
        apply
    )
    app.add("schema", "ratchet schema train > train.schema.json", "ratchet schema", panel="Train")(schema)


def apply(
    file: Annotated[str, typer.Option("--file", "-f", metavar="FILE", help="YAML or JSON; - is stdin.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    follow: Annotated[bool, typer.Option("--follow", help="Watch to the end; the exit status is the result.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the end in silence.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and do nothing.")] = False,
) -> None:
    """Do what a file says: run a job; create or change an endpoint, a test, a monitor or a pipeline.

    `kind` says what it is: a job (train, sweep, evaluate, drift_check, batch_prediction, custom), an endpoint, an
    abtest, a monitor or a pipeline. A file may hold several, with `---` between them. What will be done is shown first.
    """
    from ratchet.cli.context import client
    from ratchet.cli.files import read
    from ratchet.sdk.errors import Invalid

    documents = read(file)
    for document in documents:
        _kind(document)
    with client() as ratchet:
        for document in documents:
            kind, body = _kind(document), _body(document)
            try:
                _plan(ratchet, kind, body)
                if dry_run:
                    continue
                if not yes and is_interactive():
                    typer.confirm("Go on?", default=True, abort=True, err=True)
                _do(ratchet, kind, body, follow=follow, wait=wait)
            except Invalid as error:
                raise document.explain(error, _words(ratchet, kind)) from error


def _kind(document: Document) -> str:
    from ratchet.cli.errors import UsageError
    from ratchet.cli.files import did_you_mean

    where = f"{document.file}:{document.line('/kind')}"
    kind = document.data.get("kind")
    if kind is None:
        raise UsageError(f"{where}: `kind` is missing.", hint=f"Write one of: {', '.join(KINDS)}.")
    if kind not in KINDS:
        raise UsageError(
            f"{where}: there is no kind {kind!r}.{did_you_mean(str(kind), list(KINDS))}",
            hint=f"Kinds: {', '.join(KINDS)}.",
        )
    return str(kind)


def _body(document: Document) -> dict[str, Any]:
    """What the API takes: the kind is in the address, except for jobs."""
    if document.data["kind"] in JOB_KINDS:
        return document.data
    return {name: value for name, value in document.data.items() if name != "kind"}


def _plan(ratchet: Client, kind: str, body: dict[str, Any]) -> None:
    """Says what will be done; jobs and their parameters are checked by the server."""
    from ratchet.sdk.errors import NotFound

    name = body.get("name") or ""
    if kind in JOB_KINDS:
        plan = ratchet.jobs.plan(body)
        when = "starts now" if plan.starts_now else "waits for room"
        takes = f"{output.number(plan.cpus)} CPUs, {output.number(plan.gpus)} GPUs"
        output.say(f"[green]+[/green] run a [bold]{kind}[/bold] job {name}  [dim]({takes}; {when})[/dim]")
        if plan.message:
            output.say(f"    [dim]{plan.message}[/dim]")
        return
    if kind == "endpoint":
        try:
            current = ratchet.endpoints.get(str(name))
        except NotFound:
            output.say(f"[green]+[/green] create endpoint [bold]{name}[/bold]")
        else:
            output.say(f"[yellow]~[/yellow] change endpoint [bold]{name}[/bold]")
            _variant_changes(current.variants, body.get("variants") or [])
        return
    output.say(f"[green]+[/green] create {kind} [bold]{name}[/bold]")


def _variant_changes(current: Any, wanted: Any) -> None:
    before = {one.name: f"{one.model}:{one.alias or one.version} {output.percent(one.weight)}" for one in current}
    after = {
        one.get(
            "name"
        ): f"{one.get('model')}:{one.get('version') or one.get('alias')} {output.percent(one.get('weight', 1))}"
        for one in wanted
        if isinstance(one, dict)
    }
    for name in {**before, **after}:
        old, new = before.get(name), after.get(name)
        if old == new:
            output.say(f"    [dim]= {name}  {old}[/dim]")
        else:
            output.say(f"    {name}  {old or '[dim]none[/dim]'} → {new or '[dim]none[/dim]'}")


def _do(ratchet: Client, kind: str, body: dict[str, Any], *, follow: bool, wait: bool) -> None:
    from ratchet.cli import abtests, endpoints, monitors, pipelines, train

    if kind in JOB_KINDS:
        job = ratchet.jobs.submit(body)
        output.say(f"Submitted [bold]{job.id}[/bold] ({job.kind}).")
        train.finish(ratchet, job, follow=follow, wait=wait)
    elif kind == "endpoint":
        endpoints.finish(ratchet, ratchet.endpoints.apply(body), wait=follow or wait)
    elif kind == "abtest":
        abtests.finish(ratchet, ratchet.abtests.create(body), wait=follow or wait)
    elif kind == "monitor":
        monitor = ratchet.monitors.create(body)
        output.emit(monitor, lambda: monitors.show_monitor(monitor))
    else:
        pipeline = ratchet.pipelines.create(body)
        output.emit(pipeline, lambda: pipelines.show_pipeline(pipeline))
        output.note(f"Run it: ratchet pipelines run {pipeline.name} --follow")


def _words(ratchet: Client, kind: str) -> list[str]:
    """Every field name that a spec of this kind knows: what a misspelt one may have meant."""
    from ratchet.sdk.errors import RatchetError

    try:
        found = _schema(ratchet, kind)
    except RatchetError:
        return []
    parts = [found, *found.get("$defs", {}).values()]
    return sorted({name for part in parts for name in part.get("properties", {})})


def schema(
    kind: Annotated[str | None, typer.Argument(metavar="[KIND]", help=", ".join(KINDS))] = None,
) -> None:
    """Print the JSON schema of a spec, for editors and checks; without a kind, that of any job.

    In an editor with the YAML language server, begin the file with `# yaml-language-server: $schema=train.schema.json`.
    """
    from ratchet.cli.context import client
    from ratchet.cli.errors import UsageError
    from ratchet.cli.files import did_you_mean

    if kind is not None and kind not in KINDS:
        raise UsageError(
            f"There is no kind {kind!r}.{did_you_mean(kind, list(KINDS))}", hint=f"Kinds: {', '.join(KINDS)}."
        )
    if kind is None or kind in JOB_KINDS:
        output.print_json(_job_schema(kind))
        return
    with client() as ratchet:
        output.print_json(_schema(ratchet, kind))


def _job_schema(kind: str | None) -> dict[str, Any]:
    from pydantic import TypeAdapter

    from ratchet_pipelines import spec

    models: dict[str, Any] = {
        "train": spec.Train,
        "sweep": spec.Sweep,
        "evaluate": spec.Evaluate,
        "drift_check": spec.DriftCheck,
        "batch_prediction": spec.BatchPrediction,
        "custom": spec.Custom,
    }
    adapter: TypeAdapter[Any] = TypeAdapter(spec.JobSpec if kind is None else models[kind])
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **adapter.json_schema()}


def _schema(ratchet: Client, kind: str) -> dict[str, Any]:
    """The schema of one kind: jobs' are in the contract, the others' are the server's own."""
    return _job_schema(kind) if kind in JOB_KINDS else ratchet.schema(SERVER_SCHEMAS[kind])
