"""What goes to the terminal: data to stdout (as JSON with `--json`), messages to stderr."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

from ratchet.cli.context import options as options

if TYPE_CHECKING:
    from rich.console import Console

T = TypeVar("T")
PIPE_WIDTH = 10_000
"""Nothing is cut off or wrapped when a program reads."""

_GOOD = {"succeeded", "ready", "passed", "promote", "active", "no_drift", "ok", "running_ok"}
_BAD = {"failed", "refused", "roll_back", "drift", "error", "down"}
_MOVING = {
    *{"queued", "starting", "running", "finalizing", "pending", "evaluating", "deploying", "updating", "loading"},
    *{"cancelling", "deleting", "go_on", "restarting", "waiting"},
}
_WARN = {"cancelled", "degraded", "stopped", "skipped", "insufficient_data", "inconclusive", "paused", "warning"}
_BARS = "▁▂▃▄▅▆▇█"


def stdout() -> Console:
    return _console(stderr=False)


def stderr() -> Console:
    return _console(stderr=True)


def _console(*, stderr: bool) -> Console:
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    return Console(
        stderr=stderr,
        highlight=False,
        width=None if stream.isatty() else PIPE_WIDTH,
        color_system="auto" if styled(stream) else None,
    )


def styled(stream: TextIO) -> bool:
    """Whether what is written to it may have colours and bold type."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def emit(data: Any, draw: Callable[[], None]) -> None:
    """The result of a command: as JSON with `--json`, as ids or names with `--quiet`, else as `draw` draws it."""
    emit_json(data)
    show(data, draw)


def emit_json(data: Any) -> None:
    """With `--json` alone."""
    if options.json:
        print_json(data)


def show(data: Any, draw: Callable[[], None]) -> None:
    """Without `--json` alone."""
    if options.json:
        return
    keys = [one.key for one in (data if isinstance(data, list) else [data]) if hasattr(one, "key")]
    if options.quiet and (keys or data == []):
        sys.stdout.writelines(f"{key}\n" for key in keys)
    else:
        draw()


def print_json(data: Any) -> None:
    sys.stdout.write(json.dumps(plain(data), indent=2, ensure_ascii=False, default=str) + "\n")


def plain(data: Any) -> Any:
    """Resources as what JSON can hold."""
    if hasattr(data, "dump"):
        return data.dump()
    if isinstance(data, dict):
        return {key: plain(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [plain(value) for value in data]
    return data


def say(message: str) -> None:
    """A message for a person (rich markup); silent with `--json` and `--quiet`, and never among the data."""
    if not (options.json or options.quiet):
        stderr().print(message)


def cut(shown: Sequence[Any], limit: int) -> None:
    """Says that a list may go on where it was cut off."""
    if len(shown) >= limit:
        note(f"At most {limit} are shown: --limit {10 * limit} shows more, --filter chooses.")


def listing(
    found: Sequence[T], columns: Sequence[str], row: Callable[[T], Sequence[Any]], *, empty: str, limit: int
) -> None:
    """A list as a table, with a word when it may go on."""
    emit(found, lambda: table(columns, (row(one) for one in found), empty=empty))
    cut(found, limit)


def note(message: str) -> None:
    """What to do next."""
    say(f"[dim]{message}[/dim]")


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, empty: str) -> None:
    """Rows under headings; when there are none, `empty` says how the first comes to be."""
    from rich.table import Table

    shown = Table(box=None, pad_edge=False, header_style="bold dim", padding=(0, 2, 0, 0))
    for i, column in enumerate(columns):
        right = column.startswith(">")
        # Only the last, the message, is broken over lines: ids and states stay whole, to be read and copied.
        shown.add_column(
            column.removeprefix(">"),
            justify="right" if right else "left",
            overflow="fold",
            no_wrap=i < len(columns) - 1,
        )
    for row in rows:
        shown.add_row(*(cell if hasattr(cell, "__rich_console__") else _cell(cell) for cell in row))
    if shown.row_count:
        stdout().print(shown)
    else:
        stderr().print(f"[dim]{empty}[/dim]")


def fields(pairs: Iterable[tuple[str, Any]]) -> None:
    """Names and values, one a line; what is empty is left out."""
    from rich.table import Table

    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="dim")
    grid.add_column(overflow="fold")
    for name, value in pairs:
        if value not in (None, "", [], {}):
            grid.add_row(name, value if hasattr(value, "__rich_console__") else _cell(value))
    stdout().print(grid)


def heading(text: str) -> None:
    stdout().print(f"\n[bold]{text}[/bold]")


def _cell(value: Any) -> Any:
    from rich.text import Text

    if isinstance(value, Text):
        return value
    if isinstance(value, datetime):
        return ago(value)
    if isinstance(value, float):
        return number(value)
    return Text("" if value is None else str(value))


def status(word: str | None) -> Any:
    """A state with its sign and colour; the sign tells it apart without colour too."""
    from rich.text import Text

    word = word or "-"
    for words, sign, style in (
        (_GOOD, "✔", "green"),
        (_BAD, "✘", "red"),
        (_MOVING, "●", "blue"),
        (_WARN, "▲", "yellow"),
    ):
        if word in words:
            return Text(f"{sign} {word}", style=style)
    return Text(word)


def number(value: float | None, digits: int = 4) -> str:
    """Significant digits, without an exponent where it can be."""
    if value is None or not math.isfinite(value):
        return "-" if value is None else str(value)
    if value == int(value) and abs(value) < 1e9:
        return f"{int(value)}"
    return f"{value:.{digits}g}"


def percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.4g} %"


def ago(moment: datetime | None, now: datetime | None = None) -> str:
    """How long ago, as people say it; the full time (RFC 3339) when a program reads."""
    if moment is None:
        return ""
    if not sys.stdout.isatty():
        return moment.isoformat()
    seconds = ((now or datetime.now(UTC)) - moment).total_seconds()
    text = duration(abs(seconds))
    return f"in {text}" if seconds < 0 else f"{text} ago"


def duration(seconds: float) -> str:
    """The two largest units: `2 h 5 min`."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86_400
    if hours < 1:
        return f"{minutes:.0f} min {seconds % 60:.0f} s"
    if days < 1:
        return f"{hours:.0f} h {minutes % 60:.0f} min"
    return f"{days:.0f} d {hours % 24:.0f} h"


def elapsed(start: datetime | None, end: datetime | None) -> str:
    return "" if start is None else duration(((end or datetime.now(UTC)) - start).total_seconds())


def sparkline(values: Sequence[float | None], width: int = 40) -> str:
    """The course of a series as bars; each bar is the mean of its share of the points."""
    finite = [value for value in values if value is not None and math.isfinite(value)]
    if not finite:
        return ""
    width = min(width, len(finite))
    edges = [round(i * len(finite) / width) for i in range(width + 1)]
    means = [sum(finite[a:b]) / (b - a) for a, b in pairwise(edges)]
    low, high = min(means), max(means)
    scale = (len(_BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(_BARS[round((mean - low) * scale)] for mean in means)
