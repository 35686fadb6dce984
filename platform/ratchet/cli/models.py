"""`ratchet models`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ratchet.cli import completion, output
from ratchet.cli.app import App
from ratchet.cli.context import client
from ratchet.cli.options import Listing

if TYPE_CHECKING:
    from ratchet.sdk.resources import Model, Promotion

app = App("Registered models: versions, aliases, promotions.")

ModelArgument = Annotated[
    str, typer.Argument(metavar="MODEL", help="The model's name.", autocompletion=completion.models)
]


@app.add("list", "ratchet models list")
def list_models(listed: Listing) -> None:
    """List models with their aliases."""
    with client() as ratchet:
        models = list(ratchet.models.list(**vars(listed)))
    output.listing(
        models,
        ["MODEL", ">LATEST", "ALIASES", "DESCRIPTION"],
        lambda model: [model.name, model.latest_version, _aliases(model), model.description],
        empty="No models yet. The first: ratchet train --data sklearn://breast_cancer --model cancer",
        limit=listed.limit,
    )


def _aliases(model: Model) -> str:
    return "  ".join(f"{alias}→{version}" for alias, version in sorted(model.aliases.items()))


@app.add("show", "ratchet models show cancer")
def show(model: ModelArgument) -> None:
    """Show a model: its versions, where each came from, and which alias points where."""
    with client() as ratchet:
        found = ratchet.models.get(model)

    def draw() -> None:
        output.fields([("model", found.name), ("aliases", _aliases(found)), ("description", found.description)])
        output.heading("Versions")
        output.table(
            [">VERSION", "ALIASES", "JOB", "METRICS", "CREATED"],
            (
                [
                    version.version,
                    ", ".join(version.aliases),
                    version.job or version.run_id,
                    "  ".join(f"{name} {output.number(value)}" for name, value in sorted(version.metrics.items())[:4]),
                    version.created_at,
                ]
                for version in sorted(found.versions, key=lambda version: -version.version)
            ),
            empty="No versions yet.",
        )

    output.emit(found, draw)


@app.add(
    "promote",
    "ratchet models promote cancer:4 --data sklearn://breast_cancer --minimum 0.9 --wait",
)
def promote(
    version: Annotated[str, typer.Argument(metavar="MODEL:VERSION")],
    data: Annotated[str, typer.Option("--data", "-d", metavar="URI", help="Where the test split is taken from.")],
    target: Annotated[str, typer.Option("--target", "-t", help="The column that is predicted.")] = "target",
    alias: Annotated[str, typer.Option("--alias", help="The alias to move.")] = "champion",
    metric: Annotated[
        str, typer.Option("--metric", help="What decides: accuracy, roc_auc, log_loss, rmse …")
    ] = "accuracy",
    minimum: Annotated[float | None, typer.Option("--minimum", help="The metric must be at least this.")] = None,
    maximum: Annotated[float | None, typer.Option("--maximum", help="The metric must be at most this.")] = None,
    max_regression: Annotated[
        float | None, typer.Option("--max-regression", help="How much worse than the present one it may be.")
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", "-w", help="Wait for the decision; refused gives exit status 7.")
    ] = False,
) -> None:
    """Have a gate decide whether a version may take an alias.

    The version and the one that has the alias are measured on the same test split. The alias moves when all rules hold.
    """
    from ratchet.cli.names import model_version
    from ratchet.sdk.errors import WorkFailed

    name, number = model_version(version)
    rules = {"metric": metric, "minimum": minimum, "maximum": maximum, "max_regression": max_regression}
    gate: dict[str, Any] = {key: value for key, value in rules.items() if value is not None}
    gate["data"] = {"uri": data, "target": target}
    with client() as ratchet:
        promotion = ratchet.models.promote(name, number, gate=gate, alias=alias)
        if wait:
            promotion = ratchet.models.wait_promotion(
                name, promotion, on_change=lambda now: output.say(f"[dim]{now.status} {now.message or ''}[/dim]")
            )
    output.emit(promotion, lambda: show_promotion(promotion))
    if promotion.status == "refused":
        raise WorkFailed(promotion.message or f"The gate refused {version}.", promotion)


def show_promotion(promotion: Promotion) -> None:
    output.fields(
        [
            ("promotion", promotion.id),
            ("version", f"{promotion.model}:{promotion.version}"),
            ("alias", f"{promotion.alias} (before: {promotion.previous_version or 'none'})"),
            ("status", output.status(promotion.status)),
            ("message", promotion.message),
        ]
    )
    if promotion.evidence and promotion.evidence.rules:
        output.heading("Gate")
        output.table(
            ["", "RULE", "DETAIL"],
            (
                [output.status("ok" if rule.passed else "failed"), rule.rule, rule.detail]
                for rule in promotion.evidence.rules
            ),
            empty="",
        )


@app.add("alias", "ratchet models alias cancer staging 4")
def alias(
    model: ModelArgument,
    alias: Annotated[str, typer.Argument(metavar="ALIAS")],
    version: Annotated[int, typer.Argument(metavar="VERSION", min=1)],
) -> None:
    """Point an alias to a version without a gate. `champion` moves by `promote` alone."""
    with client() as ratchet:
        promotion = ratchet.models.set_alias(model, alias, version)
    output.emit(promotion, lambda: show_promotion(promotion))


@app.add("promotions", "ratchet models promotions cancer")
def promotions(model: ModelArgument) -> None:
    """List what was asked to be promoted, and what the gate said."""
    with client() as ratchet:
        found = list(ratchet.models.promotions(model))
    output.emit(
        found,
        lambda: output.table(
            ["PROMOTION", ">VERSION", "ALIAS", "STATUS", "BY", "AT", "MESSAGE"],
            (
                [one.id, one.version, one.alias, output.status(one.status), one.actor, one.created_at, one.message]
                for one in found
            ),
            empty="Nothing was asked to be promoted yet.",
        ),
    )


@app.add("history", "ratchet models history cancer")
def history(model: ModelArgument) -> None:
    """Show who moved which alias, when, and from what to what."""
    with client() as ratchet:
        moves = list(ratchet.models.alias_moves(model))
    output.emit(
        moves,
        lambda: output.table(
            ["AT", "ALIAS", ">FROM", ">TO", "BY"],
            ([move.at, move.alias, move.from_version, move.to_version, move.actor] for move in moves),
            empty="No alias has moved yet.",
        ),
    )
