"""`ratchet monitors`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ratchet.cli import completion, output
from ratchet.cli.app import App
from ratchet.cli.context import client
from ratchet.cli.options import Listing

if TYPE_CHECKING:
    from ratchet.sdk.resources import Check, Monitor

app = App("Monitors: drift of what is asked against what was learned, checks and alerts.")

Name = Annotated[str, typer.Argument(metavar="MONITOR", help="The monitor's name.", autocompletion=completion.monitors)]


@app.add("list", "ratchet monitors list")
def list_monitors(listed: Listing) -> None:
    """List monitors."""
    with client() as ratchet:
        found = list(ratchet.monitors.list(**vars(listed)))
    output.listing(
        found,
        ["MONITOR", "ENDPOINT", "STATUS", "SCHEDULE", "NEXT CHECK", "LAST VERDICT"],
        lambda one: [
            one.name,
            one.endpoint,
            output.status(one.status),
            one.schedule,
            one.next_check_at,
            output.status(one.last_check.verdict or one.last_check.status) if one.last_check else "",
        ],
        empty="No monitors yet. The first: ratchet monitors create NAME --endpoint E --schedule '0 * * * *'",
        limit=listed.limit,
    )


@app.add("show", "ratchet monitors show cancer-drift")
def show(monitor: Name) -> None:
    """Show a monitor and its checks."""
    from itertools import islice

    with client() as ratchet:
        found, checks = ratchet.monitors.get(monitor), list(islice(ratchet.monitors.checks(monitor), 10))

    def draw() -> None:
        show_monitor(found)
        output.heading("Checks")
        _checks(checks)

    output.emit({**found.dump(), "checks": [check.dump() for check in checks]}, draw)


def show_monitor(monitor: Monitor) -> None:
    output.fields(
        [
            ("monitor", monitor.name),
            ("endpoint", monitor.endpoint),
            ("status", output.status(monitor.status)),
            ("schedule", monitor.schedule),
            ("next check", monitor.next_check_at),
            ("last verdict", output.status(monitor.last_check.verdict) if monitor.last_check else None),
        ]
    )


def _checks(checks: list[Check]) -> None:
    output.table(
        ["CHECK", "STATUS", "VERDICT", ">DRIFTED", "WINDOW", "JOB", "MESSAGE"],
        (
            [
                one.id,
                output.status(one.status),
                output.status(one.verdict) if one.verdict else "",
                one.drifted_columns,
                f"{one.since:%Y-%m-%d %H:%M:%S} … {one.until:%H:%M:%S}" if one.since and one.until else "",
                one.job,
                one.message,
            ]
            for one in checks
        ),
        empty="No checks yet. Check now: ratchet monitors check MONITOR --wait",
    )


@app.add(
    "create",
    "ratchet monitors create cancer-drift --endpoint cancer --schedule '*/10 * * * *' --pipeline retrain-cancer",
)
def create(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    endpoint: Annotated[str, typer.Option("--endpoint", "-e", help="Whose requests are watched.")],
    schedule: Annotated[str, typer.Option("--schedule", "-s", metavar="CRON", help="Five fields, UTC.")] = "0 * * * *",
    window: Annotated[
        int | None, typer.Option("--window", metavar="SECONDS", help="How far back a check looks.")
    ] = None,
    alpha: Annotated[float | None, typer.Option("--alpha", help="Chance that a check alarms without drift.")] = None,
    min_rows: Annotated[int | None, typer.Option("--min-rows", help="With fewer rows a check says nothing.")] = None,
    pipeline: Annotated[str | None, typer.Option("--pipeline", help="What an alert starts.")] = None,
) -> None:
    """Watch an endpoint for drift."""
    settings: dict[str, Any] = {"window_s": window, "alpha": alpha, "min_rows": min_rows, "pipeline": pipeline}
    spec = {
        "name": name,
        "endpoint": endpoint,
        "schedule": schedule,
        **{key: value for key, value in settings.items() if value is not None},
    }
    with client() as ratchet:
        monitor = ratchet.monitors.create(spec)
    output.emit(monitor, lambda: show_monitor(monitor))
    output.note(f"Check now: ratchet monitors check {monitor.name} --wait")


@app.add("check", "ratchet monitors check cancer-drift --wait")
def check(
    monitor: Name, wait: Annotated[bool, typer.Option("--wait", "-w", help="Wait for the verdict.")] = False
) -> None:
    """Check now, whatever the schedule says."""
    with client() as ratchet:
        found = ratchet.monitors.check(monitor)
        if wait:
            found = ratchet.monitors.wait_check(
                found, on_change=lambda now: output.say(f"[dim]{now.status} {now.message or ''}[/dim]")
            )
    output.emit(found, lambda: _checks([found]))


@app.add("pause", "ratchet monitors pause cancer-drift")
def pause(monitor: Name) -> None:
    """Stop the scheduled checks."""
    with client() as ratchet:
        paused = ratchet.monitors.pause(monitor)
    output.emit(paused, lambda: show_monitor(paused))


@app.add("resume", "ratchet monitors resume cancer-drift")
def resume(monitor: Name) -> None:
    """Take up the scheduled checks again."""
    with client() as ratchet:
        resumed = ratchet.monitors.resume(monitor)
    output.emit(resumed, lambda: show_monitor(resumed))


@app.add("alerts", "ratchet monitors alerts cancer-drift")
def alerts(monitor: Name) -> None:
    """List a monitor's alerts."""
    with client() as ratchet:
        found = list(ratchet.monitors.alerts(monitor))
    output.emit(
        found,
        lambda: output.table(
            ["ALERT", "AT", "CHECK", "STARTED", "MESSAGE"],
            ([one.id, one.created_at, one.check, one.pipeline_run, one.message] for one in found),
            empty="No alerts.",
        ),
    )


@app.add("report", "ratchet monitors report check-… --out drift.html")
def report(
    check: Annotated[str, typer.Argument(metavar="CHECK", help="The check's id.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", metavar="FILE", help="Instead of stdout.")] = None,
) -> None:
    """Get a check's report (HTML)."""
    with client() as ratchet:
        html = ratchet.monitors.report(check)
    if out is None:
        output.emit({"html": html}, lambda: typer.echo(html))
        return
    out.write_text(html, encoding="utf-8")
    output.emit({"file": str(out)}, lambda: output.say(f"Written to {out}."))
