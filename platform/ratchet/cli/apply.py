"""`apply`: make what is as a file says it should be."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ratchet.cli import output
from ratchet.cli.app import App, is_interactive

if TYPE_CHECKING:
    from ratchet.cli.files import Document
    from ratchet.sdk.client import Client
    from ratchet.sdk.resources import Kind, Resource


def add_to(app: App) -> None:
    app.add("apply", "ratchet apply -f train.yaml --follow", "ratchet apply -f everything.yaml --yes", panel="Files")(
        apply
    )


@dataclass
class Step:
    """One document, and what applying it would do."""

    document: Document
    kind: Kind
    plan: Any
    """A `Plan` of a job, a `DocumentPlan` of anything else."""

    @property
    def action(self) -> str:
        return "run" if self.kind.job else str(self.plan.action)

    @property
    def name(self) -> str:
        return str(self.document.data.get("name") or "")

    def dump(self) -> dict[str, Any]:
        return {"kind": self.kind.kind, "name": self.name, "action": self.action, "plan": self.plan.dump()}


def apply(
    file: Annotated[str, typer.Option("--file", "-f", metavar="FILE", help="YAML or JSON; - is stdin.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    follow: Annotated[bool, typer.Option("--follow", help="Watch to the end; the exit status is the result.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the end in silence.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and do nothing.")] = False,
) -> None:
    """Do what a file says: run a job; create or change an endpoint, a monitor, a pipeline and so on.

    `kind` says what it is; `ratchet schema` lists the kinds, `ratchet init` writes a file to begin with. A file may
    hold several documents, with `---` between them. All are checked, and what would change is shown, before anything is
    done; then they are done in order, and the first that ends badly ends it with its exit status.
    """
    from ratchet.cli.context import client
    from ratchet.cli.files import read

    documents = read(file)
    with client() as ratchet:
        steps = _plan(ratchet, documents)
        if dry_run:
            output.emit(steps, lambda: _show(steps, output.stdout().print))
            return
        _show(steps, output.say)
        if all(step.action == "none" for step in steps):
            output.say("There is nothing to do.")
            output.emit_json([])
            return
        if not yes and is_interactive():
            typer.confirm("Go on?", default=True, abort=True, err=True)
        done: list[Resource | dict[str, Any]] = []
        try:
            for step in steps:
                if step.action != "none":
                    _do(ratchet, step, done.append, follow=follow, wait=follow or wait)
        finally:
            output.emit_json(done)


def _plan(ratchet: Client, documents: list[Document]) -> list[Step]:
    """Each document after the server's checks. The kinds of all are looked at before anything else is asked."""
    known = {kind.kind: kind for kind in ratchet.documents.kinds()}
    kinds = [_kind(document, known) for document in documents]
    rest = [document for document, kind in zip(documents, kinds, strict=True) if not kind.job]
    steps = []
    with _explained(ratchet, rest):
        plans = iter(ratchet.documents.plan(*(document.data for document in rest)) if rest else [])
    for document, kind in zip(documents, kinds, strict=True):
        if kind.job:
            with _explained(ratchet, [document]):
                steps.append(Step(document, kind, ratchet.jobs.plan(document.data)))
        else:
            steps.append(Step(document, kind, next(plans)))
    return steps


@contextmanager
def _explained(ratchet: Client, documents: list[Document]) -> Iterator[None]:
    """What the server refuses, with the lines of what is wrong: in the one document, or in that which pointers name."""
    from ratchet.sdk.errors import RatchetError

    try:
        yield
    except RatchetError as error:
        if not error.errors:
            raise
        match = re.match(r"/documents/(\d+)", error.errors[0].pointer)
        document = documents[int(match[1])] if match else documents[0]
        raise document.explain(error, _words(ratchet, document), prefix=match[0] if match else "") from error


def _kind(document: Document, known: dict[str, Kind]) -> Kind:
    from ratchet.cli.errors import UsageError
    from ratchet.cli.files import did_you_mean

    where = f"{document.file}:{document.line('/kind')}"
    kind = document.data.get("kind")
    kinds = ", ".join(known)
    if kind is None:
        raise UsageError(f"{where}: `kind` is missing.", hint=f"Write one of: {kinds}.")
    if kind not in known:
        raise UsageError(
            f"{where}: there is no kind {kind!r}.{did_you_mean(str(kind), list(known))}", hint=f"Kinds: {kinds}."
        )
    return known[kind]


def _words(ratchet: Client, document: Document) -> list[str]:
    """Every field name that a document of its kind knows: what a misspelt one may have meant."""
    from ratchet.sdk.errors import RatchetError

    try:
        found = ratchet.documents.schema(str(document.data["kind"]))
    except RatchetError:
        return []
    parts = [found, *found.get("definitions", {}).values()]
    return sorted({name for part in parts for name in part.get("properties", {})})


_SIGNS = {
    "run": "[green]+[/green] run",
    "create": "[green]+[/green] create",
    "update": "[yellow]~[/yellow] change",
    "none": "[dim]=[/dim] keep",
}


def _show(steps: list[Step], write: Callable[[str], None]) -> None:
    from rich.markup import escape

    for step in steps:
        what = f"{_SIGNS.get(step.action, step.action)} {step.kind.kind} [bold]{escape(step.name)}[/bold]"
        if step.kind.job:
            from ratchet.cli.train import room

            write(f"{what}  [dim]{escape(room(step.plan))}[/dim]")
            continue
        write(what)
        for one in step.plan.differences:
            write(f"    {escape(one.field)}  {escape(_brief(one.before))} → {escape(_brief(one.after))}")


def _brief(value: Any, limit: int = 60) -> str:
    import json

    text = "none" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _do(ratchet: Client, step: Step, done: Callable[[Any], None], *, follow: bool, wait: bool) -> None:
    """Does it, stays with it as asked, shows it, and tells what became of it; fails when that failed."""
    from ratchet.cli import train
    from ratchet.cli.jobs import show_job
    from ratchet.sdk.jobs import raise_for_status

    if step.kind.job:
        job = ratchet.jobs.submit(step.document.data)
        output.say(f"Submitted [bold]{job.id}[/bold] ({job.kind}).")
        job = train.stay(ratchet, job, follow=follow, wait=wait)
        done(job)
        output.show(job, lambda: show_job(job))
        raise_for_status(job)
        return
    made = ratchet.documents.apply(step.plan)
    read, stay, draw = _forms().get(step.kind.kind, (dict, None, lambda found: output.fields(found.items())))
    thing = read(made)
    if stay is not None:
        thing = stay(ratchet, thing, wait=wait)
    done(thing)
    output.show(thing, lambda: draw(thing))


Form = tuple[Callable[[Any], Any], Callable[..., Any] | None, Callable[[Any], None]]


def _forms() -> dict[str, Form]:
    """How a thing of each kind is read, waited for and shown."""
    from ratchet.cli import abtests, endpoints, monitors, pipelines
    from ratchet.sdk import resources

    return {
        "endpoint": (resources.Endpoint.model_validate, endpoints.stay, endpoints.show_endpoint),
        "abtest": (resources.ABTest.model_validate, abtests.stay, abtests.show_abtest),
        "monitor": (resources.Monitor.model_validate, None, monitors.show_monitor),
        "pipeline": (resources.Pipeline.model_validate, None, pipelines.show_pipeline),
    }
