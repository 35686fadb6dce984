"""Everything that can go wrong, as one tree: `except RatchetError` catches all of it.

The API answers errors as RFC 9457 problem details; `from_problem` turns one into the exception that fits. The message
of each says what is wrong (field and value included) and, where the API knows it, what to do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class FieldError:
    """One field of a request that is wrong."""

    pointer: str
    """Where, as a JSON Pointer (RFC 6901) into the request's body: `/params/epochs`."""
    message: str
    value: Any = None

    @property
    def field(self) -> str:
        """The pointer as people write it: `params.epochs`."""
        parts = [
            part.replace("~1", "/").replace("~0", "~") for part in self.pointer.removeprefix("#").split("/") if part
        ]
        return ".".join(parts)

    def __str__(self) -> str:
        shown = "" if self.value is None else f" (got {_short(self.value)})"
        return f"{self.field or 'request'}: {self.message}{shown}"


def _short(value: Any, limit: int = 80) -> str:
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"


class RatchetError(Exception):
    """The root of the tree."""

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        code: str = "",
        hint: str = "",
        errors: Sequence[FieldError] = (),
        request_id: str = "",
    ) -> None:
        self.message = message
        self.status = status
        """The HTTP status, or None when there was no answer."""
        self.code = code
        """The word that the API has for this error."""
        self.hint = hint
        self.errors = tuple(errors)
        self.request_id = request_id
        super().__init__(message)

    def __str__(self) -> str:
        lines = [self.message, *(f"  {error}" for error in self.errors)]
        if self.hint:
            lines.append(f"  {self.hint}")
        return "\n".join(lines)


class Unauthorized(RatchetError):
    """No token, or one that is unknown, expired or revoked."""


class Forbidden(RatchetError):
    """The token's scope does not cover this."""


class NotFound(RatchetError):
    """There is no such thing, in this project."""


class Conflict(RatchetError):
    """What is there does not allow it: the name is taken, or the state does not permit the move."""


class Invalid(RatchetError):
    """The request is wrong; `errors` names each field."""


class RateLimited(RatchetError):
    """Too many requests, also after waiting as long as the server asked."""


class ServerError(RatchetError):
    """The server failed; `request_id` finds the case in its log."""


class ServerUnavailable(RatchetError):
    """The server cannot be reached, or says that it is not ready."""


class WaitTimeout(RatchetError, TimeoutError):
    """The thing waited for goes on, but not to its end within the time given."""


class WorkFailed(RatchetError):
    """The thing waited for ended, and not well. `resource` is its last state."""

    def __init__(self, message: str, resource: Any) -> None:
        super().__init__(message)
        self.resource = resource


class JobFailed(WorkFailed):
    """A job failed or was cancelled; `resource.reason` and `resource.message` say why."""


_BY_STATUS: dict[int, type[RatchetError]] = {
    400: Invalid,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    412: Conflict,
    413: Invalid,
    415: Invalid,
    422: Invalid,
    429: RateLimited,
    502: ServerUnavailable,
    503: ServerUnavailable,
    504: ServerUnavailable,
}


def from_problem(status: int, problem: Mapping[str, Any], *, reason: str = "") -> RatchetError:
    """The exception of an HTTP status and its problem details (an empty mapping when the body was none)."""
    default = ServerError if status >= 500 else RatchetError
    errors = [
        FieldError(str(error.get("pointer", "")), str(error.get("message", "")), error.get("value"))
        for error in problem.get("errors") or []
        if isinstance(error, Mapping)
    ]
    message = str(problem.get("detail") or problem.get("title") or reason or "The server gave no reason.")
    return _BY_STATUS.get(status, default)(
        message if problem else f"{message} (HTTP {status})",
        status=status,
        code=str(problem.get("code") or ""),
        hint=str(problem.get("hint") or ""),
        errors=errors,
        request_id=str(problem.get("request_id") or ""),
    )
