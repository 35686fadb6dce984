"""`ratchet webhooks`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ratchet.cli import output
from ratchet.cli.app import App
from ratchet.cli.context import client
from ratchet.cli.options import LIMIT, Filter, Limit, OrderBy

if TYPE_CHECKING:
    from ratchet.sdk.resources import Webhook

app = App("Webhooks: the project's events, sent to an address of yours.")

Name = Annotated[str, typer.Argument(metavar="WEBHOOK", help="The webhook's name.")]
Events = Annotated[
    list[str] | None, typer.Option("--event", "-e", help="Such as job.failed, job.* or *; more than once for more.")
]


@app.add("list", "ratchet webhooks list")
def list_webhooks(filter: Filter = None, order_by: OrderBy = None, limit: Limit = LIMIT) -> None:
    """List webhooks."""
    with client() as ratchet:
        found = list(ratchet.webhooks.list(filter=filter, order_by=order_by, limit=limit))
    output.emit(
        found,
        lambda: output.table(
            ["WEBHOOK", "URL", "EVENTS", "STATUS", "FAILURES"],
            ([one.name, one.url, ", ".join(one.events), _state(one), one.failures] for one in found),
            empty="No webhooks yet. The first: ratchet webhooks create NAME https://…",
        ),
    )
    output.cut(found, limit)


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
def deliveries(webhook: Name, filter: Filter = None, limit: Limit = LIMIT) -> None:
    """List what was sent and what became of it."""
    with client() as ratchet:
        found = list(ratchet.webhooks.deliveries(webhook, filter=filter, limit=limit))
    output.emit(
        found,
        lambda: output.table(
            ["ID", "EVENT", "ACTION", "STATUS", "ATTEMPTS", "ANSWER", "NEXT"],
            (
                [one.id, one.event, one.action, output.status(one.status), one.attempts, one.message, one.due_at]
                for one in found
            ),
            empty="Nothing was sent yet.",
        ),
    )
    output.cut(found, limit)


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
