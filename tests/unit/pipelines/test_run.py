"""How a job ends: its exit status, its MLflow run, the last line of its log."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ratchet_pipelines import notes, run
from ratchet_pipelines.errors import (
    BadEnvironmentError,
    CancelledJobError,
    DataError,
    EngineError,
    OutOfMemoryError,
    PreemptedJobError,
    UserError,
    on_rank,
)
from ratchet_pipelines.notes import FailureNote
from ratchet_pipelines.spec import ENVELOPE_VARIABLE, Data, Envelope, ExitCode, Train


class FakeMlflow:
    def __init__(self) -> None:
        self.status: str | None = None
        self.tags: dict[str, str] = {}

    def set_tag(self, run_id: str, name: str, value: str) -> None:
        self.tags[name] = value

    def set_terminated(self, run_id: str, status: str) -> None:
        self.status = status


@pytest.fixture
def mlflow(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeMlflow:
    envelope = Envelope(
        job="job-1",
        attempt=1,
        project="p",
        run_id="r",
        storage=tmp_path.as_uri(),
        spec=Train(data=Data(uri="sklearn://iris")),
    )
    monkeypatch.setenv(ENVELOPE_VARIABLE, envelope.model_dump_json())
    fake = FakeMlflow()
    monkeypatch.setattr(run, "client", lambda: fake)
    return fake


def does(monkeypatch: pytest.MonkeyPatch, result: str | BaseException) -> None:
    def job(envelope: Envelope) -> str:
        if isinstance(result, BaseException):
            raise result
        return result

    monkeypatch.setattr(run, "_job", lambda envelope: job)


def test_success(mlflow: FakeMlflow, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    does(monkeypatch, "models:/m-1")
    assert run.main() == ExitCode.OK
    assert mlflow.status == "FINISHED"
    assert capsys.readouterr().out.splitlines()[-1].endswith("models:/m-1")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UserError("change it"), ExitCode.USER_ERROR),
        (DataError("change it"), ExitCode.DATA_ERROR),
        (OutOfMemoryError("change it"), ExitCode.OUT_OF_MEMORY),
        (MemoryError("change it"), ExitCode.OUT_OF_MEMORY),
        (EngineError("change it"), ExitCode.NODE_LOST),
        (BadEnvironmentError("change it"), ExitCode.ENVIRONMENT_ERROR),
        (ModuleNotFoundError("change it"), ExitCode.ENVIRONMENT_ERROR),
        (KeyError("change it"), ExitCode.INTERNAL),
    ],
)
def test_failure(
    mlflow: FakeMlflow,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: Exception,
    code: ExitCode,
) -> None:
    does(monkeypatch, error)
    assert run.main() == code
    assert mlflow.status == "FAILED"
    assert "change it" in mlflow.tags["ratchet.message"]
    assert "change it" in capsys.readouterr().out.splitlines()[-1]


def test_a_failure_is_noted_for_the_platform_with_the_rank_it_came_up_on(
    mlflow: FakeMlflow, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    does(monkeypatch, on_rank(KeyError("x"), 2))
    run.main()
    note = FailureNote.model_validate_json((tmp_path / "jobs" / "job-1" / "failure-1.json").read_bytes())
    assert note == FailureNote(message="KeyError: 'x'", error="KeyError: 'x'", rank=2)
    assert "On rank 2." in capsys.readouterr().err


@pytest.mark.parametrize("error", [KeyboardInterrupt(), CancelledJobError("stopped")])
def test_a_stop(mlflow: FakeMlflow, monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    does(monkeypatch, error)
    assert run.main() == run.CANCELLED
    assert mlflow.status == "KILLED"


def test_a_job_that_makes_room_leaves_its_run_open(mlflow: FakeMlflow, monkeypatch: pytest.MonkeyPatch) -> None:
    does(monkeypatch, PreemptedJobError("It was asked to."))
    assert run.main() == ExitCode.PREEMPTED
    assert mlflow.status is None


def test_an_attempt_that_is_barred_does_not_begin(
    mlflow: FakeMlflow, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bar = tmp_path / notes.bar_path("job-1", 1)
    bar.parent.mkdir(parents=True)
    bar.touch()
    does(monkeypatch, AssertionError("it began"))
    assert run.main() == run.CANCELLED
    assert mlflow.status is None


def test_a_preempted_job_says_so_and_leaves_its_run_open(mlflow: FakeMlflow, monkeypatch: pytest.MonkeyPatch) -> None:
    does(monkeypatch, PreemptedJobError("It stopped after epoch 3."))
    assert run.main() == ExitCode.PREEMPTED
    assert mlflow.status is None


@pytest.mark.parametrize("value", ["", "{}", "not json"])
def test_no_job_in_the_environment(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv(ENVELOPE_VARIABLE, value)
    assert run.main() == ExitCode.USER_ERROR


def test_a_failure_keeps_its_status_when_mlflow_is_gone_too(
    mlflow: FakeMlflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: Any) -> None:
        raise RuntimeError("no MLflow")

    monkeypatch.setattr(mlflow, "set_terminated", gone)
    does(monkeypatch, DataError("change it"))
    assert run.main() == ExitCode.DATA_ERROR


def test_every_kind_of_job_has_its_code() -> None:
    data = {"uri": "sklearn://iris"}
    window = {"since": "2026-01-01T00:00:00Z", "until": "2026-01-02T00:00:00Z"}
    model = {"name": "m", "version": 1}
    for spec in (
        {"kind": "train", "data": data},
        {"kind": "sweep", "data": data, "search": {"dropout": {"kind": "choice", "values": [0]}}},
        {"kind": "evaluate", "data": data, "models": [model]},
        {"kind": "drift_check", "predictions": "file:///p", "model": model, "report": "file:///r", **window},
        {"kind": "batch_prediction", "model": model, "input": "file:///i"},
        {"kind": "custom", "code": {"kind": "image", "uri": "train:v1"}, "entrypoint": ["train"]},
    ):
        envelope = Envelope.model_validate(
            {"job": "j", "attempt": 1, "project": "p", "run_id": "r", "storage": "file:///s", "spec": spec}
        )
        assert callable(run._job(envelope))
