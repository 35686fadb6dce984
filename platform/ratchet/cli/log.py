"""`ratchet logs`: the log of a job."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ratchet.cli import completion, output
from ratchet.cli.app import App
from ratchet.cli.context import client

if TYPE_CHECKING:
    from ratchet.sdk.resources import LogEntry

EXAMPLES = ("logs job-… -f", "logs job-… --source rank-3 --level error", "logs job-… --tail 50 --search loss")
STYLES = {"error": "31", "warning": "33", "debug": "2"}
"""By ECMA-48: red, yellow, faint."""


def logs(
    job: Annotated[
        str,
        typer.Argument(metavar="JOB", help="The id, as `ratchet jobs list` shows it.", autocompletion=completion.jobs),
    ],
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the job ends.")] = False,
    source: Annotated[
        str | None, typer.Option("--source", "-s", metavar="NAME", help="Of one process: driver, rank-0, …")
    ] = None,
    level: Annotated[
        str | None, typer.Option("--level", "-l", help="This grave or graver: debug, info, warning, error.")
    ] = None,
    search: Annotated[str | None, typer.Option("--search", metavar="TEXT", help="What holds this text alone.")] = None,
    regex: Annotated[bool, typer.Option("--regex", help="The text is a regular expression.")] = False,
    attempt: Annotated[int | None, typer.Option("--attempt", min=1, help="Of one attempt alone.")] = None,
    tail: Annotated[
        int | None, typer.Option("--tail", metavar="N", min=1, max=5_000, help="Begin with the last N entries.")
    ] = None,
    times: Annotated[bool, typer.Option("--times", "-t", help="Show when each entry was written.")] = False,
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write the whole to a file.")] = None,
) -> None:
    """Print the log of a job: of its driver and of every worker, in the order in which it was written.

    With --json an entry is a line of JSON. Secrets were masked before the log was stored.
    """
    with client() as ratchet:
        if out is not None:
            parts = ratchet.jobs.log_file(job, source=source, level=level, search=search, regex=regex, attempt=attempt)
            with out.open("w", encoding="utf-8") as file:
                file.writelines(parts)
            output.say(f"Written to {out}.")
            return
        entries = ratchet.jobs.logs(
            job,
            follow=follow,
            source=source,
            level=level,
            search=search,
            regex=regex,
            attempt=attempt,
            tail=tail,
        )
        styled = output.styled(sys.stdout)
        for entry in entries:
            sys.stdout.write(f"{_json(entry) if output.options.json else _line(entry, source, times, styled)}\n")
            sys.stdout.flush()


def add_to(app: App) -> None:
    app.add("logs", *(f"ratchet {example}" for example in EXAMPLES), panel="Train")(logs)


def _json(entry: LogEntry) -> str:
    import json

    return json.dumps(entry.dump(), ensure_ascii=False)


def _line(entry: LogEntry, source: str | None, times: bool, styled: bool) -> str:
    """Whose it is stands before it, unless one process alone was asked for."""
    head = f"{entry.time:%Y-%m-%d %H:%M:%S} " if times and entry.time is not None else ""
    head += "" if source else f"{entry.source} | "
    text = entry.text.replace("\n", "\n" + " " * len(head))
    style = STYLES.get(entry.level) if styled else None
    return f"{head}\x1b[{style}m{text}\x1b[0m" if style else head + text
