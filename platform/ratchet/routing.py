"""What all routes of the API have in common, between the handler's answer and the commit of its work."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Coroutine
from functools import cached_property, wraps
from typing import Any

import pydantic_core
from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute
from pydantic import TypeAdapter
from sqlalchemy.orm import Session

from ratchet import conditional, idempotency

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class Route(APIRoute):
    """The answer to a GET gets its tag. A handler that takes a `session` has one thread for all of its transaction,
    from the first query to the commit: to change threads on the way costs more than most queries, and a commit must not
    wait for a thread that is held by whoever waits for its locks.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        if "session" in inspect.signature(endpoint).parameters:
            endpoint = self._in_transaction(endpoint)
        super().__init__(path, endpoint, **options)

    def get_route_handler(self) -> Handler:
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            response = await handle(_Request(request.scope, request.receive))
            return conditional.tagged(request, response) if request.method in {"GET", "HEAD"} else response

        return answer

    def _in_transaction(self, endpoint: Callable[..., Any]) -> Callable[..., Response]:
        @wraps(endpoint)
        def answer(*, session: Session, **given: Any) -> Response:
            with session:
                idempotency.begin(session)
                result = endpoint(session=session, **given)
                response = result if isinstance(result, Response) else self._response(result, given)
                idempotency.keep(session, response)
                session.commit()
            return response

        return answer

    @cached_property
    def _view(self) -> TypeAdapter[Any]:
        return TypeAdapter(self.response_model)

    def _response(self, result: Any, given: dict[str, Any]) -> Response:
        """As FastAPI would make it: with what the handler set in its `response`."""
        status = self.status_code or 200
        if result is None:
            made = Response(status_code=status)
        else:
            body = self._view.dump_json(self._view.validate_python(result), by_alias=True)
            made = Response(body, status, media_type="application/json")
        if (set_by_handler := given.get("response")) is not None:
            made.headers.raw.extend(set_by_handler.headers.raw)
        return made


class _Request(Request):
    """Python's own reading of JSON takes what no database stores as text: half a surrogate pair, NaN, Infinity."""

    async def json(self) -> Any:
        body = await self.body()
        try:
            return pydantic_core.from_json(body, allow_inf_nan=False)
        except ValueError as error:
            raise json.JSONDecodeError(str(error), "", 0) from error


class Router(APIRouter):
    def __init__(self, **options: Any) -> None:
        super().__init__(route_class=Route, **options)
