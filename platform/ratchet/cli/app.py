"""How commands are declared here: examples in the help, the same common options on each, one place for errors."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar, get_type_hints

import typer
from typer.exceptions import TyperException

from ratchet.cli import context
from ratchet.cli.help import Command, Group, text_of

F = TypeVar("F", bound=Callable[..., None])

HELP_NAMES = {"help_option_names": ["-h", "--help"]}
_COMMON = "Common options"

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON to stdout.", rich_help_panel=_COMMON)]
QuietOption = Annotated[
    bool, typer.Option("--quiet", "-q", help="Print ids or names alone, and no messages.", rich_help_panel=_COMMON)
]
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
_LOCAL = {"json": JsonOption, "quiet": QuietOption}
_REMOTE = {**_LOCAL, "project": ProjectOption, "url": UrlOption, "token_file": TokenFileOption}


class App(typer.Typer):
    """A group of commands."""

    def __init__(self, help: str, *, cls: type[Group] = Group, **options: Any) -> None:
        super().__init__(
            help=help,
            cls=cls,
            add_completion=False,
            context_settings=HELP_NAMES,
            rich_markup_mode=None,
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
                cls=Command,
                help=text_of(first, examples, rest),
                short_help=" ".join(first.split()),
                context_settings=HELP_NAMES,
                rich_help_panel=panel,
                hidden=hidden,
            )
            declared(_with_common_options(function, _REMOTE if remote else _LOCAL))
            return function

        return declare


class RootGroup(Group):
    """The root: an error becomes a message for a person and an exit status for a script, never a traceback."""

    def main(self, args: Sequence[str] | None = None, *rest: Any, **options: Any) -> NoReturn:
        arguments = list(sys.argv[1:] if args is None else args)
        context.options.__dict__.update(vars(context.Options()))
        try:
            status = super().main(arguments, *rest, **{**options, "standalone_mode": False})
        except typer.Abort:
            status = 1  # the answer to a question was no
        except Exception as error:
            status = _report(error, arguments)
        sys.exit(status or 0)

    def _main_shell_completion(self, *args: Any, **options: Any) -> None:
        if "_RATCHET_COMPLETE" in os.environ:
            from ratchet.cli.completion import register

            register()
        super()._main_shell_completion(*args, **options)


def _report(error: Exception, arguments: Sequence[str]) -> int:
    """Tells of the error; raises it again where its traceback is asked for."""
    from ratchet.cli.errors import from_typer, report

    if isinstance(error, TyperException):
        # Nothing has been parsed yet that could say so.
        context.options.json = context.options.json or "--json" in arguments
        return report(from_typer(error))
    if os.environ.get("RATCHET_DEBUG") == "1":
        raise error
    return report(error)


def _with_common_options(function: Callable[..., None], common: dict[str, Any]) -> Callable[..., None]:
    """The function as typer reads it: with the common options at the end of its signature. A parameter that is a
    dataclass stands for its fields, each an option of its own: so commands share a list of options."""
    signature = inspect.signature(function, eval_str=True)
    groups: dict[str, Any] = {
        name: one.annotation for name, one in signature.parameters.items() if is_dataclass(one.annotation)
    }

    def command(**arguments: Any) -> None:
        chosen = {name: arguments.pop(name) for name in common}
        context.options.__dict__.update(vars(context.Options(**chosen)))
        for name, group in groups.items():
            arguments[name] = group(**{each.name: arguments.pop(each.name) for each in fields(group)})
        function(**arguments)

    defaults = {"json": False, "quiet": False}
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=defaults.get(name), annotation=annotation)
        for name, annotation in common.items()
    ]
    own = [option for parameter in signature.parameters.values() for option in _options(parameter)]
    command.__name__, command.__doc__, command.__module__ = function.__name__, function.__doc__, function.__module__
    command.__signature__ = signature.replace(parameters=[*own, *added])  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in [*own, *added]}
    return command


def _options(parameter: inspect.Parameter) -> list[inspect.Parameter]:
    if not is_dataclass(group := parameter.annotation):
        return [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)]
    hints = get_type_hints(group, include_extras=True)
    return [
        inspect.Parameter(
            each.name, inspect.Parameter.KEYWORD_ONLY, default=_default(each), annotation=hints[each.name]
        )
        for each in fields(group)
    ]


def _default(each: Field[Any]) -> Any:
    if each.default_factory is not MISSING:
        return each.default_factory()
    return inspect.Parameter.empty if each.default is MISSING else each.default


def is_interactive() -> bool:
    """Whether a person can be asked something."""
    return sys.stdin.isatty() and sys.stderr.isatty()
