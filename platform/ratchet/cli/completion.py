"""`completion`: what a shell runs to complete commands, options and the names of what there is."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ratchet.cli.app import App

if TYPE_CHECKING:
    from ratchet.sdk.client import Client

SHELLS = ("bash", "zsh", "fish")
MOST = 100
"""Names that are offered at once."""
PATIENCE_S = 2.0
"""A person waits at the prompt: a server that takes longer offers nothing."""


def add_to(app: App) -> None:
    app.add(
        "completion",
        "ratchet completion bash > ~/.local/share/bash-completion/completions/ratchet",
        "ratchet completion zsh > ~/.zfunc/_ratchet",
        "ratchet completion fish > ~/.config/fish/completions/ratchet.fish",
        panel="Administer",
        remote=False,
    )(completion)


def completion(shell: Annotated[str, typer.Argument(metavar="SHELL", help=", ".join(SHELLS))]) -> None:
    """Print the completion script of a shell: bash, zsh or fish.

    It completes commands, options, and what they take: the ids of jobs, the names of models, endpoints and so on.
    """
    from typer._completion_shared import get_completion_script

    from ratchet.cli import output
    from ratchet.cli.errors import UsageError
    from ratchet.cli.files import did_you_mean

    if shell not in SHELLS:
        raise UsageError(
            f"There is no completion for {shell!r}.{did_you_mean(shell, list(SHELLS))}",
            hint=f"Shells: {', '.join(SHELLS)}.",
        )
    script = get_completion_script(prog_name="ratchet", complete_var="_RATCHET_COMPLETE", shell=shell)
    output.emit({"shell": shell, "script": script}, lambda: typer.echo(script))


def register() -> None:
    """Makes the shells known that a script of ours may be of."""
    from typer._completion_classes import completion_init

    completion_init()


def known(look: Callable[[Client], Any]) -> Callable[[typer.Context, str], list[tuple[str, str]]]:
    """Completes the ids or names of what `look` lists: `known(lambda ratchet: ratchet.jobs.list(limit=MOST))`."""

    def complete(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
        from ratchet.cli.context import Options, make_client
        from ratchet.sdk.errors import RatchetError

        given: dict[str, Any] = {name: ctx.params.get(name) for name in ("project", "url", "token_file")}
        try:
            with make_client(Options(**given), attempts=1, timeout=PATIENCE_S) as ratchet:
                found = [(one.key, _about(one)) for one in look(ratchet)]
        except RatchetError:
            return []  # a prompt is no place for an error
        return [(key, about) for key, about in found if key.startswith(incomplete)]

    return complete


def _about(one: Any) -> str:
    """What a shell shows beside the name."""
    name = getattr(one, "name", None)
    parts = [getattr(one, "kind", ""), getattr(one, "status", ""), "" if name == one.key else name or ""]
    return " ".join(part for part in parts if part)


jobs = known(lambda ratchet: ratchet.jobs.list(limit=MOST))
models = known(lambda ratchet: ratchet.models.list(limit=MOST))
endpoints = known(lambda ratchet: ratchet.endpoints.list(limit=MOST))
monitors = known(lambda ratchet: ratchet.monitors.list(limit=MOST))
pipelines = known(lambda ratchet: ratchet.pipelines.list(limit=MOST))
abtests = known(lambda ratchet: ratchet.abtests.list(limit=MOST))
