"""What `--help` prints: an example first, then arguments and options, or commands, under their headings.

Written to the terminal as plain text with a few styles: a library for tables and panels takes as long to load as the
whole rest of the command line.
"""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Iterable
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from ratchet.cli.output import styled

MAX_WIDTH = 110
NAME_WIDTH = 26
"""Of the column of names at most; what is longer has its text on the next line."""

Row = tuple[str, str]


class Command(TyperCommand):
    def format_help(self, ctx: Any, formatter: Any) -> None:
        formatter.write(page(self, ctx))


class Group(TyperGroup):
    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args and not ctx.resilient_parsing:
            typer.echo(ctx.get_help(), err=True)
            raise typer.Exit(2)
        return super().parse_args(ctx, args)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        formatter.write(page(self, ctx))


def page(command: Any, ctx: typer.Context) -> str:
    """The help of one command or group."""
    parts = [f"{_bold('Usage:')} {ctx.command_path} {' '.join(command.collect_usage_pieces(ctx))}", ""]
    parts += [_paragraph(text) for text in (command.help or "").split("\n\n")]
    for heading, rows in _sections(command, ctx).items():
        width = min(NAME_WIDTH, max(len(name) for name, _ in rows))
        parts += [_bold(heading), *(_row(name, text, width) for name, text in rows), ""]
    return "\n".join(parts)


def _sections(command: Any, ctx: typer.Context) -> dict[str, list[Row]]:
    """The rows by heading, in the order in which the headings first come; common options last."""
    found: dict[str, list[Row]] = {}
    if isinstance(command, TyperGroup):
        for name in command.list_commands(ctx):
            one = command.get_command(ctx, name)
            if one is not None and not one.hidden:
                found.setdefault(getattr(one, "rich_help_panel", None) or "Commands", []).append((name, _first(one)))
    options: dict[str, list[Row]] = {"Arguments": [], "Options": []}
    for parameter in command.get_params(ctx):
        record = parameter.get_help_record(ctx)
        if record is not None:
            default = "Arguments" if parameter.param_type_name == "argument" else "Options"
            options.setdefault(getattr(parameter, "rich_help_panel", None) or default, []).append(record)
    return found | {heading: rows for heading, rows in options.items() if rows}


def _first(command: Any) -> str:
    """What a command does, in its first line."""
    text: str = command.short_help or command.help or ""
    return " ".join(text.partition("\n\n")[0].split())


def _paragraph(text: str) -> str:
    """An example, marked by its `$`, stays as it is; other text is filled."""
    if text.lstrip().startswith("$ "):
        return "".join(f"  {_cyan(line.strip())}\n" for line in text.splitlines())
    return textwrap.indent(textwrap.fill(" ".join(text.split()), _width() - 2), "  ") + "\n"


def _row(name: str, text: str, width: int) -> str:
    indent = " " * (width + 4)
    filled = textwrap.fill(text, _width(), initial_indent=indent, subsequent_indent=indent, break_long_words=False)
    if len(name) > width:
        return f"  {_cyan(name)}\n{filled}"
    return f"  {_cyan(name)}{filled[2 + len(name) :]}"


def _width() -> int:
    return min(MAX_WIDTH, shutil.get_terminal_size().columns)


def _bold(text: str) -> str:
    return _styled("1", text)


def _cyan(text: str) -> str:
    return _styled("36", text)


def _styled(code: str, text: str) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if styled(sys.stdout) else text


def text_of(first: str, examples: Iterable[str], rest: str) -> str:
    """A command's help, as `page` reads it: what it does, how it is called, and whatever else is to be known."""
    shown = "\n".join(f"$ {example}" for example in examples)
    return "\n\n".join(part for part in (first, shown, rest) if part)
