"""A process that predicts chunks: it loads the model once."""

from __future__ import annotations

import contextlib
import time
import traceback
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq
from mlflow.exceptions import MlflowException

from ratchet_pipelines.batch import chunks
from ratchet_pipelines.batch.chunks import Inputs, Model, Reader
from ratchet_pipelines.batch.plan import Chunk, Folder, Plan
from ratchet_pipelines.errors import DataError, JobError, OutOfMemoryError, UserError, on_rank
from ratchet_pipelines.logs.capture import captured
from ratchet_pipelines.train.tracking import patiently


@dataclass(frozen=True)
class Predicted:
    chunk: Chunk
    seconds: float
    answers: pa.Schema
    """Names and types of the columns that the model gave."""


def load(uri: str) -> Model:
    """The model, of whatever kind MLflow knows."""
    import mlflow.pyfunc  # by itself it takes as long to import as many a chunk to predict

    model: Model = patiently(lambda: mlflow.pyfunc.load_model(uri))
    return model


class Worker:
    """Made an actor by `job`. Each chunk is one file, written whole: a chunk may be predicted twice, never by half."""

    def __init__(self, rank: int, plan: Plan, inputs: Inputs, output: str) -> None:
        self._log = contextlib.ExitStack()
        self._log.enter_context(captured(f"rank-{rank}", echo=False))
        self._rank, self._plan, self._inputs = rank, plan, inputs
        self._reader, self._folder = Reader(plan.input), Folder(output)
        self._model = load(plan.model.uri)

    def predict(self, chunk: Chunk, answers: pa.Schema | None) -> Predicted:
        """Raises a `JobError` that says whose turn it is, for whatever the data or the model's code raise."""
        try:
            return self._predict(chunk, answers)
        except Exception as error:
            where = f"rows {chunk.first} to {chunk.first + chunk.rows - 1} of {chunk.path}"
            if not isinstance(error, JobError | MlflowException):
                traceback.print_exception(error)  # the model's own code: the job's log has its lines
            raise on_rank(_explained(error, where), self._rank) from None

    def close(self) -> None:
        """Returns when all that it printed is in the job's log."""
        self._log.close()

    def _predict(self, chunk: Chunk, answers: pa.Schema | None) -> Predicted:
        began = time.monotonic()
        table = self._reader.read(chunk)
        found = chunks.predict(self._model, self._inputs, table, self._plan.prefix, answers)
        buffer = pa.BufferOutputStream()
        pq.write_table(found, buffer)
        self._folder.write(chunk.name, buffer.getvalue().to_pybytes())
        schema = pa.schema([found.schema.field(i) for i in range(table.num_columns, found.num_columns)])
        return Predicted(chunk, time.monotonic() - began, schema)


def _explained(error: Exception, where: str) -> Exception:
    match error:
        case JobError():
            return type(error)(f"{error} In {where}.")
        case MlflowException():
            return DataError(f"The model does not take {where}: {error}")
        case MemoryError():
            return OutOfMemoryError(f"Memory ran out with {where}: set a smaller `chunk_rows`.")
        case OSError():
            return DataError(f"{where} can't be read, or its answers not be written: {error}")
    if type(error).__name__ == "OutOfMemoryError":
        return OutOfMemoryError(f"Memory ran out with {where}: set a smaller `chunk_rows`. {error}")
    return UserError(f"The model fails with {where}: {type(error).__name__}: {error}")
