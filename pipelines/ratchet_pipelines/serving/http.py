"""A request's path: who asks, what is asked, which variant, the prediction, the log, the answer.

Plain ASGI rather than a framework: at these latencies a framework's routing and model building would be half the time.
"""

from __future__ import annotations

import asyncio
import logging
import re
import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import Any, NoReturn, TypeAlias

import pydantic_core

from ratchet_pipelines.catalog import suggestion
from ratchet_pipelines.serving.inputs import Columns, InvalidInputsError, Row
from ratchet_pipelines.serving.log import Entry, PredictionLog, now_us
from ratchet_pipelines.serving.replica import Active, Ready, Replica

Message: TypeAlias = MutableMapping[str, Any]
Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]

MAX_BODY_BYTES = 1024 * 1024
MAX_ROWS = 1_000
MAX_KEY_LENGTH = 512
INLINE_SECONDS = 0.005
"""A prediction expected to take longer leaves the event loop: below it, the hand-over costs more than it frees."""

_REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_FIELDS = ["inputs", "key", "request_id"]
_logger = logging.getLogger(__name__)


class ProblemError(Exception):
    """An answer other than the one asked for (RFC 9457)."""

    def __init__(self, status: int, code: str, detail: str, **more: Any) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.headers: list[tuple[bytes, bytes]] = more.pop("headers", [])
        self.more = more

    def body(self, path: str, request_id: str) -> bytes:
        return pydantic_core.to_json(
            {
                "type": "about:blank",
                "title": HTTPStatus(self.status).phrase,
                "status": self.status,
                "detail": self.detail,
                "instance": path,
                "code": self.code,
                "request_id": request_id,
                **self.more,
            }
        )


class EndpointApp:
    """The ASGI application of one endpoint.

    `echo_request_id` sends `X-Request-Id` back; Serve's own middleware does it too, and a header must not come twice.
    """

    def __init__(self, replica: Replica, log: PredictionLog, endpoint: str, *, echo_request_id: bool = True) -> None:
        self._replica = replica
        self._log = log
        self._endpoint = endpoint
        self._echo_request_id = echo_request_id
        # One thread: a model is asked by one caller at a time, as in the event loop.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="predict")
        self._in_thread = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            await self._respond(scope, receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.shutdown":
                await self.close()
                await send({"type": "lifespan.shutdown.complete"})
                return
            await send({"type": "lifespan.startup.complete"})

    async def close(self) -> None:
        """Write the log to its end and give back the models' files."""
        await asyncio.to_thread(self._log.close)
        await self._replica.close()
        self._thread.shutdown(wait=False)

    async def _respond(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        headers = dict(scope["headers"])
        request_id = _request_id(headers)
        answer: list[tuple[bytes, bytes]] = [(b"content-type", b"application/json")]
        status = 200
        try:
            request_id, body = await self._route(scope, headers, receive, request_id)
        except ProblemError as problem:
            status, body = problem.status, problem.body(path, request_id)
            answer = [(b"content-type", b"application/problem+json"), *problem.headers]
        except Exception:
            _logger.exception("request %s failed", request_id)
            status, body = 500, _internal().body(path, request_id)
            answer = [(b"content-type", b"application/problem+json")]
        answer.append((b"content-length", b"%d" % len(body)))
        if self._echo_request_id:
            answer.append((b"x-request-id", request_id.encode()))
        await send({"type": "http.response.start", "status": status, "headers": answer})
        await send({"type": "http.response.body", "body": body})

    async def _route(
        self, scope: Scope, headers: dict[bytes, bytes], receive: Receive, request_id: str
    ) -> tuple[str, bytes]:
        """The request's id and the body of a 200."""
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        method = scope["method"]
        if path == "/predict":
            _allow(method, "POST")
            self._authorize(headers)
            return await self._predict(_parse(await _body(headers, receive)), request_id)
        if path == "/status":
            _allow(method, "GET")
            return request_id, self._status()
        raise ProblemError(404, "not_found", "An endpoint has POST .../predict and GET .../status.")

    def _authorize(self, headers: dict[bytes, bytes]) -> None:
        scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
        if scheme.lower() != b"bearer" or not token.strip():
            challenge = [(b"www-authenticate", b'Bearer realm="ratchet"')]
            detail = "Send `Authorization: Bearer <token>` with a token of this project."
            raise ProblemError(401, "unauthenticated", detail, headers=challenge)
        if not self._replica.tokens.allow(token.strip()):
            raise ProblemError(403, "forbidden", "This token may not ask this endpoint for predictions.")

    async def _predict(self, asked: dict[str, Any], request_id: str) -> tuple[str, bytes]:
        request_id = asked.get("request_id", request_id)
        key = asked.get("key", request_id)
        active, index, ready = self._assign(key)
        try:
            columns = ready.model.inputs.parse(asked["inputs"])
        except InvalidInputsError as error:
            errors = [{"pointer": one.pointer, "message": one.message} for one in error.errors]
            raise ProblemError(422, "invalid_inputs", str(error), errors=errors) from None
        answers = await self._ask(ready, asked["inputs"], columns, request_id)
        variant = active.config.variants[index]
        self._log.add(
            Entry(
                request_id=request_id,
                key=key,
                variant=variant,
                generation=active.config.generation,
                schema=ready.model.inputs,
                inputs=columns,
                predictions=[answer["prediction"] for answer in answers],
                time_us=now_us(),
            )
        )
        answer = {
            "request_id": request_id,
            "endpoint": self._endpoint,
            "variant": variant.name,
            "model": variant.model.name,
            "model_version": variant.model.version,
            "predictions": answers,
        }
        # JSON has no NaN: a model that gives one is answered by null.
        return request_id, pydantic_core.to_json(answer, inf_nan_mode="null")

    def _assign(self, key: str) -> tuple[Active, int, Ready]:
        active = self._replica.active
        if active is None or not active.config.variants:
            raise _unavailable("The endpoint has no model yet." if active is not None else self._replica.failure(0))
        index = active.assignment.index(key)
        ready = active.models[index]
        if ready is None:
            raise _unavailable(self._replica.failure(index))
        return active, index, ready

    async def _ask(self, ready: Ready, rows: list[Row], columns: Columns, request_id: str) -> list[Row]:
        try:
            # Once the thread is at work it takes every request: a model must not be asked twice at a time.
            if ready.seconds * _growth(len(rows)) <= INLINE_SECONDS and not self._in_thread:
                return ready.model.predict(rows, columns)
            return await self._ask_in_thread(ready, rows, columns)
        except Exception as error:
            _logger.exception("request %s: the model failed", request_id)
            raise ProblemError(
                500, "model_failed", "The model failed on this input; the replica's log has it."
            ) from error

    async def _ask_in_thread(self, ready: Ready, rows: list[Row], columns: Columns) -> list[Row]:
        self._in_thread += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._thread, ready.model.predict, rows, columns)
        finally:
            self._in_thread -= 1

    def _status(self) -> bytes:
        log = {key: getattr(self._log, key) for key in ("written", "waiting", "dropped", "message")}
        return pydantic_core.to_json({"endpoint": self._endpoint, **self._replica.status(), "log": log})


def _growth(rows: int) -> float:
    """How many times as long as for one row a prediction of `rows` rows may take: most of it does not grow."""
    return 1 + rows / 20


def _internal() -> ProblemError:
    return ProblemError(500, "internal", "The endpoint failed; the replica's log has the request id.")


def _unavailable(detail: str) -> ProblemError:
    return ProblemError(503, "not_ready", detail, headers=[(b"retry-after", b"5")])


def _allow(method: str, allowed: str) -> None:
    if method != allowed:
        headers = [(b"allow", allowed.encode())]
        raise ProblemError(405, "method_not_allowed", f"This address takes {allowed}.", headers=headers)


def _request_id(headers: dict[bytes, bytes]) -> str:
    given = headers.get(b"x-request-id", b"").decode("latin-1")
    return given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex


async def _body(headers: dict[bytes, bytes], receive: Receive) -> bytes:
    declared = headers.get(b"content-length", b"")
    if declared.isdigit() and int(declared) > MAX_BODY_BYTES:
        raise _too_large()
    message = await receive()
    if not message.get("more_body", False):
        body: bytes = message.get("body", b"")
        if len(body) > MAX_BODY_BYTES:
            raise _too_large()
        return body
    chunks = [message.get("body", b"")]
    size = len(chunks[0])
    while message.get("more_body", False):
        message = await receive()
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if size > MAX_BODY_BYTES:
            raise _too_large()
    return b"".join(chunks)


def _too_large() -> ProblemError:
    detail = f"The body is larger than {MAX_BODY_BYTES} bytes; send fewer rows at a time."
    return ProblemError(413, "body_too_large", detail, headers=[(b"connection", b"close")])


def _parse(body: bytes) -> dict[str, Any]:
    """The request's fields, all but the rows themselves checked."""
    try:
        asked = pydantic_core.from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise ProblemError(400, "invalid_json", f"The body is not JSON: {error}.") from None
    if not isinstance(asked, dict):
        _invalid("", 'The body is an object: {"inputs": [{column: value, ...}, ...]}.')
    for field in asked:
        if field not in _FIELDS:
            _invalid(f"/{field[:100]}", f"There is no field {field[:100]!r}.{suggestion(field, _FIELDS)}")
    rows = asked.get("inputs")
    if not isinstance(rows, list) or not 1 <= len(rows) <= MAX_ROWS:
        _invalid("/inputs", f"`inputs` must be an array of 1 to {MAX_ROWS} rows, each an object of columns.")
    request_id = asked.get("request_id", "0")
    if not isinstance(request_id, str) or not _REQUEST_ID.fullmatch(request_id):
        _invalid("/request_id", "`request_id` must be 1 to 64 letters, digits, `_` or `-`.")
    key = asked.get("key", "0")
    if not isinstance(key, str) or not 1 <= len(key) <= MAX_KEY_LENGTH:
        _invalid("/key", f"`key` must be a string of 1 to {MAX_KEY_LENGTH} characters.")
    return asked


def _invalid(pointer: str, message: str) -> NoReturn:
    raise ProblemError(422, "invalid_request", message, errors=[{"pointer": pointer, "message": message}])
