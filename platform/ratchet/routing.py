"""What all routes of the API have in common, between the handler's answer and the commit of its work."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute

from ratchet import conditional, idempotency

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class Route(APIRoute):
    """The answer to a GET gets its tag; that to a POST is kept for its Idempotency-Key."""

    def get_route_handler(self) -> Handler:
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            response = await handle(request)
            if request.method in {"GET", "HEAD"}:
                return conditional.tagged(request, response)
            idempotency.keep(request, response)
            return response

        return answer


class Router(APIRouter):
    def __init__(self, **options: Any) -> None:
        super().__init__(route_class=Route, **options)
