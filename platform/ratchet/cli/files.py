"""Specs from files and from the command line, with the line of everything that is wrong.

YAML is read by the rules of YAML 1.2: `3e-3` is a number, and `no`, `on` and times are words.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import Any

import yaml

from ratchet.cli.errors import UsageError
from ratchet.sdk.errors import Invalid, RatchetError

MAX_FILE_BYTES = 1024 * 1024


class _Loader(yaml.SafeLoader):
    """The core schema of YAML 1.2."""


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"null|Null|NULL|~|", ["n", "N", "~", ""]),
    ("int", r"[-+]?[0-9]+", "-+0123456789"),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+.0123456789",
    ),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), list(_first))
_Loader.add_constructor("tag:yaml.org,2002:int", lambda loader, node: int(node.value))
_Loader.add_constructor(
    "tag:yaml.org,2002:float", lambda loader, node: float(re.sub(r"\.(inf|nan)", r"\1", node.value.lower()))
)


@dataclass(frozen=True)
class Document:
    """One YAML document of a file, and where its parts are."""

    file: str
    data: dict[str, Any]
    lines: dict[str, int] = field(default_factory=dict, repr=False)
    """JSON Pointer to line, from 1."""

    def line(self, pointer: str) -> int:
        """The line of what the pointer points at, or of the nearest thing around it that is in the file."""
        pointer = pointer.removeprefix("#")
        while pointer not in self.lines and "/" in pointer:
            pointer = pointer.rpartition("/")[0]
        return self.lines.get(pointer, 1)

    def explain(self, error: RatchetError, words: list[str], *, prefix: str = "") -> RatchetError:
        """The server's refusal, with the line of each field and, for a name that is unknown, what was meant. `prefix`
        is where the document stands in what was sent."""
        found = []
        for item in error.errors:
            message = item.message
            if message == error.message:  # of the document as a whole
                continue
            if "did you mean" not in (message + error.hint).lower() and "no such field" in message.lower():
                message += did_you_mean(item.pointer.rpartition("/")[2], words)
            pointer = item.pointer.removeprefix(prefix)
            found.append(replace(item, pointer=pointer, message=f"{message} (line {self.line(pointer)})"))
        kind = UsageError if isinstance(error, Invalid) else type(error)
        where = f"{self.file}:{self.line('')}"
        return kind(f"{where}: {error.message}", hint=error.hint, errors=found, status=error.status, code=error.code)


def did_you_mean(word: str, words: list[str]) -> str:
    """` Did you mean 'x'?`, or nothing when no word is near."""
    near = get_close_matches(word, [other for other in words if other != word], n=1)
    return f" Did you mean {near[0]!r}?" if near else ""


def read(file: str) -> list[Document]:
    """The documents of a YAML or JSON file, or of stdin for `-`."""
    try:
        if file == "-":
            text = sys.stdin.read(MAX_FILE_BYTES + 1)
        else:
            with open(file, encoding="utf-8") as stream:  # noqa: PTH123  a Path would change how the name is shown
                text = stream.read(MAX_FILE_BYTES + 1)
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise UsageError(f"{file} cannot be read: {why}") from error
    if len(text) > MAX_FILE_BYTES:
        raise UsageError(f"{file} is larger than {MAX_FILE_BYTES:,} characters: no spec is.")
    return parse(text, "stdin" if file == "-" else file)


def parse(text: str, file: str) -> list[Document]:
    try:
        nodes = list(yaml.compose_all(text, Loader=_Loader))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        raise UsageError(f"{file}{where}: {error.problem or 'this is not YAML'}", hint=_excerpt(text, mark)) from error
    except yaml.YAMLError as error:
        raise UsageError(f"{file}: this is not YAML: {error}") from error
    documents = [_document(file, node) for node in nodes if node is not None]
    if not documents:
        raise UsageError(f"{file} is empty.", hint="`ratchet schema train` shows what a spec holds.")
    return documents


def _excerpt(text: str, mark: Any) -> str:
    lines = text.splitlines()
    return lines[mark.line].rstrip() if mark and mark.line < len(lines) else ""


def _document(file: str, node: yaml.Node) -> Document:
    lines: dict[str, int] = {}
    _walk(file, node, "", lines)
    loader = _Loader("")
    try:
        data = loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise UsageError(f"{file}:{line}: {error.problem}") from error
    finally:
        loader.dispose()
    if not isinstance(data, dict):
        raise UsageError(f"{file}:{node.start_mark.line + 1}: a spec is a mapping (`kind: train` …), this is not one.")
    return Document(file, data, lines)


def _walk(file: str, node: yaml.Node, pointer: str, lines: dict[str, int]) -> None:
    lines.setdefault(pointer, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            name = str(key.value).replace("~", "~0").replace("/", "~1")
            if f"{pointer}/{name}" in lines:
                raise UsageError(
                    f"{file}:{key.start_mark.line + 1}: {key.value!r} is given twice; "
                    f"the first is in line {lines[f'{pointer}/{name}']}."
                )
            lines[f"{pointer}/{name}"] = key.start_mark.line + 1
            _walk(file, value, f"{pointer}/{name}", lines)
    elif isinstance(node, yaml.SequenceNode):
        for i, item in enumerate(node.value):
            _walk(file, item, f"{pointer}/{i}", lines)


def value(text: str) -> Any:
    """A value as it is typed after `=`: `20`, `3e-3`, `[64, 64]`, `true`, `adam`."""
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506  a SafeLoader
    except yaml.YAMLError as error:
        raise UsageError(f"{text!r} is no value: quote it, as in 'name=\"{text}\"'.") from error


def assignments(pairs: list[str], option: str) -> dict[str, Any]:
    """`name=value` each, as a mapping."""
    found: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not name.strip():
            raise UsageError(f"{option} {pair}: write it as {option} NAME=VALUE, such as {option} epochs=20.")
        if name.strip() in found:
            raise UsageError(f"{option} {pair}: {name.strip()!r} is given twice.")
        found[name.strip()] = value(text)
    return found


def search_space(pairs: list[str]) -> dict[str, Any]:
    """`name=LOW..HIGH`, `name=log:LOW..HIGH` or `name=[A, B, C]` each, as a sweep's `search`."""
    space: dict[str, Any] = {}
    for name, found in assignments(pairs, "-s").items():
        if isinstance(found, list):
            space[name] = {"kind": "choice", "values": found}
            continue
        match = re.fullmatch(r"(log:)?\s*(\S+?)\.\.(\S+)", str(found))
        try:
            low, high = (float(match[2]), float(match[3])) if match else (None, None)
        except ValueError:
            low = None
        if match is None or low is None:
            raise UsageError(
                f"-s {name}={found}: this is no range and no list.",
                hint="Write -s learning_rate=log:1e-4..1e-1, -s dropout=0..0.5 or -s batch_size=[16,32,64].",
            )
        space[name] = {"kind": "uniform", "low": low, "high": high, "log": bool(match[1])}
    return space
