"""An endpoint in memory: a model that adds, a replica that holds it, calls straight into the ASGI application."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

from ratchet_pipelines.serving.assign import Assignment
from ratchet_pipelines.serving.http import EndpointApp
from ratchet_pipelines.serving.inputs import Columns, InputColumn, InputSchema
from ratchet_pipelines.serving.log import PredictionLog
from ratchet_pipelines.serving.models import LoadedModel
from ratchet_pipelines.serving.replica import Active, Ready, Replica, Tokens
from ratchet_pipelines.spec import ModelVersion, ServingConfig, Variant

TOKEN = "secret"
SCHEMA = InputSchema([InputColumn("a", "double"), InputColumn("b", "double")])


class Adder:
    """Predicts a + b; fails on 13."""

    def __init__(self, answer: float | None = None) -> None:
        self.inputs = SCHEMA
        self.answer = answer

    def predict(self, rows: Sequence[dict[str, Any]], columns: Columns) -> list[dict[str, Any]]:
        if columns["a"][0] == 13:
            raise RuntimeError("secret internals")
        if self.answer is not None:
            return [{"prediction": self.answer} for _ in rows]
        return [{"prediction": value} for value in (columns["a"] + columns["b"]).tolist()]


def ready(seconds: float = 0.0, answer: float | None = None) -> Ready:
    return Ready(cast(LoadedModel, Adder(answer)), seconds, Path("/nowhere"))


def config(*shares: float, generation: int = 1, versions: Sequence[int] = ()) -> ServingConfig:
    numbers = versions or range(1, len(shares) + 1)
    return ServingConfig(
        endpoint="e",
        project="p",
        salt="s",
        generation=generation,
        token_hashes=[sha256(TOKEN.encode()).hexdigest()],
        variants=[
            Variant(name=f"v{n}", model=ModelVersion(name="m", version=version), weight=share)
            for n, (share, version) in enumerate(zip(shares, numbers, strict=True))
        ],
    )


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: dict[str, Any]


@dataclass
class World:
    app: EndpointApp
    replica: Replica
    log: PredictionLog
    folder: Path
    sent: list[Any] = field(default_factory=list)

    async def call(
        self, path: str = "/predict", method: str = "POST", body: Any = None, token: str | None = TOKEN, **more: str
    ) -> Answer:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {name.replace("_", "-"): value for name, value in more.items()}
        if token is not None:
            headers["authorization"] = f"Bearer {token}"
        chunks = [raw[start : start + 65_536] for start in range(0, len(raw), 65_536)] or [b""]
        incoming = [{"type": "http.request", "body": c, "more_body": n < len(chunks) - 1} for n, c in enumerate(chunks)]
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            return incoming.pop(0)

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "method": method,
            "path": f"/p/e{path}",
            "root_path": "/p/e",
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        }
        await self.app(scope, receive, send)
        return Answer(
            sent[0]["status"],
            {name.decode(): value.decode() for name, value in sent[0]["headers"]},
            json.loads(sent[1]["body"], parse_constant=lambda constant: constant),
        )


def world(folder: Path, chosen: ServingConfig | None = None, model: Ready | None = None) -> World:
    replica = Replica()
    chosen = chosen or config(1.0)
    models = tuple(model or ready() for _ in chosen.variants)
    replica.active = Active(chosen, Assignment(chosen.salt, chosen.variants), models)
    replica.tokens = Tokens(chosen.token_hashes)
    log = PredictionLog(f"file://{folder}/log", "r1")
    return World(EndpointApp(replica, log, "e"), replica, log, folder)


def run(coroutine: Any) -> Any:
    return asyncio.run(coroutine)
