"""Metrics to MLflow without waiting for it: sent in batches, and kept in memory and in a file while it is away."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from ratchet_pipelines.train.spool import Entry, Spool

logger = logging.getLogger(__name__)
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # before MLflow is imported: a job reports to nobody else

MAX_BATCH = 1000
"""Metrics that MLflow takes in one request."""
INTERVAL_S = 0.5
LONGEST_PAUSE_S = 15.0
CLOSE_TIMEOUT_S = 120.0
PATIENCE_S = 300.0
Returned = TypeVar("Returned")
Send = Callable[[str, list[tuple[str, float, int, int]]], None]
"""(run id, [(metric, value, Unix time in ms, step)])"""


class MetricLog:
    """Sends metrics from a thread of its own; a training step never waits for MLflow.

    Whatever was logged in one `INTERVAL_S` travels in one request. When MLflow does not answer the metrics wait, with
    their times, and are sent when it does; with a `spool` they outlive this process, and the job's next attempt sends
    what this one could not. Use it as a context manager: leaving it sends the rest. Who saves a checkpoint calls `keep`
    before: what was measured up to a checkpoint is never measured again.
    """

    def __init__(self, send: Send, spool: Spool | None = None) -> None:
        self._send = send
        self._spool = spool
        self._waiting: list[Entry] = []
        self._lock = threading.Lock()
        self._spooling = threading.Lock()  # taken before `_lock`: what is written down and what waits agree
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="metrics", daemon=True)
        self._thread.start()

    def log(self, run_id: str, metrics: dict[str, float], step: int) -> None:
        """Takes metrics of an epoch; never blocks on the network, never raises for it."""
        now = int(time.time() * 1000)
        with self._lock:
            self._waiting += [(run_id, name, value, now, step) for name, value in metrics.items()]

    def keep(self) -> None:
        """Writes down what MLflow has not taken yet, for when this process dies; without a spool, nothing."""
        if self._spool is None:
            return
        with self._spooling:
            with self._lock:
                waiting = list(self._waiting)
            if waiting:
                self._spool.keep(waiting)

    def close(self) -> None:
        """Sends what is left; logs an error when MLflow can't be reached for `CLOSE_TIMEOUT_S`."""
        self._closing.set()
        self._thread.join(CLOSE_TIMEOUT_S)
        if self._waiting:
            kept = " They are kept for the next attempt." if self._spool else ""
            logger.error("%d metrics were not logged: MLflow could not be reached.%s", len(self._waiting), kept)

    def __enter__(self) -> MetricLog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self) -> None:
        pause = INTERVAL_S
        self._take_left()
        while True:
            closing = self._closing.is_set()  # looked at first: what was logged before is then among the waiting
            try:
                self._send_waiting()
            except Exception as error:  # whatever the client raises, the metrics must not be lost
                pause = min(2 * pause, LONGEST_PAUSE_S)
                logger.warning("MLflow did not take the metrics (%s); they are kept and sent again.", error)
                self.keep()
            else:
                pause = INTERVAL_S
                if closing:
                    return
            if closing:
                time.sleep(pause)
            else:
                self._closing.wait(pause)

    def _take_left(self) -> None:
        if self._spool is None:
            return
        with self._spooling:
            left = self._spool.left()
            with self._lock:
                self._waiting = left + self._waiting

    def _send_waiting(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    break
                run_id = self._waiting[0][0]
                batch = [entry for entry in self._waiting if entry[0] == run_id][:MAX_BATCH]
            try:
                self._send(run_id, [entry[1:] for entry in batch])
            except Exception as error:
                if not _refused(error):
                    raise
                logger.exception("MLflow refused %d metrics of the run %s.", len(batch), run_id)
            sent = set(map(id, batch))
            with self._lock:
                self._waiting = [entry for entry in self._waiting if id(entry) not in sent]
        if self._spool is not None:
            with self._spooling:
                if not self._waiting:  # what was logged meanwhile may be written down already
                    self._spool.clear()


def patiently(call: Callable[[], Returned], seconds: float = PATIENCE_S) -> Returned:
    """What `call` returns, tried again while MLflow can't be reached, for at most `seconds`."""
    pause, deadline = 1.0, time.monotonic() + seconds
    while True:
        try:
            return call()
        except Exception as error:
            if not _unreachable(error) or time.monotonic() + pause > deadline:
                raise
            logger.warning("MLflow can't be reached (%s); trying again in %.0f s.", error, pause)
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE_S)


def _unreachable(error: BaseException | None) -> bool:
    """Whether the request never got there, or the server was not itself: no answer, or 5xx but for a rejection."""
    import requests

    while error is not None:
        if isinstance(error, requests.ConnectionError | requests.Timeout):
            return True
        if getattr(error, "get_http_status_code", lambda: 0)() in (502, 503, 504):
            return True
        error = error.__cause__ or error.__context__
    return "Max retries exceeded" in str(error)


def _refused(error: BaseException) -> bool:
    """Whether MLflow said no, and will say no again."""
    return getattr(error, "error_code", None) in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE", "BAD_REQUEST")


def client(tracking_uri: str | None = None) -> Any:
    """MLflow's client, of `MLFLOW_TRACKING_URI` by default. Imported here, since MLflow takes 1.5 s to import."""
    from mlflow.tracking import MlflowClient

    return MlflowClient(tracking_uri)


def mlflow_sender(tracking_uri: str | None = None) -> Send:
    """Sends to MLflow, whose client is made (and imported) when first needed: in the log's own thread."""
    made: list[Any] = []

    def send(run_id: str, metrics: list[tuple[str, float, int, int]]) -> None:
        from mlflow.entities import Metric

        if not made:
            made.append(client(tracking_uri))
        made[0].log_batch(run_id, metrics=[Metric(name, value, when, step) for name, value, when, step in metrics])

    return send
