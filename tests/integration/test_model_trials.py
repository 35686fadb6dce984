"""Whatever a model does when it is tried happens in a process of its own, and comes back as a sentence."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest
from mlflow.models import infer_signature

from ratchet_pipelines.serving.models import LoadedModel, ModelError, ModelUnavailableError, fetch_and_try

pytestmark = pytest.mark.real
FRAME = pd.DataFrame({"a": [1.0, 2.0], "city": ["Bonn", "Kiel"]})


def save(folder: Path, predict: Any, *, signed: bool = True) -> str:
    class Model(mlflow.pyfunc.PythonModel):
        def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
            # MLflow tries the example when it saves: only later, where it is served, does the model misbehave.
            return predict(model_input) if "RATCHET_TRY" in os.environ else model_input["a"]

    path = folder / "model"
    signature = infer_signature(FRAME, FRAME["a"]) if signed else None
    example = FRAME if signed else None
    mlflow.pyfunc.save_model(
        str(path), python_model=Model(), signature=signature, input_example=example, pip_requirements=[]
    )
    return str(path)


@pytest.fixture(autouse=True)
def mark_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RATCHET_TRY", "1")


def attempt(uri: str, parent: Path, limit_s: float = 60) -> LoadedModel:
    return LoadedModel(asyncio.run(fetch_and_try(uri, parent, limit_s)).model)


def test_a_model_of_any_flavour_serves(tmp_path: Path) -> None:
    (tmp_path / "tried").mkdir()
    model = attempt(save(tmp_path, lambda frame: frame["a"] * 2), tmp_path / "tried")
    rows = [{"a": 4, "city": "Köln"}]
    assert model.predict(rows, model.inputs.parse(rows)) == [{"prediction": 8.0}]


def test_a_model_that_raises_is_told_with_its_own_words(tmp_path: Path) -> None:
    def fail(frame: Any) -> Any:
        raise RuntimeError("the matrix is singular")

    refused(tmp_path, save(tmp_path, fail), "RuntimeError: the matrix is singular")


def test_a_model_that_kills_its_process(tmp_path: Path) -> None:
    refused(tmp_path, save(tmp_path, lambda frame: os.kill(os.getpid(), 9)), "signal 9.*more memory")


def test_a_model_that_hangs_is_stopped(tmp_path: Path) -> None:
    refused(tmp_path, save(tmp_path, lambda frame: time.sleep(600)), "longer than 8 s", limit_s=8)


def test_a_model_that_answers_fewer_rows(tmp_path: Path) -> None:
    refused(tmp_path, save(tmp_path, lambda frame: []), "one row for every row of input")


def test_a_model_without_a_signature(tmp_path: Path) -> None:
    refused(tmp_path, save(tmp_path, lambda frame: frame, signed=False), "no signature with named columns")


def test_a_model_that_is_not_there(tmp_path: Path) -> None:
    refused(tmp_path, str(tmp_path / "nothing"), "it does not exist")


def test_a_registry_that_is_away_may_come_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    refused(tmp_path, "models:/m/1", "models:/m/1 can't be fetched", kind=ModelUnavailableError)


def refused(folder: Path, uri: str, message: str, *, limit_s: float = 60, kind: type[ModelError] = ModelError) -> None:
    """The trial fails with the message, and leaves no file."""
    tried = folder / "tried"
    tried.mkdir()
    with pytest.raises(kind, match=message):
        attempt(uri, tried, limit_s)
    assert list(tried.iterdir()) == []
