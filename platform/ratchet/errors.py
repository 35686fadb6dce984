"""One tree of errors, and one handler that answers them as problem details (RFC 9457).

Services raise these and nothing of HTTP. A traceback or a secret never reaches a client.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException

from ratchet.logs import logger, request_id

PROBLEM = "application/problem+json"
MAX_VALUE_CHARACTERS = 100


class FieldError(BaseModel):
    """One field that is wrong: where (JSON Pointer, RFC 6901), what, and the value that was given."""

    pointer: str
    message: str
    value: Any = None


class Problem(BaseModel):
    """The body of every error (RFC 9457, section 3.1), with `code` for programs and `hint` for people."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str
    errors: list[FieldError] = []
    hint: str = ""
    request_id: str = ""


class RatchetError(Exception):
    """Something a client can be told. `code` is stable; `detail` says what is wrong and `hint` what to do."""

    status = 500
    code = "internal"
    title = "Something went wrong here"

    def __init__(
        self,
        detail: str,
        *,
        hint: str = "",
        code: str | None = None,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.hint = hint
        self.code = code or type(self).code
        self.errors = list(errors)
        self.headers = dict(headers or {})


class Unauthorized(RatchetError):
    status, code, title = 401, "unauthorized", "Who are you?"


class Forbidden(RatchetError):
    status, code, title = 403, "forbidden", "You may not do this"


class NotFound(RatchetError):
    status, code, title = 404, "not_found", "There is no such thing"


class RequestTimeout(RatchetError):
    status, code, title = 408, "request_timeout", "The request came too slowly"


class Conflict(RatchetError):
    status, code, title = 409, "conflict", "This does not fit the present state"


class PreconditionFailed(RatchetError):
    status, code, title = 412, "precondition_failed", "It is no longer what you have seen"


class TooLarge(RatchetError):
    status, code, title = 413, "too_large", "The body is too large"


class Invalid(RatchetError):
    status, code, title = 422, "invalid", "The request is not valid"


class TooManyRequests(RatchetError):
    status, code, title = 429, "too_many_requests", "Too many requests"


class Unavailable(RatchetError):
    status, code, title = 503, "unavailable", "A part that this needs does not answer"

    def __init__(self, detail: str, *, hint: str = "", retry_after_s: int = 5) -> None:
        super().__init__(detail, hint=hint, headers={"Retry-After": str(retry_after_s)})


class OutOfSpace(RatchetError):
    status, code, title = 507, "out_of_space", "No space is left"


def install(app: FastAPI) -> None:
    """Answer every error of this tree, of validation and of routing with problem details; `outages` has the rest."""
    app.add_exception_handler(RatchetError, _answer_ours)
    app.add_exception_handler(RequestValidationError, _answer_validation)
    app.add_exception_handler(HTTPException, _answer_routing)
    app.add_exception_handler(Exception, _answer_unexpected)


def problem(request: Request, error: RatchetError) -> JSONResponse:
    body = Problem(
        type=f"urn:ratchet:problem:{error.code}",
        title=error.title,
        status=error.status,
        detail=error.detail,
        instance=request.url.path,
        code=error.code,
        errors=error.errors,
        hint=error.hint,
        request_id=request_id.get(),
    )
    content = body.model_dump(mode="json", fallback=repr)
    return JSONResponse(content, error.status, headers=error.headers, media_type=PROBLEM)


def field_errors(error: ValidationError | RequestValidationError, prefix: Sequence[str | int] = ()) -> list[FieldError]:
    """The fields that pydantic refused, as JSON Pointers into the body."""
    return [
        FieldError(
            pointer=_pointer([*prefix, *_location(item["loc"])]),
            message=_message(item),
            value=_shown(item.get("input")),
        )
        for item in error.errors()
    ]


def _location(loc: Sequence[str | int]) -> list[str | int]:
    """Without FastAPI's `body`, and without the tag that pydantic inserts for a discriminated union."""
    kinds = {"train", "sweep", "evaluate", "drift_check", "batch_prediction", "custom"}
    tags = kinds | {"archive", "git", "image", "uniform", "choice"}
    parts = list(loc[1:]) if loc and loc[0] == "body" else list(loc)
    return [part for i, part in enumerate(parts) if not (part in tags and i + 1 < len(parts))]


def _pointer(parts: Sequence[str | int]) -> str:
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


def _message(item: Mapping[str, Any]) -> str:
    if item["type"] == "extra_forbidden":
        return "There is no such field."
    if item["type"] == "missing":
        return "This field is required."
    if item["type"] == "string_pattern_mismatch" and "[a-z0-9]" in item["ctx"]["pattern"]:
        return "Use lower-case letters, digits and hyphens, at most 63, beginning and ending with a letter or digit."
    message: str = item["msg"]
    return message.removeprefix("Value error, ")


def _shown(value: Any) -> Any:
    """The refused value, cut short; a structure is only named, since the pointer says where to look."""
    if isinstance(value, str):
        return value if len(value) <= MAX_VALUE_CHARACTERS else value[:MAX_VALUE_CHARACTERS] + "…"
    return value if isinstance(value, int | float | bool) or value is None else None


async def _answer_ours(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RatchetError)
    return problem(request, error)


async def _answer_validation(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0] if error.errors() else {}
    if first.get("type") == "json_invalid":
        why = first["ctx"]["error"]
        hint = "Check the quotes and commas; text is UTF-8, and numbers are finite."
        return problem(request, Invalid(f"The body is not JSON: {why}.", code="not_json", hint=hint))
    fields = field_errors(error)
    where = ", ".join(field.pointer or "the body" for field in fields[:3])
    return problem(request, Invalid(f"{len(fields)} field(s) are not valid: {where}.", errors=fields))


async def _answer_routing(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    ours = RatchetError(str(error.detail), code={404: "not_found", 405: "method_not_allowed"}.get(error.status_code))
    if error.status_code == 404:
        ours.hint = f"{request.method} {request.url.path[:200]} is not an address of this API: see /docs."
    ours.status, ours.title, ours.headers = error.status_code, str(error.detail), dict(error.headers or {})
    return problem(request, ours)


async def _answer_unexpected(request: Request, error: Exception) -> JSONResponse:
    logger("errors").error("unexpected_error", path=request.url.path, exc_info=error)
    return problem(
        request, RatchetError("The request failed unexpectedly.", hint="The log has the cause under this request id.")
    )
