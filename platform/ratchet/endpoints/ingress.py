"""What the replicas of an endpoint say of themselves, asked through the ingress that callers use."""

from __future__ import annotations

from typing import Any, Protocol

from ratchet.clients.http import Http
from ratchet.clients.ports import EngineError

ASKED_AT_MOST = 4
"""Replicas of one endpoint that are asked: the ingress chooses which, so that asking more would not mean all."""


class Ingress(Protocol):
    def status(self, path: str, replicas: int) -> dict[str, Any] | None:
        """What the replica that is furthest behind says (`generation`, `variants`); None when none answers."""


class HttpIngress:
    def __init__(self, url: str) -> None:
        self._http = Http("the endpoint", url)

    def status(self, path: str, replicas: int) -> dict[str, Any] | None:
        answers = []
        try:
            for _ in range(min(replicas, ASKED_AT_MOST)):
                answers.append(self._http.json("GET", f"{path}/status"))
        except EngineError:
            return None
        return min(answers, key=lambda answer: int(answer.get("generation", 0)))
