"""Callers of an endpoint: plain HTTP requests, and the outcomes that follow them."""

from __future__ import annotations

import itertools
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import httpx2

from ratchet.sdk import Client

BATCH = 200
CALLERS = 4
Row = tuple[dict[str, Any], str]


@dataclass
class Sent:
    requests: int = 0
    by_variant: Counter[str] = field(default_factory=Counter)
    right: Counter[str] = field(default_factory=Counter)


class Callers:
    def __init__(self, client: Client, endpoint: str, url: str, token: str) -> None:
        self.client = client
        self.endpoint = endpoint
        self.http = httpx2.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=10)
        self.numbers = itertools.count()
        self.lock = threading.Lock()

    def send(self, rows: list[Row], *, at_most: int, until: Callable[[], bool], tell: Callable[[Sent], None]) -> Sent:
        """Batches of requests, each followed by its outcomes, until `until` says enough or `at_most` are sent."""
        sent, source = Sent(), _passes(rows)
        with ThreadPoolExecutor(CALLERS) as pool:
            while sent.requests < at_most and not until():
                batch = list(itertools.islice(source, min(BATCH, at_most - sent.requests)))
                answers = list(pool.map(self._ask, batch))
                self.client.endpoints.send_outcomes(
                    self.endpoint,
                    [
                        {"request_id": answer["request_id"], "value": truth}
                        for answer, (_, truth) in zip(answers, batch, strict=True)
                    ],
                )
                for answer, (_, truth) in zip(answers, batch, strict=True):
                    sent.by_variant[answer["variant"]] += 1
                    sent.right[answer["variant"]] += answer["predictions"][0]["prediction"] == truth
                sent.requests += len(batch)
                tell(sent)
        return sent

    def _ask(self, row: Row) -> dict[str, Any]:
        with self.lock:
            number = next(self.numbers)
        answer = self.http.post("/predict", json={"inputs": [row[0]], "key": f"patient-{number}"})
        answer.raise_for_status()
        body: dict[str, Any] = answer.json()
        return body


def _passes(rows: list[Row]) -> Iterator[Row]:
    """Every row once, in a random order, again and again: within a pass no row comes twice."""
    dice = random.Random(0)  # noqa: S311 (which row comes next is no secret)
    while True:
        yield from dice.sample(rows, len(rows))
