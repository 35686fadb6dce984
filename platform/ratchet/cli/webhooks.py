"""`ratchet webhooks`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ratchet.cli import output
from ratchet.cli.app import App
from ratchet.cli.context import client
from ratchet.cli.options import Listing

if TYPE_CHECKING:
    from ratchet.sdk.resources import Webhook

app = App("Webhooks: the project's events, sent to an address of yours.")

Name = Annotated[str, typer.Argument(metavar="WEBHOOK", help="The webhook's name.")]
Events = Annotated[
    list[str] | None, typer.Option("--event", "-e", help="Such as job.failed, job.* or *; more than once for more.")
]


@app.add("list", "ratchet webhooks list")
def list_webhooks(listed: Listing) -> None:
    """List webhooks."""
    with client() as ratchet:
        found = list(ratchet.webhooks.list(**vars(listed)))
    output.listing(
        found,
        ["WEBHOOK", "URL", "EVENTS", "STATUS", "FAILURES"],
        lambda one: [one.name, one.url, ", ".join(one.events), _state(one), one.failures],
        empty="No webhooks yet. The first: ratchet webhooks create NAME https://…",
        limit=listed.limit,
    )


@app.add("create", "ratchet webhooks create chat https://hooks.example.com/x -e job.failed -e 'alert.*'")
def create(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="https://…")],
    event: Events = None,
) -> None:
    """Make a webhook. Its secret is printed once, to stdout, and cannot be had again."""
    with client() as ratchet:
        made = ratchet.webhooks.create(name, address, events=event or ["*"])
    _print_secret(made, f"Webhook {made.name} is made. Keep its secret now: it is not shown again.")


@app.add("change", "ratchet webhooks change chat --enable", "ratchet webhooks change chat -e 'job.*'")
def change(
    webhook: Name,
    to: Annotated[str | None, typer.Option("--to", metavar="ADDRESS", help="https://…")] = None,
    event: Events = None,
    enable: Annotated[bool | None, typer.Option("--enable/--disable", help="Send to it, or not.")] = None,
) -> None:
    """Change where it sends, what, or whether."""
    given = {"url": to, "events": event, "enabled": enable}
    with client() as ratchet:
        made = ratchet.webhooks.change(webhook, **{name: value for name, value in given.items() if value is not None})
    output.emit(made, lambda: output.say(f"{made.name} is {_state(made)} and sends {', '.join(made.events)}."))


@app.add("rotate", "ratchet webhooks rotate chat")
def rotate(webhook: Name) -> None:
    """Make a new secret and print it; for a day the one before signs too."""
    with client() as ratchet:
        made = ratchet.webhooks.rotate(webhook)
    _print_secret(made, f"Webhook {made.name} has a new secret. Keep it now: it is not shown again.")


@app.add("test", "ratchet webhooks test chat")
def send_test(webhook: Name) -> None:
    """Send it an event of its own."""
    with client() as ratchet:
        sent = ratchet.webhooks.test(webhook)
    output.emit(sent, lambda: output.say(f"{sent.id} is on its way: ratchet webhooks deliveries {webhook}"))


@app.add("deliveries", "ratchet webhooks deliveries chat --filter 'status = \"dead\"'")
def deliveries(webhook: Name, listed: Listing) -> None:
    """List what was sent and what became of it."""
    with client() as ratchet:
        found = list(ratchet.webhooks.deliveries(webhook, **vars(listed)))
    output.listing(
        found,
        ["ID", "EVENT", "ACTION", "STATUS", "ATTEMPTS", "ANSWER", "NEXT"],
        lambda one: [one.id, one.event, one.action, output.status(one.status), one.attempts, one.message, one.due_at],
        empty="Nothing was sent yet.",
        limit=listed.limit,
    )


@app.add("redeliver", "ratchet webhooks redeliver chat dlv-…")
def redeliver(webhook: Name, delivery: Annotated[str, typer.Argument(metavar="ID")]) -> None:
    """Send an event again."""
    with client() as ratchet:
        sent = ratchet.webhooks.redeliver(webhook, delivery)
    output.emit(sent, lambda: output.say(f"{sent.id} is on its way."))


@app.add("delete", "ratchet webhooks delete chat")
def delete(webhook: Name) -> None:
    """Delete a webhook with its deliveries."""
    with client() as ratchet:
        ratchet.webhooks.delete(webhook)
    output.emit({"name": webhook, "status": "deleted"}, lambda: output.say(f"{webhook} is deleted."))


def _state(webhook: Webhook) -> str:
    return "enabled" if webhook.enabled else f"disabled {webhook.reason}".strip()


def _print_secret(made: Webhook, message: str) -> None:
    output.say(message)
    if output.options.json:
        output.print_json(made)
    else:
        typer.echo(made.secret)
