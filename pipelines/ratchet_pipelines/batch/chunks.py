"""One chunk: its rows read, checked against what the model takes, predicted, and put beside the answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import fsspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ratchet_pipelines.batch.plan import Chunk
from ratchet_pipelines.catalog import suggestion
from ratchet_pipelines.errors import DataError, UserError

TYPES = {
    "boolean": pa.bool_(),
    "integer": pa.int32(),
    "long": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "string": pa.string(),
    "binary": pa.binary(),
    "datetime": pa.timestamp("ns"),
}
"""MLflow's types of columns, as Arrow has them."""


class Model(Protocol):
    def predict(self, data: pd.DataFrame) -> Any: ...


@dataclass(frozen=True)
class Inputs:
    """The columns that a model takes, as its signature says; all of the table's when it says nothing of columns."""

    types: dict[str, str] | None
    required: frozenset[str] = frozenset()

    @classmethod
    def of(cls, signature: Any) -> Inputs:
        """Of MLflow's `ModelSignature`, or None."""
        specs = signature.inputs.inputs if signature is not None and signature.inputs is not None else []
        if not specs or any(getattr(spec, "name", None) is None for spec in specs):
            return cls(None)
        types = {spec.name: getattr(spec.type, "name", str(spec.type)) for spec in specs}
        return cls(types, frozenset(spec.name for spec in specs if getattr(spec, "required", True)))

    def require(self, schema: pa.Schema, uri: str) -> None:
        """`DataError` when a column is missing, or is of a kind that can't become what the model takes."""
        for name, wanted in (self.types or {}).items():
            at = schema.get_field_index(name)
            if at < 0:
                if name in self.required:
                    raise DataError(
                        f"{uri} lacks the column {name!r} that the model takes.{suggestion(name, schema.names)}"
                    )
            elif wanted in TYPES and _kind(schema.field(at).type) not in _accepted(TYPES[wanted]):
                raise DataError(
                    f"The column {name!r} of {uri} is {schema.field(at).type}; the model takes {wanted} there."
                )

    def frame(self, table: pa.Table) -> pd.DataFrame:
        """What the model is asked with, in its own types. `DataError` for a value that has no place in them."""
        if self.types is None:
            return table.to_pandas()
        columns = {}
        for name, wanted in self.types.items():
            if name not in table.schema.names:
                continue
            column = table.column(name)
            try:
                columns[name] = column.cast(TYPES[wanted]) if wanted in TYPES else column
            except pa.ArrowInvalid as error:
                raise DataError(f"The column {name!r} holds a value that is no {wanted}: {error}.") from error
        return pa.table(columns).to_pandas()


def _kind(kind: pa.DataType) -> str:
    types = pa.types
    if types.is_dictionary(kind):
        return _kind(kind.value_type)
    if types.is_boolean(kind):
        return "boolean"
    if types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind):
        return "number"
    if types.is_string(kind) or types.is_large_string(kind):
        return "text"
    if types.is_binary(kind) or types.is_large_binary(kind):
        return "binary"
    if types.is_timestamp(kind) or types.is_date(kind):
        return "time"
    return "empty" if types.is_null(kind) else str(kind)


def _accepted(wanted: pa.DataType) -> set[str]:
    # Truth values count as numbers, as they do in training.
    return {_kind(wanted), "empty"} | ({"boolean"} if _kind(wanted) == "number" else set())


class Reader:
    """Reads chunks of Parquet files. Keeps the row groups that it read last: the next chunk is often in the same."""

    def __init__(self, uri: str) -> None:
        self._files = fsspec.core.url_to_fs(uri)[0]
        self._held: tuple[tuple[str, int, int], pa.Table] | None = None

    def read(self, chunk: Chunk) -> pa.Table:
        with self._files.open(chunk.path, "rb") as file:
            parquet = pq.ParquetFile(file)
            ends = np.cumsum([parquet.metadata.row_group(i).num_rows for i in range(parquet.num_row_groups)])
            first = int(np.searchsorted(ends, chunk.first, side="right"))
            last = int(np.searchsorted(ends, chunk.first + chunk.rows, side="left"))
            key = (chunk.path, first, last)
            if self._held is None or self._held[0] != key:
                self._held = None  # not two at a time in memory
                self._held = (key, parquet.read_row_groups(list(range(first, last + 1))))
        before = int(ends[first - 1]) if first else 0
        return self._held[1].slice(chunk.first - before, chunk.rows)


def predict(model: Model, inputs: Inputs, table: pa.Table, prefix: str, answers: pa.Schema | None) -> pa.Table:
    """`table` with the model's answers beside it. They have the types of `answers` when those are given.

    Raises:
        DataError: A value does not fit what the model takes, or an answer what it gave before.
        UserError: The model gives no table of one row for each, or its columns are in the input already.
    """
    output = table_of(model.predict(inputs.frame(table)), table.num_rows)
    output = output.rename(columns=lambda name: f"{prefix}{name}")
    if there := [name for name in output.columns if name in table.schema.names]:
        raise UserError(
            f"The input has a column {there[0]!r}, as the model's answers have: give a `prefix` for the answers."
        )
    try:
        found = pa.Table.from_pandas(output, schema=answers, preserve_index=False).replace_schema_metadata()
    except (pa.ArrowInvalid, pa.ArrowTypeError, KeyError) as error:
        raise DataError(f"The model's answers are not of one type: {error}.") from error
    for name in found.column_names:
        table = table.append_column(found.schema.field(name), found.column(name))
    return table.replace_schema_metadata()


def table_of(output: Any, rows: int) -> pd.DataFrame:
    """What MLflow models give (DataFrame, Series, array, list) as a table: `prediction`, or `prediction_0`, … ."""
    if isinstance(output, pd.DataFrame):
        frame = output.rename(columns=str).reset_index(drop=True)
    else:
        array = np.asarray(output)
        if array.ndim == 2 and array.shape[1] > 1:
            frame = pd.DataFrame({f"prediction_{i}": array[:, i] for i in range(array.shape[1])})
        elif array.size == rows:
            frame = pd.DataFrame({"prediction": array.reshape(rows)})
        else:
            raise UserError(f"The model gives an array of shape {array.shape} for {rows} rows: not one answer each.")
    if len(frame) != rows:
        raise UserError(f"The model gives {len(frame)} answers for {rows} rows.")
    return frame
