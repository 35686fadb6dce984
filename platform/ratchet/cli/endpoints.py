"""`ratchet endpoints`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ratchet.cli import completion, output
from ratchet.cli.app import App, is_interactive
from ratchet.cli.context import client
from ratchet.cli.options import Listing

if TYPE_CHECKING:
    from ratchet.sdk.client import Client
    from ratchet.sdk.resources import Endpoint, EndpointVariant

app = App("Endpoints: what is served, to whom which share, predictions and outcomes.")

Name = Annotated[
    str, typer.Argument(metavar="ENDPOINT", help="The endpoint's name.", autocompletion=completion.endpoints)
]
Variants = Annotated[
    list[str],
    typer.Option("-v", "--variant", metavar="NAME=MODEL:VERSION@WEIGHT", help="Again for more; MODEL:ALIAS works too."),
]
Wait = Annotated[bool, typer.Option("--wait", "-w", help="Wait until it serves what was asked for.")]


@app.add("list", "ratchet endpoints list")
def list_endpoints(listed: Listing) -> None:
    """List endpoints."""
    with client() as ratchet:
        found = list(ratchet.endpoints.list(**vars(listed)))
    output.listing(
        found,
        ["ENDPOINT", "STATUS", "VARIANTS", ">REPLICAS", "URL", "MESSAGE"],
        lambda one: [one.name, output.status(one.status), _shares(one), one.replicas, one.url, one.message],
        empty="No endpoints yet. The first: ratchet endpoints create NAME -v a=MODEL:1",
        limit=listed.limit,
    )


def _served(variant: EndpointVariant) -> str:
    return f"{variant.model}:{variant.version or '?'}{f' ({variant.alias})' if variant.alias else ''}"


def _shares(endpoint: Endpoint) -> str:
    return "  ".join(f"{one.name}={_served(one)} {output.percent(one.weight)}" for one in endpoint.variants)


@app.add("show", "ratchet endpoints show cancer")
def show(endpoint: Name) -> None:
    """Show an endpoint and the state of its variants."""
    with client() as ratchet:
        found = ratchet.endpoints.get(endpoint)
    output.emit(found, lambda: show_endpoint(found))


def show_endpoint(endpoint: Endpoint) -> None:
    output.fields(
        [
            ("endpoint", endpoint.name),
            ("status", output.status(endpoint.status)),
            ("reason", endpoint.reason),
            ("message", endpoint.message),
            ("url", f"{endpoint.url}/predict" if endpoint.url else None),
            ("replicas", endpoint.replicas),
            ("generation", f"{endpoint.observed_generation or 0} of {endpoint.generation}"),
        ]
    )
    output.heading("Variants")
    output.table(
        ["VARIANT", "MODEL", ">WEIGHT", "STATE", "MESSAGE"],
        (
            [one.name, _served(one), output.percent(one.weight), output.status(one.state), one.message]
            for one in endpoint.variants
        ),
        empty="No variants.",
    )


@app.add("create", "ratchet endpoints create cancer -v a=cancer:3@0.5 -v b=cancer:4@0.5 --wait")
def create(
    endpoint: Name,
    variant: Variants,
    replicas: Annotated[int, typer.Option("--replicas", min=1, help="Processes that serve.")] = 1,
    wait: Wait = False,
) -> None:
    """Deploy an endpoint."""
    from ratchet.cli.names import variants

    with client() as ratchet:
        finish(ratchet, ratchet.endpoints.create(endpoint, variants(variant), replicas=replicas), wait=wait)


@app.add("update", "ratchet endpoints update cancer -v a=cancer:4@0.9 -v b=cancer:5@0.1 --wait")
def update(endpoint: Name, variant: Variants, wait: Wait = False) -> None:
    """Replace the variants; the old ones serve until the new ones are loaded and tried."""
    from ratchet.cli.names import variants

    with client() as ratchet:
        finish(ratchet, ratchet.endpoints.update(endpoint, variants(variant)), wait=wait)


@app.add("weights", "ratchet endpoints weights cancer a=0.9 b=0.1")
def weights(
    endpoint: Name,
    shares: Annotated[
        list[str], typer.Argument(metavar="VARIANT=WEIGHT", help="0.25 or 25%; a variant left out gets 0.")
    ],
    wait: Wait = False,
) -> None:
    """Change the shares of traffic, with nothing restarted."""
    from ratchet.cli.names import weights as parse

    with client() as ratchet:
        finish(ratchet, ratchet.endpoints.set_weights(endpoint, parse(shares)), wait=wait)


def stay(ratchet: Client, endpoint: Endpoint, *, wait: bool) -> Endpoint:
    """The endpoint once it serves what was asked for, where that is to be waited for."""
    if not wait:
        return endpoint
    return ratchet.endpoints.wait_ready(
        endpoint.name, on_change=lambda now: output.say(f"[dim]{now.status} {now.message or ''}[/dim]")
    )


def finish(ratchet: Client, endpoint: Endpoint, *, wait: bool) -> None:
    endpoint = stay(ratchet, endpoint, wait=wait)
    output.emit(endpoint, lambda: show_endpoint(endpoint))
    if endpoint.ready:
        output.note(f"Ask it: ratchet endpoints predict {endpoint.name} --input '{{\"column\": 1.5}}'")


@app.add("delete", "ratchet endpoints delete cancer --yes")
def delete(
    endpoint: Name,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Take an endpoint down. Its prediction log is kept."""
    from ratchet.cli.errors import UsageError

    if not yes:
        if not is_interactive():
            raise UsageError(f"Deleting {endpoint} stops its predictions.", hint="Confirm with --yes.")
        typer.confirm(f"Delete {endpoint}? Its predictions stop.", abort=True, err=True)
    with client() as ratchet:
        ratchet.endpoints.delete(endpoint)
    output.emit({"endpoint": endpoint, "status": "deleting"}, lambda: output.say(f"{endpoint} is being taken down."))


@app.add(
    "predict",
    "ratchet endpoints predict cancer --input '{\"mean radius\": 14.1, …}' --key user-17",
    "ratchet endpoints predict cancer --input @rows.json",
)
def predict(
    endpoint: Name,
    input: Annotated[str, typer.Option("--input", "-i", help="A row or rows as JSON; @FILE reads a file, @- stdin.")],
    key: Annotated[
        str | None, typer.Option("--key", "-k", help="Whose request it is: one key meets one variant.")
    ] = None,
) -> None:
    """Ask for predictions."""
    rows = _rows(input)
    with client() as ratchet:
        answer = ratchet.endpoints.predict(endpoint, rows, key=key)

    def draw() -> None:
        output.fields(
            [
                ("request", answer.request_id),
                ("variant", answer.variant),
                ("model", f"{answer.model}:{answer.model_version}"),
            ]
        )
        columns = list(answer.predictions[0]) if answer.predictions else []
        output.stdout().print()
        output.table(
            [column.upper() for column in columns],
            ([row.get(column) for column in columns] for row in answer.predictions),
            empty="No predictions.",
        )

    output.emit(answer, draw)


def _rows(text: str) -> list[dict[str, Any]]:
    import json
    import sys
    from pathlib import Path

    from ratchet.cli.errors import UsageError

    try:
        if text.startswith("@"):
            text = sys.stdin.read() if text == "@-" else Path(text[1:]).read_text(encoding="utf-8")
        rows = json.loads(text)
    except OSError as error:
        raise UsageError(f"{text[1:]} cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise UsageError(f"--input is not JSON: {error}", hint='A row is {{"column": value, …}}.') from error
    rows = [rows] if isinstance(rows, dict) else rows
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise UsageError('--input is a row, or a list of rows: [{"column": value, …}, …].')
    return rows


@app.add("outcome", "ratchet endpoints outcome cancer REQUEST 1", "ratchet endpoints outcome cancer REQUEST 0 --row 3")
def outcome(
    endpoint: Name,
    request: Annotated[str, typer.Argument(metavar="REQUEST", help="The request's id, from its answer.")],
    value: Annotated[str, typer.Argument(metavar="VALUE", help="What came true.")],
    row: Annotated[int, typer.Option("--row", min=0, help="Which row of the request.")] = 0,
) -> None:
    """Tell what came true for a prediction. Telling it twice counts once."""
    from ratchet.cli.files import value as parse

    with client() as ratchet:
        receipt = ratchet.endpoints.send_outcomes(
            endpoint, [{"request_id": request, "row": row, "value": parse(value)}]
        )
    output.emit(receipt, lambda: output.fields([("accepted", receipt.accepted), ("known before", receipt.duplicates)]))
