"""Errors as a person and a script see them: what is wrong, where, what to do; and an exit status that says which."""

from __future__ import annotations

from typing import Any

from ratchet.cli import output
from ratchet.cli.context import options
from ratchet.sdk.errors import (
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    RatchetError,
    ServerUnavailable,
    Unauthorized,
    WorkFailed,
)

FAILURE, USAGE, AUTH, NOT_FOUND, CONFLICT, UNREACHABLE, WORK_FAILED = 1, 2, 3, 4, 5, 6, 7

_STATUS: list[tuple[type[RatchetError], int]] = [
    (Unauthorized, AUTH),
    (Forbidden, AUTH),
    (NotFound, NOT_FOUND),
    (Conflict, CONFLICT),
    (Invalid, USAGE),
    (ServerUnavailable, UNREACHABLE),
    (WorkFailed, WORK_FAILED),
]


class UsageError(RatchetError):
    """What was typed, or what a file holds, is wrong."""


def from_typer(error: Exception) -> UsageError:
    """What typer finds wrong with what was typed."""
    message = error.format_message() if hasattr(error, "format_message") else str(error)
    where = getattr(getattr(error, "ctx", None), "command_path", "ratchet")
    return UsageError(message if message.endswith((".", "?")) else f"{message}.", hint=f"See `{where} --help`.")


def exit_status(error: Exception) -> int:
    if isinstance(error, UsageError):
        return USAGE
    return next((status for kind, status in _STATUS if isinstance(error, kind)), FAILURE)


def report(error: Exception) -> int:
    """Tells what went wrong on stderr; gives the exit status."""
    status = exit_status(error)
    if not isinstance(error, RatchetError):
        error = RatchetError(
            f"{type(error).__name__}: {error}",
            hint="This is a fault of the program. RATCHET_DEBUG=1 shows where; please report it.",
        )
    if options.json:
        _report_json(error, status)
    else:
        _report_text(error)
    return status


def _report_text(error: RatchetError) -> None:
    from rich.markup import escape

    console = output.stderr()
    console.print(f"[bold red]Error:[/bold red] {escape(error.message)}", soft_wrap=True)
    for field in error.errors:
        console.print(f"  [red]•[/red] {escape(str(field))}")
    hint = error.hint or (_SIGN_IN if isinstance(error, Unauthorized) else "")
    if hint:
        console.print(f"  [cyan]→[/cyan] {escape(hint)}")
    if error.status and error.status >= 500 and error.request_id:
        console.print(f"  [dim]request {escape(error.request_id)}[/dim]")


_SIGN_IN = "Give a token with RATCHET_TOKEN, RATCHET_TOKEN_FILE or --token-file."


def _report_json(error: RatchetError, status: int) -> None:
    """On stderr too, so that stdout holds data or nothing."""
    import json

    body: dict[str, Any] = {
        "error": error.message,
        "code": error.code or type(error).__name__,
        "status": error.status,
        "exit_status": status,
        "errors": [{"pointer": f.pointer, "message": f.message, "value": f.value} for f in error.errors],
        "hint": error.hint,
        "request_id": error.request_id,
    }
    output.stderr().print(json.dumps(body, default=str), markup=False)
