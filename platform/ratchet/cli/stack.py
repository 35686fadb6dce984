"""The stack of this machine: `up`, `down`, `status`, `doctor`, `config`; and of any: `info`, `version`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ratchet.cli import output
from ratchet.cli.app import App

if TYPE_CHECKING:
    from types import ModuleType

    from ratchet.local import State, Status
    from ratchet.sdk.config import Connection

PANEL = "This machine"

Home = Annotated[
    Path | None,
    typer.Option(
        "--home", envvar="RATCHET_HOME", metavar="FOLDER", help="Where the stack lives; ~/.ratchet by default."
    ),
]


def add_to(app: App) -> None:
    app.add("up", "ratchet up", "ratchet up --detach --port 9000", panel=PANEL, remote=False)(up)
    app.add("down", "ratchet down", panel=PANEL, remote=False)(down)
    app.add("status", "ratchet status", "ratchet status --json", panel=PANEL, remote=False)(status)
    app.add("doctor", "ratchet doctor", panel=PANEL, remote=False)(doctor)
    app.add("config", 'eval "$(ratchet config)"', "ratchet config --show-token", panel=PANEL)(config)


def add_info_to(app: App) -> None:
    app.add("info", "ratchet info", panel="Administer")(info)
    app.add("version", "ratchet version", panel="Administer", remote=False)(version)


def up(
    home: Home = None,
    port: Annotated[int | None, typer.Option("--port", min=1, max=65_535, help="For the API; 8470 by default.")] = None,
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Go on in the background.")] = False,
) -> None:
    """Start Ray, MLflow, the API and the reconciler on this machine.

    A second `up` finds the first. Everything lives in one folder; started again, it is as it was.
    """
    with _local() as local:
        state = local.up(_home(home), port=port, detach=detach, console=output.stderr(), on_ready=_welcome)
    if output.options.json:
        output.print_json({"home": state.home, "urls": state.urls})


def _welcome(state: State) -> None:
    home, urls = Path(state.home), state.urls
    api = urls["api"].rstrip("/").removesuffix("/api/v1")
    lines = [
        "",
        f"[bold green]Ratchet is up.[/bold green]  Dashboard: [link={urls['dashboard']}]{urls['dashboard']}[/link]",
        f"  token  [dim]{home / 'token'}[/dim]",
        "  CLI    [cyan]ratchet train --data sklearn://breast_cancer --model cancer --follow[/cyan]",
        "  SDK    [cyan]from ratchet.sdk import Client; Client().info()[/cyan]",
        f'  curl   [cyan]curl -H "Authorization: Bearer $(cat {home / "token"})" {api}/api/v1/info[/cyan]',
        '  MLflow [cyan]eval "$(ratchet config)"[/cyan]',
        "",
    ]
    output.say("\n".join(lines))


def down(home: Home = None) -> None:
    """Stop the stack of this machine, and nothing else."""
    with _local() as local:
        stopped = local.down(_home(home))
    output.emit({"stopped": stopped}, lambda: output.say("Stopped." if stopped else "Nothing was running."))


def status(home: Home = None) -> None:
    """Show what runs, where, and what it weighs. The exit status is 6 when nothing runs."""
    with _local() as local:
        found = local.status(_home(home))
    output.emit(_status_data(found), lambda: _show_status(found))
    if found.state is None:
        raise typer.Exit(6)


def _status_data(found: Status) -> dict[str, Any]:
    state = found.state
    return {
        "running": state is not None,
        "healthy": found.healthy,
        "uptime_s": round(found.uptime_s, 1),
        "urls": state.urls if state else {},
        "services": [vars(service) for service in state.services] if state else [],
        "memory_bytes": found.memory_bytes,
        "memory": [vars(part) for part in found.memory],
    }


def _show_status(found: Status) -> None:
    if found.state is None:
        output.say("Nothing runs. Start it: ratchet up")
        return
    output.fields(
        [
            ("stack", output.status("ready" if found.healthy else "degraded")),
            ("home", found.state.home),
            ("up for", output.duration(found.uptime_s)),
            *((name, url) for name, url in found.state.urls.items()),
        ]
    )
    output.heading("Services")
    output.table(
        ["SERVICE", "STATUS", ">PID", ">RESTARTS", "MESSAGE"],
        (
            [one.title, output.status(one.status), one.pid, one.restarts or "", one.message]
            for one in found.state.services
        ),
        empty="None.",
    )
    output.heading(f"Memory: {found.memory_bytes / 1e6:,.0f} MB (proportional set size)")
    parts = sorted(found.memory, key=lambda part: -part.bytes)
    output.table(["PART", ">MB"], ([part.part, f"{part.bytes / 1e6:,.0f}"] for part in parts), empty="")


def doctor(home: Home = None) -> None:
    """Check what a stack needs on this machine; what is wrong comes with its remedy."""
    with _local() as local:
        checks = local.doctor(_home(home))
    signs = {"ok": "[green]✔[/green]", "warn": "[yellow]▲[/yellow]", "fail": "[red]✘[/red]"}

    def draw() -> None:
        from rich.markup import escape

        console = output.stdout()
        for check in checks:
            console.print(f"{signs[check.level]} [bold]{escape(check.name):<18}[/bold] {escape(check.detail)}")
            if check.remedy:
                console.print(f"  [cyan]→[/cyan] {escape(check.remedy)}")

    output.emit([vars(check) for check in checks], draw)
    if any(check.level == "fail" for check in checks):
        raise typer.Exit(1)


def config(
    show_token: Annotated[bool, typer.Option("--show-token", help="Print the tokens themselves.")] = False,
) -> None:
    """Print the environment with which SDK, mlflow and ray reach this Ratchet.

    The lines read the tokens from their files when they are evaluated, so that no secret is on the screen.
    """
    from ratchet.sdk.config import local_state, resolve

    chosen = output.options
    connection = resolve(chosen.url, None, chosen.project, chosen.token_file)
    variables = _environment(connection, local_state(connection.home), show_token=show_token)
    if chosen.json:
        shown = {name: None if text.startswith('"$') else text for name, text in variables.items()}
        output.print_json({name: _unquoted(text) for name, text in shown.items()})
        return
    for name, text in variables.items():
        typer.echo(f"export {name}={text}")


def _environment(connection: Connection, state: dict[str, Any], *, show_token: bool) -> dict[str, str]:
    """Variables and their values as a POSIX shell reads them."""
    from shlex import quote

    urls = state.get("urls") or {}
    local = (
        str(urls.get("api", "")).startswith(connection.url + "/")
        or urls.get("dashboard", "-").rstrip("/") == connection.url
    )
    found = {"RATCHET_URL": quote(connection.url), "RATCHET_PROJECT": quote(connection.project)}
    if connection.token_file:
        found["RATCHET_TOKEN_FILE"] = quote(str(connection.token_file.absolute()))
        secret = f'"$(cat {quote(str(connection.token_file.absolute()))})"'
    else:
        secret = '"$RATCHET_TOKEN"'  # noqa: S105  its name
    found["MLFLOW_TRACKING_URI"] = quote(f"{connection.url}/mlflow")
    if connection.token:
        found["MLFLOW_TRACKING_TOKEN"] = quote(connection.token) if show_token else secret
    if local and urls.get("ray"):
        found["RAY_ADDRESS"] = quote(str(urls["ray"]))
        found["RAY_AUTH_MODE"] = "token"
        found["RAY_AUTH_TOKEN_PATH"] = quote(str(connection.home.absolute() / "ray.token"))
    return found


def _unquoted(text: str | None) -> str | None:
    from shlex import split

    return None if text is None else split(text)[0]


def info() -> None:
    """Show the platform's version, addresses and cluster, and who you are to it."""
    from ratchet.cli.context import client

    with client() as ratchet:
        found, me, where = ratchet.info(), ratchet.me(), ratchet.connection
    cluster = found.cluster

    def draw() -> None:
        output.fields(
            [
                ("url", where.url),
                ("version", found.version),
                ("you", f"{me.actor} ({me.scope})"),
                ("project", where.project),
                ("MLflow", found.urls.mlflow),
                ("predictions", found.urls.serving),
                ("cluster", cluster.status if cluster else "not seen yet"),
                ("CPUs", cluster.cpus if cluster else None),
                ("GPUs", cluster.gpus if cluster else None),
                ("memory", f"{(cluster.memory_bytes or 0) / 1e9:.1f} GB" if cluster else None),
            ]
        )

    output.emit({**found.dump(), "me": me.dump()}, draw)


def version() -> None:
    """Show the version of this program."""
    from ratchet import __version__

    output.emit({"version": __version__}, lambda: typer.echo(f"ratchet {__version__}"))


def _home(given: Path | None) -> Path:
    from ratchet.sdk.config import home_folder

    return given.expanduser() if given else home_folder()


@contextmanager
def _local() -> Iterator[ModuleType]:
    """The local stack's functions; what keeps a part from starting becomes an error for a person."""
    from ratchet import local
    from ratchet.sdk.errors import RatchetError

    try:
        yield local
    except local.StackError as error:
        if error.log:
            output.stderr().print(error.log, markup=False, style="dim")
        raise RatchetError(str(error), hint=error.hint) from error
