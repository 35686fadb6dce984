"""Metrics reach MLflow in order and whole, also when it is away for a while."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests

from ratchet_pipelines.train import tracking
from ratchet_pipelines.train.spool import Spool
from ratchet_pipelines.train.tracking import MetricLog, patiently

Sent = list[tuple[str, float, int, int]]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracking, "INTERVAL_S", 0.01)
    monkeypatch.setattr(tracking, "LONGEST_PAUSE_S", 0.02)


def test_everything_is_sent_by_the_end_by_run_and_in_batches_that_mlflow_takes() -> None:
    sent: list[tuple[str, Sent]] = []
    with MetricLog(lambda run, metrics: sent.append((run, metrics))) as log:
        for step in range(1, 1501):
            log.log("a", {"loss": float(step)}, step)
        log.log("b", {"loss": 0.5}, 1)
    assert [step for run, metrics in sent for _, _, _, step in metrics if run == "a"] == list(range(1, 1501))
    assert [metrics[0][:2] for run, metrics in sent if run == "b"] == [("loss", 0.5)]
    assert max(len(metrics) for _, metrics in sent) <= tracking.MAX_BATCH


def test_metrics_wait_while_mlflow_is_away_and_keep_their_times() -> None:
    failures, tried, sent = 3, threading.Event(), Sent()

    def send(run: str, metrics: Sent) -> None:
        nonlocal failures
        tried.set()
        if failures:
            failures -= 1
            raise requests.ConnectionError("refused")
        sent.extend(metrics)

    with MetricLog(send) as log:
        log.log("a", {"loss": 1.0}, 1)
        assert tried.wait(5)
        log.log("a", {"loss": 2.0}, 2)
    assert [(value, step) for _, value, _, step in sent] == [(1.0, 1), (2.0, 2)]
    assert failures == 0


def test_what_mlflow_refuses_does_not_hold_up_the_rest() -> None:
    class RefusedError(Exception):
        error_code = "RESOURCE_DOES_NOT_EXIST"

    sent: list[str] = []

    def send(run: str, metrics: Sent) -> None:
        if run == "gone":
            raise RefusedError
        sent.append(run)

    with MetricLog(send) as log:
        log.log("gone", {"loss": 1.0}, 1)
        log.log("here", {"loss": 1.0}, 1)
    assert sent == ["here"]


def test_patience_is_for_an_absent_mlflow_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracking.time, "sleep", lambda seconds: None)
    answers = [requests.ConnectionError(), requests.Timeout(), None]

    def call() -> str:
        if (error := answers.pop(0)) is not None:
            raise RuntimeError("the client's own error") from error
        return "done"

    assert patiently(call) == "done"
    with pytest.raises(KeyError):
        patiently(lambda: {}["missing"])


class Mlflow:
    """Keeps one point for each time, step and value, as the real one does, and may be away."""

    def __init__(self) -> None:
        self.away = threading.Event()
        self.tried = threading.Semaphore(0)
        self.points: set[tuple[str, str, float, int, int]] = set()
        self.sent = 0

    def send(self, run: str, metrics: Sent) -> None:
        self.tried.release()
        if self.away.is_set():
            raise requests.ConnectionError("refused")
        self.sent += len(metrics)
        self.points |= {(run, *metric) for metric in metrics}


def steps(mlflow: Mlflow) -> list[int]:
    return sorted(step for _, _, _, _, step in mlflow.points)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_what_an_attempt_could_not_send_is_sent_by_the_next_once(tmp_path: Path) -> None:
    logged, tries = threading.Event(), []

    def away(run: str, metrics: Sent) -> None:
        assert logged.wait(10)
        tries.append(run)
        if len(tries) > 1:
            raise SystemExit  # its process dies
        raise requests.ConnectionError("refused")

    dying = MetricLog(away, Spool(tmp_path.as_uri(), 1))
    for step in (1, 2, 3):
        dying.log("a", {"loss": 1.0 / step}, step)
    logged.set()
    dying._thread.join(10)
    kept = (tmp_path / "1.json").read_bytes()

    mlflow = Mlflow()
    with MetricLog(mlflow.send, Spool(tmp_path.as_uri(), 2)) as log:
        log.log("a", {"loss": 0.1}, 4)
    assert steps(mlflow) == [1, 2, 3, 4]
    assert list(tmp_path.iterdir()) == []

    (tmp_path / "1.json").write_bytes(kept)  # as if a crash had come between the sending and the taking away
    with MetricLog(mlflow.send, Spool(tmp_path.as_uri(), 3)):
        pass
    assert steps(mlflow) == [1, 2, 3, 4]
    assert mlflow.sent == 7


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_what_is_kept_outlives_its_process_though_mlflow_was_never_tried(tmp_path: Path) -> None:
    """As before a checkpoint: an attempt that dies after it does not measure its epochs again."""
    busy, dies = threading.Event(), threading.Event()

    def send(run: str, metrics: Sent) -> None:
        busy.set()
        assert dies.wait(10)
        raise SystemExit

    dying = MetricLog(send, Spool(tmp_path.as_uri(), 1))
    dying.log("a", {"loss": 1.0}, 1)
    assert busy.wait(10)
    dying.log("a", {"loss": 0.5}, 2)
    dying.keep()
    dies.set()
    dying._thread.join(10)

    mlflow = Mlflow()
    with MetricLog(mlflow.send, Spool(tmp_path.as_uri(), 2)):
        pass
    assert steps(mlflow) == [1, 2]
    assert list(tmp_path.iterdir()) == []


def test_what_is_kept_while_the_log_is_cleared_stays(tmp_path: Path) -> None:
    spool, sent, answers = Spool(tmp_path.as_uri(), 1), Sent(), threading.Event()
    clear, cleared = spool.clear, threading.Event()
    beside = threading.Thread(target=lambda: (log.log("a", {"loss": 0.5}, 2), log.keep()))

    def send(run: str, metrics: Sent) -> None:
        assert not cleared.is_set() or answers.wait(10)
        sent.extend(metrics)

    def clear_beside_keep() -> None:
        if not sent:
            return clear()
        if beside.ident is None:
            beside.start()
            beside.join(0.2)
        clear()
        cleared.set()

    spool.clear = clear_beside_keep  # type: ignore[method-assign]
    log = MetricLog(send, spool)
    log.log("a", {"loss": 1.0}, 1)
    log.keep()
    assert cleared.wait(10)
    beside.join(10)
    assert [entry[4] for entry in Spool(tmp_path.as_uri(), 2).left()] == [2]
    answers.set()
    log.close()
    assert [step for *_, step in sent] == [1, 2]
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_written_while_mlflow_answers(tmp_path: Path) -> None:
    mlflow = Mlflow()
    with MetricLog(mlflow.send, Spool((tmp_path / "spool").as_uri(), 1)) as log:
        log.log("a", {"loss": 1.0}, 1)
    assert steps(mlflow) == [1]
    assert list(tmp_path.iterdir()) == []


def test_a_storage_that_fails_keeps_no_metric_from_mlflow(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "1.json").write_text('[["a", "lo')
    (tmp_path / "half" / "2.json").write_text('[["a", "loss", 0.5, 1700000000000, 0]]')
    for folder, expected in (("file", [1]), ("half", [0, 1])):
        mlflow = Mlflow()
        mlflow.away.set()
        with MetricLog(mlflow.send, Spool((tmp_path / folder).as_uri(), 3)) as log:
            log.log("a", {"loss": 1.0}, 1)
            assert mlflow.tried.acquire(timeout=10)
            mlflow.away.clear()
        assert steps(mlflow) == expected, folder


@dataclass
class Troubled:
    """MLflow over HTTP, as its client meets it: what it does with each request in turn, and with all after those."""

    troubles: list[str]
    over: threading.Event = field(default_factory=threading.Event)
    taken: list[tuple[str, float, int, int]] = field(default_factory=list)

    def handler(self) -> type[BaseHTTPRequestHandler]:
        troubled = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                trouble = troubled.troubles.pop(0) if troubled.troubles else ""
                if trouble != "500":
                    troubled.taken += [
                        (each["key"], each["value"], each["timestamp"], each["step"]) for each in body["metrics"]
                    ]
                if trouble == "slow":  # it has taken them, and nobody waits for it to say so
                    troubled.over.wait(20)
                    return
                self.send_response(500 if trouble else 200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, format: str, *arguments: object) -> None:
                pass

        return Handler


def test_an_mlflow_that_is_slow_or_fails_costs_no_metric(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was sent twice has the same time and step, and is one point for MLflow."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setattr(tracking, "LONGEST_PAUSE_S", 0.1)
    mlflow = Troubled(["500", "slow", "500"])
    with ThreadingHTTPServer(("127.0.0.1", 0), mlflow.handler()) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            with MetricLog(tracking.mlflow_sender(f"http://127.0.0.1:{server.server_port}")) as log:
                for step in range(1, 101):
                    log.log("0" * 32, {"loss": 1 / step}, step)
        finally:
            mlflow.over.set()
            server.shutdown()
    assert mlflow.troubles == []
    assert len(mlflow.taken) > 100
    assert sorted((value, step) for _, value, _, step in set(mlflow.taken)) == sorted(
        (1 / step, step) for step in range(1, 101)
    )
