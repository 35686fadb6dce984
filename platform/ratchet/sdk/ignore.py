"""Which files of a folder Git would leave out: the rules of `.gitignore`, as gitignore(5) has them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

NAME = ".gitignore"
ALWAYS = frozenset({".git", "__pycache__"})
"""Never code, whether or not a rule says so."""


@dataclass(frozen=True)
class Rule:
    folder: Path
    """Where the file is that it stands in: its paths are from there."""
    pattern: re.Pattern[str]
    folders_only: bool
    keeps: bool
    """It begins with `!`: what it matches is not left out after all."""


def files(folder: Path) -> Iterator[Path]:
    """Everything below `folder` that is no folder and is not left out, links included, sorted by path.

    As in Git the rules of the folders around it count too, up to the root of the repository.
    """
    folder = folder.resolve()
    yield from _walk(folder, _rules_around(folder))


def _walk(folder: Path, rules: Sequence[Rule]) -> Iterator[Path]:
    rules = [*rules, *_rules_in(folder)]
    for path in sorted(folder.iterdir()):
        is_folder = path.is_dir() and not path.is_symlink()
        if path.name in ALWAYS or left_out(path, is_folder, rules):
            continue
        if is_folder:
            yield from _walk(path, rules)
        else:
            yield path


def left_out(path: Path, is_folder: bool, rules: Sequence[Rule]) -> bool:
    """The last rule that matches decides."""
    for rule in reversed(rules):
        if (is_folder or not rule.folders_only) and rule.pattern.fullmatch(path.relative_to(rule.folder).as_posix()):
            return not rule.keeps
    return False


def _rules_around(folder: Path) -> list[Rule]:
    parents = list(folder.parents)
    root = next((parent for parent in [folder, *parents] if (parent / ".git").exists()), folder)
    return [rule for parent in reversed(parents) if parent.is_relative_to(root) for rule in _rules_in(parent)]


def _rules_in(folder: Path) -> list[Rule]:
    try:
        lines = (folder / NAME).read_text(encoding="utf-8", errors="surrogateescape").split("\n")
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return []
    return [rule for line in lines if (rule := rule_of(line, folder)) is not None]


def rule_of(line: str, folder: Path) -> Rule | None:
    """The rule of one line; None for a blank one and a comment."""
    line = re.sub(r"(?<!\\) +$", "", line.removesuffix("\r"))
    if not line or line.startswith("#"):
        return None
    keeps = line.startswith("!")
    line = line[keeps:]
    folders_only = line.endswith("/")
    line = line[:-1] if folders_only else line
    if not line:
        return None
    anchored = "/" in line
    try:
        pattern = re.compile(_regex(line.removeprefix("/"), anchored))
    except re.error:
        return None
    return Rule(folder, pattern, folders_only, keeps)


def _regex(pattern: str, anchored: bool) -> str:
    """`**` between slashes stands for any number of folders; without a slash the name may be at any depth."""
    found, at = "" if anchored else "(?:.*/)?", 0
    while at < len(pattern):
        character, starts = pattern[at], at == 0 or pattern[at - 1] == "/"
        at += 1
        if starts and anchored and pattern.startswith("**/", at - 1):
            found, at = found + "(?:.*/)?", at + 2
        elif starts and anchored and pattern[at - 1 :] == "**":
            found, at = found + ".+", at + 1
        elif character == "*":
            found += "[^/]*"
        elif character == "?":
            found += "[^/]"
        elif character == "[":
            part, at = _class(pattern, at)
            found += part
        elif character == "\\":
            if at == len(pattern):
                raise re.error("a backslash at the end")
            found, at = found + re.escape(pattern[at]), at + 1
        else:
            found += re.escape(character)
    return found


def _class(pattern: str, at: int) -> tuple[str, int]:
    """The regular expression of `[…]`, which never stands for a slash, and where what follows it begins."""
    negated = pattern[at : at + 1] in ("!", "^")
    first = at + negated
    end = pattern.find("]", first + 1)
    if end < 0:
        raise re.error("a class without an end")
    inner = re.sub(r"([\\\[\]^&|~])", r"\\\1", pattern[first:end])
    return f"(?!/)[{'^' if negated else ''}{inner}]", end + 1
