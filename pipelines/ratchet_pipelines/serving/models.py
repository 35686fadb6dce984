"""A model as a replica holds it: loaded from MLflow, asked by columns, unloaded with its files."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import mlflow.artifacts
import mlflow.pyfunc
import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException

from ratchet_pipelines.serving.inputs import KINDS, Columns, InputColumn, InputSchema, Row
from ratchet_pipelines.spec import TOKEN_FILE_VARIABLE

TRY_TIMEOUT_S = 180.0
"""Download, import and one prediction of a model in the throw-away process may take this long."""

_PATIENCE = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "15", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "5"}
"""A minute (2, 4, 8, 16 and 32 s of waiting) for the API, through which MLflow is reached, to be started anew; and less
than `TRY_TIMEOUT_S` where it hangs, or that would look like a model that does."""


class ModelError(Exception):
    """The model can't be served; the message says why and what to do."""


class ModelUnavailableError(ModelError):
    """The model could not be fetched: worth trying again later."""


class _RowModel(Protocol):
    """What a model may offer beside pyfunc's `predict`, to be asked without a DataFrame in between."""

    def predict_rows(self, rows: Sequence[Row]) -> list[Row]: ...


def schema_of(signature: Any) -> InputSchema:
    """The input columns of MLflow's signature; `ModelError` when it has none that JSON objects can be checked with."""
    specs = signature.inputs.inputs if signature is not None and signature.inputs is not None else []
    if not specs or any(getattr(spec, "name", None) is None for spec in specs):
        raise ModelError("The model has no signature with named columns: log it with `signature=infer_signature(...)`.")
    columns = []
    for spec in specs:
        kind = getattr(spec.type, "name", None)
        if kind not in KINDS:
            raise ModelError(
                f"Column {spec.name!r} of the model's signature is a {spec.type}; only plain columns serve."
            )
        columns.append(InputColumn(name=spec.name, type=kind, required=bool(spec.required)))
    return InputSchema(columns)


class LoadedModel:
    """A model in memory. `predict` may be called from one thread at a time."""

    def __init__(self, folder: Path) -> None:
        self._pyfunc = mlflow.pyfunc.load_model(str(folder))
        self.inputs = schema_of(self._pyfunc.metadata.signature)
        self._nulls = dict.fromkeys(self.inputs.names)
        self._fast: _RowModel | None = self._find_fast()

    def _find_fast(self) -> _RowModel | None:
        try:
            model = self._pyfunc.get_raw_model()
        except (NotImplementedError, MlflowException):
            return None
        return model if callable(getattr(model, "predict_rows", None)) else None

    def predict(self, rows: Sequence[Row], columns: Columns) -> list[Row]:
        """One answer per row, of Python's own types: `prediction`, and `probability_<class>` for each class if any.

        `columns` is what `inputs.parse` made of `rows`. Raises `ModelError` when the answers are no such thing, and
        whatever the model's code raises.
        """
        answers = self._ask(rows, columns)
        if len(answers) != len(rows) or "prediction" not in answers[0]:
            raise ModelError("The model's output needs a column `prediction`, and one row for every row of input.")
        return answers

    def _ask(self, rows: Sequence[Row], columns: Columns) -> list[Row]:
        if self._fast is None:
            return _answers(self._pyfunc.predict(pd.DataFrame(columns)))
        if any(len(row) < len(self._nulls) for row in rows):
            rows = [{**self._nulls, **row} for row in rows]
        return self._fast.predict_rows(rows)

    def try_example(self) -> float:
        """Predict the model's own input example; the seconds that a second, warm prediction of it took."""
        rows = self._example()
        columns = self.inputs.parse(rows)
        for _ in range(2):
            started = time.perf_counter()
            self.predict(rows, columns)
            seconds = time.perf_counter() - started
        return seconds

    def _example(self) -> list[Row]:
        example = self._pyfunc.input_example
        if example is None:
            raise ModelError("The model has no input example to try it with: log it with `input_example=...`.")
        first = pd.DataFrame(example).head(1)
        rows: list[Row] = json.loads(first.to_json(orient="records", date_format="iso", double_precision=15))
        return rows


def _answers(output: Any) -> list[Row]:
    """What pyfunc models give (DataFrame, Series, array, list), as rows; a single value per row is the prediction."""
    if not isinstance(output, pd.DataFrame):
        array = np.asarray(output)
        if array.ndim == 2 and array.shape[1] == 1:
            array = array[:, 0]
        if array.ndim != 1:
            raise ModelError(f"The model's output has shape {array.shape}; it must be a table, or one value per row.")
        output = pd.DataFrame({"prediction": array})
    columns = {str(name): output[name].tolist() for name in output.columns}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def download(uri: str, folder: Path) -> Path:
    """The model's files under `folder`, their root returned; `ModelUnavailableError` when they can't be had."""
    try:
        return Path(mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=str(folder)))
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            raise ModelError(f"it does not exist ({_first_line(error)})") from error
        raise ModelUnavailableError(f"{uri} can't be fetched: {_first_line(error)}") from error
    except Exception as error:
        raise ModelUnavailableError(f"{uri} can't be fetched: {_first_line(error)}") from error


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__)[:500]


@dataclass(frozen=True)
class Tried:
    """A model that passed its trial: and where its files are."""

    model: Path
    files: Path
    """The folder to remove when the model is no longer needed."""


async def fetch_and_try(uri: str, parent: Path, limit_s: float = TRY_TIMEOUT_S) -> Tried:
    """Download a model and try it in a process of its own, so that whatever its code does happens there.

    Raises `ModelError` with what the trial said, or how its process ended; nothing is left of a model that failed.
    """
    folder = Path(tempfile.mkdtemp(prefix="model-", dir=parent))
    try:
        return await _run_trial(uri, folder, limit_s)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


async def _run_trial(uri: str, folder: Path, limit_s: float) -> Tried:
    verdict = folder / "verdict.json"
    process = await asyncio.create_subprocess_exec(
        *[sys.executable, "-m", "ratchet_pipelines.serving.tryout", uri, str(folder), str(verdict)],
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
        env={**_PATIENCE, **os.environ, **_token(), "OMP_NUM_THREADS": "1"},
    )
    try:
        code = await asyncio.wait_for(process.wait(), limit_s)
    except TimeoutError:
        raise ModelError(f"{uri} took longer than {limit_s:g} s to load and predict its input example.") from None
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    return _read_verdict(uri, verdict, code)


def _token() -> dict[str, str]:
    """Read anew for each model: a token that was rotated is taken without a restart."""
    file = os.environ.get(TOKEN_FILE_VARIABLE)
    return {"MLFLOW_TRACKING_TOKEN": Path(file).read_text().strip()} if file else {}


def _read_verdict(uri: str, verdict: Path, code: int) -> Tried:
    if not verdict.exists():
        how = f"signal {-code}" if code < 0 else f"exit status {code}"
        hint = " It may need more memory than there is." if code == -9 else ""
        raise ModelError(f"The process that tried {uri} ended by {how}, without a verdict.{hint}")
    told = json.loads(verdict.read_text())
    if told["state"] == "unavailable":
        raise ModelUnavailableError(told["message"])
    if told["state"] == "failed":
        raise ModelError(told["message"])
    return Tried(model=Path(told["model"]), files=verdict.parent)
