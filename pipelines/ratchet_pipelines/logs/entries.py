"""A log's entries: a line each, or a whole traceback; with a level, found in the text, and a place in the log."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

LEVELS = ("debug", "info", "warning", "error")
"""From the least to the gravest."""
MAX_LINE = 16 * 1024
"""Characters; what is longer is cut, and says so."""
MAX_LINES_OF_ENTRY = 1_000

CONTROL = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]{0,500}(?:\x07|\x1b\\)?|[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]"
)
"""Colours, cursor moves, and what else a terminal would obey: a log is read by people, in terminals and browsers."""
WORD = re.compile(r"\b(?:(DEBUG|TRACE)|(INFO|NOTICE)|(WARN(?:ING)?)|(ERROR|CRITICAL|FATAL|SEVERE))\b")
JSON_LEVEL = re.compile(r"\"(?:level|severity|levelname|log_level)\"\s*:\s*\"(\w{1,20})\"", re.IGNORECASE)
EXCEPTION = re.compile(r"(?:[A-Za-z_][\w.]{0,200}\.)?[A-Z]\w{0,100}(?:Error|Exception|Interrupt|Exit|Group)\b(?::|$)")
WARNED = re.compile(r"\b\w{0,60}Warning: ")
GLOG = re.compile(r"[IWEF]\d{4} \d\d:\d\d|\[[DIWEC] \d")
NAMES = {"trace": "debug", "notice": "info", "warn": "warning", "critical": "error", "fatal": "error"}
LETTERS = {"D": "debug", "I": "info", "W": "warning", "E": "error", "F": "error", "C": "error"}

PREFIX = re.compile(r"\([A-Za-z_][^)]{0,100}\bpid=\d+[^)]{0,60}\) ?")
"""What Ray puts before a line of another process."""
TRACEBACK = re.compile(r"\s*(?:\+ (?:Exception Group )?)?Traceback \(most recent call last\)|Fatal Python error: ")
LINKS = ("During handling of the above exception", "The above exception was the direct cause")
THREAD = re.compile(r"(?:Current thread|Thread) 0x")


@dataclass
class Entry:
    """`number` is that of its first line in its process's log, from 0; `time` is in seconds since 1970, UTC."""

    number: int
    time: float
    level: str
    text: str

    @property
    def following(self) -> int:
        """The number of the line after it."""
        return self.number + self.text.count("\n") + 1

    def dump(self) -> str:
        """A line of a chunk."""
        return json.dumps([self.number, round(self.time, 3), self.level, self.text], ensure_ascii=False)


def parse(chunk: bytes) -> Iterator[Entry]:
    """The entries of a chunk; what is no entry is passed over."""
    for line in chunk.decode(errors="replace").split("\n"):
        if line:
            try:
                yield Entry(*json.loads(line))
            except (ValueError, TypeError):
                continue


def level_of(text: str) -> str:
    """What the line says of its own gravity; `info` when nothing."""
    start = PREFIX.sub("", text[:400], count=1)[:200]
    if (said := JSON_LEVEL.search(start)) is not None:
        name = said[1].lower()
        return NAMES.get(name, name if name in LEVELS else "info")
    if GLOG.match(start):
        return LETTERS[start[1] if start[0] == "[" else start[0]]
    if (word := WORD.search(start[:100])) is not None:
        return LEVELS[(word.lastindex or 2) - 1]
    if EXCEPTION.match(start):
        return "error"
    return "warning" if WARNED.search(start) else "info"


def cleaned(line: str) -> str:
    """A line as it would stand on a terminal in the end: what a carriage return wrote over is gone."""
    text = CONTROL.sub("", line.rstrip("\r").rpartition("\r")[2])
    return text if len(text) <= MAX_LINE else f"{text[:MAX_LINE]} … [{len(text) - MAX_LINE} characters more were cut]"


@dataclass
class Line:
    number: int
    time: float
    text: str


class Grouper:
    """Makes entries of lines: a traceback, with those it was raised from, is one."""

    def __init__(self) -> None:
        self._group: list[Line] = []
        self._told = False
        """The group's last exception was named: it ends here, unless another follows from it."""

    def take(self, line: Line) -> Iterator[Entry]:
        if self._group and not self._belongs(line):
            yield from self.flush()
        if self._group or TRACEBACK.match(PREFIX.sub("", line.text, count=1)):
            self._group.append(line)
            if len(self._group) >= MAX_LINES_OF_ENTRY:
                yield from self.flush()
        else:
            yield Entry(line.number, line.time, level_of(line.text), line.text)

    def flush(self) -> Iterator[Entry]:
        """What is held back: at the end, or when nothing came for a while."""
        blank = 0
        while self._group and not self._group[-1 - blank].text.strip():
            blank += 1
        lines, rest = self._group[: len(self._group) - blank], self._group[len(self._group) - blank :]
        self._group, self._told = [], False
        if lines:
            yield Entry(lines[0].number, lines[0].time, "error", "\n".join(line.text for line in lines))
        for line in rest:
            yield Entry(line.number, line.time, "info", line.text)

    @property
    def holds(self) -> bool:
        return bool(self._group)

    def _belongs(self, line: Line) -> bool:
        text = PREFIX.sub("", line.text, count=1)
        if line.number != self._group[-1].number + 1:
            return False  # lines between them were dropped
        if not text.strip() or text.startswith(LINKS) or TRACEBACK.match(text) or THREAD.match(text):
            self._told = self._told and not TRACEBACK.match(text)
            return True
        if self._told:
            return False
        self._told = not text[0].isspace() and "|" not in text[:6]
        return True


def grouped(lines: Iterable[Line]) -> Iterator[Entry]:
    grouper = Grouper()
    for line in lines:
        yield from grouper.take(line)
    yield from grouper.flush()


def of_text(text: str, time: float, mask: Any = str) -> Iterator[Entry]:
    """The entries of a whole log that was kept as text, all under one time."""
    lines = text.removesuffix("\n").split("\n") if text else []
    return grouped(Line(number, time, mask(cleaned(line))) for number, line in enumerate(lines))
