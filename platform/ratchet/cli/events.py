"""`ratchet events`: the audit log."""

from __future__ import annotations

from typing import Annotated

import typer

from ratchet.cli import output
from ratchet.cli.app import App
from ratchet.cli.context import client
from ratchet.cli.options import Listing

app = App("The audit log: who did what to what, and proof that nobody changed it since.")


@app.add("list", "ratchet events list", "ratchet events list --action job.submitted", "ratchet events list --all")
def list_events(
    listed: Listing,
    target: Annotated[str | None, typer.Option("--target", help="What happened to this alone (an id).")] = None,
    action: Annotated[str | None, typer.Option("--action", help="Of this kind alone, such as job.submitted.")] = None,
    everywhere: Annotated[bool, typer.Option("--all", help="Of all projects; for administrators.")] = False,
) -> None:
    """Show the audit log, newest first."""
    with client() as ratchet:
        events = ratchet.events.list_all if everywhere else ratchet.events.list
        found = list(events(target=target, action=action, **vars(listed)))
    output.listing(
        found,
        ["AT", *(["PROJECT"] if everywhere else []), "WHO", "ACTION", "TARGET", "MESSAGE"],
        lambda one: [
            one.at,
            *([one.project] if everywhere else []),
            one.actor,
            one.action,
            one.target.id if one.target else "",
            one.message,
        ],
        empty="Nothing has happened yet.",
        limit=listed.limit,
    )


@app.add("verify", "ratchet events verify", "ratchet events verify --anchor 1042:9f86d0…")
def verify(
    anchor: Annotated[
        str,
        typer.Option("--anchor", metavar="ANCHOR", help="What an earlier check printed: it must still hold."),
    ] = "",
) -> None:
    """Check that no entry of the audit log was changed, taken out or put in; the exit status is 0 when none was.

    Keep the anchor that is printed where the platform can't write: the next check with it also shows whether the end of
    the log was cut off.
    """
    from ratchet.sdk.errors import WorkFailed

    with client() as ratchet:
        found = ratchet.events.verify(anchor)
    output.emit(
        found,
        lambda: output.fields(
            [
                ("entries", found.checked),
                ("not sealed yet", found.pending or None),
                ("under an old date", found.backdated or None),
                ("anchor", found.anchor),
            ]
        ),
    )
    if found.broken is not None:
        where = f"entry {found.broken.seq}" if found.broken.seq else f"event {found.broken.event_id}"
        raise WorkFailed(f"The audit log is broken at {where} ({found.broken.kind}): {found.broken.message}", found)
