"""Metrics reach MLflow in order and whole, also when it is away for a while."""

from __future__ import annotations

import threading

import pytest
import requests

from ratchet_pipelines.train import tracking
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
