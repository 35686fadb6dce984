"""What every call to Ray, MLflow and the storage passes through: the claim of its step, the breaker, the metrics.

A step that lost its claim changes nothing outside (`claims.still_mine`). An engine that has not answered some calls in
a row is left alone for a moment: whoever needs it is told so at once, rather than after another time-out.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

from prometheus_client import Gauge, Histogram

from ratchet.clients.ports import (
    Clients,
    EngineError,
    EngineRefused,
    EngineSilent,
    Mlflow,
    RayJobs,
    RayServe,
    Storage,
)
from ratchet.reconciler import claims

FAILURES = 3
"""Calls in a row without an answer, after which the breaker opens."""
OPEN_S = 2.0
"""For this long no call is made; then one is, to try."""
LOCAL = frozenset({"uri", "look_every_s"})
PROBES = frozenset({"alive"})
"""They ask whether the engine answers: the breaker must not answer for it."""
READS = frozenset(
    {
        *("get", "logs", "cluster", "live_jobs", "read", "list", "sizes", "get_artifact", "metric_history", "children"),
        *("find_run", "get_run", "find_version", "get_version", "list_versions"),
        *("get_registered_model", "list_registered_models"),
    }
)
"""Every other call counts as a change."""

call_seconds = Histogram(
    "ratchet_engine_call_duration_seconds",
    "Calls to Ray, MLflow and the storage.",
    ["engine", "method", "outcome"],
    buckets=(0.005, 0.02, 0.1, 0.5, 2, 5, 30),
)
breaker_open = Gauge(
    "ratchet_engine_breaker_open", "1 while an engine is left alone, as it does not answer.", ["engine"]
)


@dataclass
class Breaker:
    """Whether an engine is worth a call. Shared by all threads of a process."""

    engine: str
    clock: Callable[[], float] = time.monotonic
    _failures: int = 0
    _open_until: float = 0.0
    _cause: str = ""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def check(self) -> None:
        """Raises `EngineSilent` while the engine is left alone. The first call after that goes out, to try."""
        with self._lock:
            if self._failures < FAILURES:
                return
            if self.clock() < self._open_until:
                raise EngineSilent(self.engine, self._cause)
            self._open_until = self.clock() + OPEN_S  # others wait for what this one finds

    def answered(self) -> None:
        with self._lock:
            self._failures = 0
        breaker_open.labels(self.engine).set(0)

    def silent(self, cause: str) -> None:
        with self._lock:
            self._failures += 1
            self._cause, self._open_until = cause, self.clock() + OPEN_S
            opened = self._failures >= FAILURES
        breaker_open.labels(self.engine).set(int(opened))


class Guarded:
    """Stands before an engine's client and has all its methods."""

    def __init__(self, engine: str, client: Any, clock: Callable[[], float]) -> None:
        self._engine = engine
        self._client = client
        self._breaker = Breaker(engine, clock)

    def __getattr__(self, method: str) -> Any:
        target = getattr(self._client, method)
        return target if method in LOCAL else partial(self._call, method, target)

    def _call(self, method: str, target: Callable[..., Any], *args: Any, **named: Any) -> Any:
        if method not in PROBES:
            self._breaker.check()
            if method not in READS:
                claims.still_mine()
        began, outcome = time.perf_counter(), "ok"
        try:
            answer = target(*args, **named)
        except EngineSilent as error:
            outcome = "silent"
            if method not in PROBES:
                self._breaker.silent(error.message)
            raise
        except EngineError as error:
            outcome = "refused" if isinstance(error, EngineRefused) else "failed"
            self._breaker.answered()
            raise
        else:
            self._breaker.answered()
            return answer
        finally:
            call_seconds.labels(self._engine, method, outcome).observe(time.perf_counter() - began)


def guarded(clients: Clients, clock: Callable[[], float] = time.monotonic) -> Clients:
    return Clients(
        jobs=cast(RayJobs, Guarded("ray", clients.jobs, clock)),
        serve=cast(RayServe, Guarded("serve", clients.serve, clock)),
        mlflow=cast(Mlflow, Guarded("mlflow", clients.mlflow, clock)),
        storage=cast(Storage, Guarded("storage", clients.storage, clock)),
    )
