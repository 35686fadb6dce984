"""Which entries of a log a reader wants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from ratchet.errors import FieldError, Invalid
from ratchet_pipelines.logs.entries import LEVELS, Entry


class LogLevel(StrEnum):
    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True)
class LogFilter:
    attempt: int | None = None
    source: str | None = None
    level: LogLevel | None = None
    """This grave or graver."""
    search: str | None = None
    """Text that the entry holds, whatever its case; a regular expression with `regex`."""
    regex: bool = False

    def check(self) -> None:
        """`Invalid` for a pattern that can't be read."""
        if self.regex and self.search:
            try:
                self.choose([Entry(0, 0, "error", "")])
            except ValueError as error:
                fault = FieldError(pointer="/query/search", message=str(error), value=self.search)
                hint = "The syntax is RE2's: no look-around, no back-references."
                raise Invalid("The search is no regular expression.", errors=[fault], hint=hint) from error

    def takes(self, attempt: int, source: str) -> bool:
        return self.attempt in (None, attempt) and self.source in (None, source)

    def choose(self, entries: Sequence[Entry]) -> list[bool]:
        """Whether each is wanted."""
        least = LEVELS.index(self.level) if self.level else 0
        chosen = [LEVELS.index(entry.level) >= least if entry.level in LEVELS else True for entry in entries]
        if not self.search or not entries:
            return chosen
        if self.regex:
            found = _matches([entry.text for entry in entries], self.search)
        else:
            text = self.search.lower()
            found = [text in entry.text.lower() for entry in entries]
        return [one and other for one, other in zip(chosen, found, strict=True)]


def _matches(texts: list[str], pattern: str) -> list[bool]:
    """By RE2, in time linear in the text: no user's pattern can hold up the API. `ValueError` when it is invalid."""
    import pyarrow as pa
    import pyarrow.compute as pc

    array = pa.array([text.encode(errors="replace").decode() for text in texts], pa.string())
    found: list[bool] = pc.match_substring_regex(array, pattern=pattern, ignore_case=True).to_pylist()
    return found
