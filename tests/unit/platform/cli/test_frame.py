"""What every command has, whoever wrote it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import typer
from typer.core import TyperGroup

from ratchet.cli.main import app


def commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


COMMANDS = dict(commands(typer.main.get_command(app)))


def options(command: Any) -> set[str]:
    return {option for parameter in command.params for option in parameter.opts}


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_has_an_example_and_the_common_options(path: tuple[str, ...]) -> None:
    command = COMMANDS[path]
    what, example, *_ = command.help.split("\n\n")
    assert what.endswith((".", "?", ":")), what
    assert all(line.startswith("$ ") for line in example.splitlines()), example
    assert any(f"ratchet {' '.join(path)}" in line for line in example.splitlines()), example
    assert {"--json", "--quiet"} <= options(command)


@pytest.mark.parametrize("path", [path for path in COMMANDS if path[-1] == "list"], ids=" ".join)
def test_every_list_is_filtered_ordered_and_cut_off(path: tuple[str, ...]) -> None:
    assert {"--filter", "--order-by", "--limit"} <= options(COMMANDS[path])


@pytest.mark.parametrize("name", ["train", "sweep", "run", "batch"])
def test_every_job_is_given_its_room_in_the_same_words(name: str) -> None:
    room = {"--workers", "--cpus", "--gpus", "--memory", "--seed", "--deadline", "--priority"}
    assert room | {"--name", "--follow", "--wait", "--dry-run"} <= options(COMMANDS[name,])


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_no_option_is_a_secret(path: tuple[str, ...]) -> None:
    """What is typed is seen by everybody on the machine, and kept by the shell."""
    assert not {"--token", "--password", "--secret", "--key-file"} & options(COMMANDS[path]), path


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_parameter_is_explained(path: tuple[str, ...]) -> None:
    silent = [one.name for one in COMMANDS[path].params if not getattr(one, "help", None) and not one.metavar]
    assert silent == [], path
