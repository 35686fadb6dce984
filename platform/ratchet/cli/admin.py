"""`tokens`, `projects`, `events` and `recipes`."""

from __future__ import annotations

from typing import Annotated

import typer

from ratchet.cli import events, output
from ratchet.cli.app import App
from ratchet.cli.context import client

PANEL = "Administer"

tokens = App("Tokens of a project.")
projects = App("Projects: whose jobs, models and endpoints are whose.")


def add_to(app: App) -> None:
    app.add_typer(projects, name="projects", rich_help_panel=PANEL)
    app.add_typer(tokens, name="tokens", rich_help_panel=PANEL)
    app.add_typer(events.app, name="events", rich_help_panel=PANEL)
    app.add("recipes", "ratchet recipes", "ratchet recipes tabular", panel="Train")(recipes)


@tokens.add("list", "ratchet tokens list")
def list_tokens() -> None:
    """List tokens; a token itself is never shown again."""
    with client() as ratchet:
        found = list(ratchet.tokens.list())
    output.emit(
        found,
        lambda: output.table(
            ["ID", "NAME", "SCOPE", "BEGINS", "CREATED", "EXPIRES", "REVOKED"],
            (
                [one.id, one.name, one.scope, one.prefix, one.created_at, one.expires_at or "never", one.revoked_at]
                for one in found
            ),
            empty="No tokens in this project yet.",
        ),
    )


@tokens.add("create", "ratchet tokens create ci --scope write", "ratchet tokens create shop --scope predict --days 365")
def create_token(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What it is for.")],
    scope: Annotated[str, typer.Option("--scope", "-s", help="admin, write, read or predict.")],
    days: Annotated[int | None, typer.Option("--days", min=1, help="It ends after this long; 90 by default.")] = None,
) -> None:
    """Make a token. It is printed once, to stdout, and cannot be had again."""
    with client() as ratchet:
        made = ratchet.tokens.create(name, scope, expires_in_days=days)
    output.say(f"Token {made.id} ({made.scope}). Keep it now: it is not shown again.")
    if output.options.json:
        output.print_json(made)
    else:
        typer.echo(made.token)


@tokens.add("revoke", "ratchet tokens revoke tok-…")
def revoke_token(id: Annotated[str, typer.Argument(metavar="ID", help="As `ratchet tokens list` shows it.")]) -> None:
    """End a token at once."""
    with client() as ratchet:
        ratchet.tokens.revoke(id)
    output.emit({"id": id, "status": "revoked"}, lambda: output.say(f"{id} is revoked."))


@projects.add("list", "ratchet projects list")
def list_projects() -> None:
    """List the projects that you may see."""
    with client() as ratchet:
        found = list(ratchet.projects.list())
    output.emit(
        found,
        lambda: output.table(
            ["PROJECT", "DESCRIPTION", "CREATED"],
            ([one.name, one.description, one.created_at] for one in found),
            empty="No projects that you may see.",
        ),
    )


@projects.add("create", "ratchet projects create fraud --description 'Card fraud'")
def create_project(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    description: Annotated[str, typer.Option("--description", help="What it is for.")] = "",
) -> None:
    """Create a project."""
    with client() as ratchet:
        made = ratchet.projects.create(name, description=description)
    output.emit(made, lambda: output.say(f"Created project {made.name}. Use it: export RATCHET_PROJECT={made.name}"))


def recipes(
    recipe: Annotated[str | None, typer.Argument(metavar="[RECIPE]", help="Show this one's parameters.")] = None,
) -> None:
    """List what can be trained, or the parameters of one recipe."""
    from ratchet.cli.errors import UsageError
    from ratchet.cli.files import did_you_mean

    with client() as ratchet:
        found = ratchet.recipes()
    if recipe is None:
        rows = [[one.name, one.summary] for one in found]
        output.emit(found, lambda: output.table(["RECIPE", "WHAT IT IS"], rows, empty="No recipes."))
        return
    names = [one.name for one in found]
    chosen = next((one for one in found if one.name == recipe), None)
    if chosen is None:
        raise UsageError(
            f"There is no recipe {recipe!r}.{did_you_mean(recipe, names)}", hint=f"Recipes: {', '.join(names)}."
        )
    properties = chosen.params_schema.get("properties", {})
    output.emit(
        chosen,
        lambda: output.table(
            ["PARAMETER", "TYPE", "DEFAULT", "WHAT IT IS"],
            (
                [
                    name,
                    one.get("type") or "|".join(map(str, one.get("enum", []))),
                    one.get("default"),
                    one.get("description"),
                ]
                for name, one in properties.items()
            ),
            empty="No parameters.",
        ),
    )
