"""How commands are declared here: examples in the help, the same common options on each, one place for errors."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from typer.core import TyperGroup

from ratchet.cli import context

F = TypeVar("F", bound=Callable[..., None])

HELP_NAMES = {"help_option_names": ["-h", "--help"]}
_COMMON = "Common options"

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON to stdout.", rich_help_panel=_COMMON)]
ProjectOption = Annotated[
    str | None,
    typer.Option(
        "--project",
        "-P",
        envvar="RATCHET_PROJECT",
        metavar="NAME",
        help="The project; `default` when not given.",
        rich_help_panel=_COMMON,
    ),
]
UrlOption = Annotated[
    str | None,
    typer.Option(
        "--url",
        envvar="RATCHET_URL",
        metavar="URL",
        help="The API; this machine's stack when not given.",
        rich_help_panel=_COMMON,
    ),
]
TokenFileOption = Annotated[
    Path | None,
    typer.Option(
        "--token-file",
        envvar="RATCHET_TOKEN_FILE",
        metavar="FILE",
        help="A file that holds the token.",
        rich_help_panel=_COMMON,
    ),
]
_JSON = {"json": JsonOption}
_REMOTE = {**_JSON, "project": ProjectOption, "url": UrlOption, "token_file": TokenFileOption}


class App(typer.Typer):
    """A group of commands."""

    def __init__(self, help: str, **options: Any) -> None:
        super().__init__(
            help=help,
            no_args_is_help=True,
            context_settings=HELP_NAMES,
            rich_markup_mode="rich",
            pretty_exceptions_enable=False,
            **options,
        )

    def add(
        self, name: str, *examples: str, panel: str | None = None, remote: bool = True, hidden: bool = False
    ) -> Callable[[F], F]:
        """Declares a command. `examples` come right after its first line in the help; a `remote` command can be told
        which API, project and token to use."""

        def declare(function: F) -> F:
            first, _, rest = (inspect.getdoc(function) or "").partition("\n\n")
            declared = self.command(
                name,
                help=_help(first, examples, rest),
                short_help=_escaped(" ".join(first.split())),
                context_settings=HELP_NAMES,
                rich_help_panel=panel,
                hidden=hidden,
            )
            declared(_with_common_options(function, _REMOTE if remote else _JSON))
            return function

        return declare


class RootGroup(TyperGroup):
    """The root: an error becomes a message for a person and an exit status for a script, never a traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (typer.Exit, typer.Abort):
            raise
        except KeyboardInterrupt:
            raise typer.Exit(130) from None
        except Exception as error:
            if os.environ.get("RATCHET_DEBUG") == "1" or _is_for_typer(error):
                raise
            from ratchet.cli.errors import report

            raise typer.Exit(report(error)) from error


def _is_for_typer(error: Exception) -> bool:
    """Usage errors, and a reader that closed the pipe."""
    return hasattr(error, "exit_code") or isinstance(error, BrokenPipeError)


def _escaped(text: str) -> str:
    return text.replace("[", "\\[")


def _help(first: str, examples: Sequence[str], rest: str) -> str:
    parts = [_escaped(first)]
    if examples:
        parts.append("\b\n" + "\n".join(f"  [cyan]$ {_escaped(example)}[/cyan]" for example in examples))
    if rest:
        parts.append(_escaped(rest))
    return "\n\n".join(parts)


def _with_common_options(function: Callable[..., None], common: dict[str, Any]) -> Callable[..., None]:
    """The function as typer reads it: with the common options at the end of its signature."""

    def command(**arguments: Any) -> None:
        chosen = {name: arguments.pop(name) for name in common}
        context.options.__dict__.update(vars(context.Options(**chosen)))
        function(**arguments)

    signature = inspect.signature(function, eval_str=True)
    defaults = {"json": False}
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=defaults.get(name), annotation=annotation)
        for name, annotation in common.items()
    ]
    own = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in signature.parameters.values()]
    command.__name__, command.__doc__, command.__module__ = function.__name__, function.__doc__, function.__module__
    command.__signature__ = signature.replace(parameters=[*own, *added])  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in [*own, *added]}
    return command


def is_interactive() -> bool:
    """Whether a person can be asked something."""
    return sys.stdin.isatty() and sys.stderr.isatty()
