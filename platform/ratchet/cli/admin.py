"""`projects` and `recipes`; and where the other commands of administrators are."""

from __future__ import annotations

from typing import Annotated

import typer

from ratchet.cli import events, identity, output
from ratchet.cli.app import App
from ratchet.cli.context import client
from ratchet.cli.options import Listing

PANEL = "Administer"

projects = App("Projects: whose jobs, models and endpoints are whose.")


def add_to(app: App) -> None:
    app.add_typer(projects, name="projects", rich_help_panel=PANEL)
    identity.add_to(app, PANEL)
    app.add_typer(events.app, name="events", rich_help_panel=PANEL)
    app.add("recipes", "ratchet recipes", "ratchet recipes tabular", panel="Train")(recipes)


@projects.add("list", "ratchet projects list")
def list_projects(listed: Listing) -> None:
    """List the projects that you may see."""
    with client() as ratchet:
        found = list(ratchet.projects.list(**vars(listed)))
    output.listing(
        found,
        ["PROJECT", "DESCRIPTION", "CREATED"],
        lambda one: [one.name, one.description, one.created_at],
        empty="No projects that you may see.",
        limit=listed.limit,
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
