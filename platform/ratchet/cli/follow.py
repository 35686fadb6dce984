"""A job as it happens: a live view on a terminal, plain lines elsewhere."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from ratchet.cli import output

if TYPE_CHECKING:
    from rich.console import RenderableType

    from ratchet.sdk.client import Client
    from ratchet.sdk.jobs import Update
    from ratchet.sdk.resources import Job

LOG_LINES = 10


class View:
    """What is known of the job so far."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.series: dict[str, dict[int, float | None]] = {}
        self.log: deque[str] = deque(maxlen=LOG_LINES)

    def take(self, update: Update) -> list[str]:
        """Takes an update in; returns the whole log lines that it brought."""
        if update.job is not None:
            self.job = update.job
        elif update.kind == "metrics":
            for name, step, value in points(update.data):
                self.series.setdefault(name, {})[step] = value
        elif update.kind == "log":
            lines = log_lines(update.data)
            self.log.extend(lines)
            return lines
        return []

    def __rich__(self) -> RenderableType:
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        job = self.job
        head = Text.assemble(output.status(job.status), "  ", (job.name or job.id, "bold"), "  ")
        head.append(f"{job.kind}  {output.elapsed(job.started_at or job.created_at, job.ended_at)}", style="dim")
        parts: list[RenderableType] = [head]
        if job.message:
            parts.append(Text(f"  {job.message}", style="dim"))
        if self.series:
            grid = Table.grid(padding=(0, 2, 0, 2))
            for name, by_step in sorted(self.series.items()):
                values = [by_step[step] for step in sorted(by_step)]
                line = Text(output.sparkline(values), style="cyan")
                grid.add_row(
                    Text(name), Text(output.number(values[-1])), line, Text(f"step {max(by_step)}", style="dim")
                )
            parts += ["", grid]
        if self.log:
            parts += [
                "",
                Text("\n".join(f"│ {line}" for line in self.log), style="dim", no_wrap=True, overflow="ellipsis"),
            ]
        return Group(*parts)


def points(data: Any) -> list[tuple[str, int, float | None]]:
    """(metric, step, value) of a metrics event: the series with their new points."""
    series = data.get("series", []) if isinstance(data, dict) else []
    return [(item["name"], point.get("step", 0), point.get("value")) for item in series for point in item["points"]]


def log_lines(data: Any) -> list[str]:
    """The lines of a log event."""
    entries = data.get("entries", []) if isinstance(data, dict) else []
    return [line for entry in entries for line in str(entry.get("text", "")).split("\n")]


def follow(client: Client, job: Job) -> Job:
    """Shows the job until it has ended; gives its last state. Ctrl-C leaves the view, not the job."""
    view = View(job)
    try:
        if output.options.json or not output.stderr().is_terminal:
            _plain(client, view)
        else:
            _live(client, view)
    except KeyboardInterrupt:
        output.note(
            f"The job goes on. See it again: ratchet jobs follow {job.id}   Stop it: ratchet jobs cancel {job.id}"
        )
        raise
    return client.jobs.get(job.id)


def _live(client: Client, view: View) -> None:
    from rich.live import Live

    with Live(view, console=output.stderr(), refresh_per_second=4, transient=False):
        for update in client.jobs.follow(view.job):
            view.take(update)


def _plain(client: Client, view: View) -> None:
    console, last = output.stderr(), ""
    for update in client.jobs.follow(view.job):
        for line in view.take(update):
            console.print(line, markup=False, soft_wrap=True)
        state = " ".join(filter(None, [view.job.status, view.job.message]))
        if update.job is not None and state != last:
            console.print(f"[{view.job.id}] {state}", markup=False, soft_wrap=True)
            last = state
