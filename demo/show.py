"""How the demo tells what happens: a heading for each station, a line that moves while it waits, a table at the end."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.markup import escape
from rich.table import Table


class StationFailed(Exception):
    """A station did not really happen."""

    def __init__(self, station: str, why: str) -> None:
        super().__init__(f"{station}: {why}")
        self.station = station
        self.why = why


@dataclass
class Result:
    station: str
    seconds: float
    what: str


class Show:
    def __init__(self) -> None:
        self.console = Console()
        self.results: list[Result] = []
        self.began = time.monotonic()

    @contextmanager
    def station(self, name: str, words: str) -> Iterator[Station]:
        self.console.rule(f"[bold]{len(self.results) + 1}. {name}", align="left")
        self.console.print(words, style="dim")
        began = time.monotonic()
        station = Station(self, name)
        try:
            with self.console.status("…") as status:
                station.status = status
                yield station
        except StationFailed:
            raise
        except Exception as error:
            raise StationFailed(name, f"{type(error).__name__}: {error}") from error
        seconds = time.monotonic() - began
        self.results.append(Result(name, seconds, station.what))
        self.console.print(f"[green]✓[/] {escape(station.what)}  [dim]{seconds:.1f} s[/]")

    def table(self, pages: dict[str, str]) -> None:
        table = Table(title="What happened", title_justify="left")
        table.add_column("station")
        table.add_column("seconds", justify="right")
        table.add_column("result")
        for result in self.results:
            table.add_row(result.station, f"{result.seconds:.1f}", escape(result.what))
        total = time.monotonic() - self.began
        table.add_row("[bold]in all", f"[bold]{total:.1f}", "", end_section=True)
        self.console.print(table)
        self.console.print("[bold]Pages to open")
        for name, url in pages.items():
            self.console.print(f"  {name:<14} {url}", soft_wrap=True)


class Station:
    def __init__(self, show: Show, name: str) -> None:
        self.show = show
        self.name = name
        self.what = ""
        self.status: object = None
        self.last = ""

    def tell(self, text: str) -> None:
        """What is going on now. Printed when it is news and there is no terminal to move a line on."""
        if text == self.last:
            return
        self.last = text
        if self.show.console.is_terminal:
            self.status.update(escape(text))  # type: ignore[attr-defined]
        else:
            self.show.console.print(f"  {text}", markup=False)

    def require(self, happened: bool, why: str) -> None:
        if not happened:
            raise StationFailed(self.name, why)

    def done(self, what: str) -> None:
        self.what = what
