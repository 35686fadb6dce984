"""Ray Serve's declarative REST API: the whole configuration at once, and the state of everything."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import httpx2

from ratchet.clients.http import Http

ADDRESS = "/api/serve/applications/"
PUT_TIMEOUT_S = 30.0
"""The first call starts Serve itself (controller and proxy), which took 7 s on a quiet machine."""


class RayServeClient:
    def __init__(
        self, address: str, token: Callable[[], str] = str, *, transport: httpx2.BaseTransport | None = None
    ) -> None:
        self._http = Http("Ray Serve", address, token, transport=transport)

    def put(self, config: Mapping[str, Any]) -> None:
        self._http.request("PUT", ADDRESS, json=dict(config), timeout_s=PUT_TIMEOUT_S)

    def get(self) -> dict[str, Any]:
        return self._http.json("GET", ADDRESS)
