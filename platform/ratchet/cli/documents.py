"""`schema` and `init`: what a file for `ratchet apply` may hold, and one to begin with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ratchet.cli import output
from ratchet.cli.app import App


def add_to(app: App) -> None:
    app.add("init", "ratchet init train", "ratchet init endpoint -o cancer.yaml", panel="Files")(init)
    app.add("schema", "ratchet schema", "ratchet schema train > train.schema.json", panel="Files")(schema)


def schema(
    kind: Annotated[str | None, typer.Argument(metavar="[KIND]", help="The kind; `any` for all in one.")] = None,
) -> None:
    """List the kinds of documents, or print the JSON schema of one.

    The schemas are of draft 07. The API serves them at /schemas/KIND.json, where an editor with the YAML language
    server finds them when a file begins as `ratchet init` writes it.
    """
    from ratchet.cli.context import client

    with client() as ratchet:
        if kind is not None:
            output.print_json(ratchet.documents.schema(kind))
            return
        kinds, where = ratchet.documents.kinds(), ratchet.connection.url
    output.emit(
        kinds,
        lambda: output.table(
            ["KIND", "SCHEMA", "WHAT IT IS"],
            ([one.kind, f"{where}{one.schema_url}", one.summary] for one in kinds),
            empty="No kinds.",
        ),
    )


def init(
    kind: Annotated[str, typer.Argument(metavar="[KIND]", help="As `ratchet schema` lists them.")] = "train",
    out: Annotated[
        str | None, typer.Option("--output", "-o", metavar="FILE", help="KIND.yaml by default; - is stdout.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
) -> None:
    """Write a file to begin with, for `ratchet apply`.

    Its first line tells an editor with the YAML language server where the schema is: fields are completed, described
    and checked as they are typed.
    """
    from ratchet.cli.errors import UsageError
    from ratchet.cli.files import did_you_mean
    from ratchet.cli.templates import TEMPLATES
    from ratchet.sdk.config import resolve

    if kind not in TEMPLATES:
        raise UsageError(
            f"There is no template of kind {kind!r}.{did_you_mean(kind, list(TEMPLATES))}",
            hint=f"Templates: {', '.join(TEMPLATES)}.",
        )
    chosen = output.options
    address = resolve(chosen.url, None, chosen.project, chosen.token_file).url
    text = f"# yaml-language-server: $schema={address}/schemas/{kind}.json\n{TEMPLATES[kind]}"
    if out == "-":
        typer.echo(text, nl=False)
        return
    path = Path(out or f"{kind}.yaml")
    try:
        with path.open("w" if force else "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise UsageError(f"{path} is there already.", hint="--force writes over it; -o names another file.") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror or error}") from error
    output.emit({"kind": kind, "file": str(path)}, lambda: output.say(f"Wrote {path}."))
    output.note(f"See what it would do: ratchet apply -f {path} --dry-run")
