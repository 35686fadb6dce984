"""The prediction log: what was asked and answered, in Parquet, written beside the requests and never in their way.

Layout: `<storage>/predictions/<project>/<endpoint>/date=YYYY-MM-DD/<UTC time of writing>-<replica>-<number>.parquet`,
the date that of the rows. A file appears whole or not at all. Rows wait in memory at most a second; when storage fails
they are tried again, and beyond `MAX_WAITING_ROWS` the oldest are dropped and counted.
"""

from __future__ import annotations

import contextlib
import io
import logging
import threading
import time
from base64 import b64encode
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ratchet_pipelines.serving.inputs import Columns, InputSchema
from ratchet_pipelines.spec import Variant

MAX_WAITING_ROWS = 100_000
FLUSH_ROWS = 5_000
FLUSH_SECONDS = 1.0
DAY_US = 86_400_000_000
FEATURE = "feature."
"""Before the name of an input column in the log."""

_logger = logging.getLogger(__name__)

_ARROW_TYPES: dict[str, pa.DataType] = {
    "double": pa.float64(),
    "float": pa.float32(),
    "long": pa.int64(),
    "integer": pa.int32(),
    "boolean": pa.bool_(),
    "string": pa.string(),
    "datetime": pa.timestamp("us"),
    "binary": pa.binary(),
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One request as it was answered."""

    request_id: str
    key: str
    variant: Variant
    generation: int
    schema: InputSchema
    inputs: Columns
    predictions: list[Any]
    time_us: int
    """Microseconds since the epoch."""


class PredictionLog:
    """Takes entries from the event loop, writes them from a thread of its own."""

    def __init__(self, folder: str, replica: str) -> None:
        self._fs, self._root = fsspec.core.url_to_fs(folder)
        self._replica = replica
        self._queue: deque[Entry] = deque()
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._stopped = False
        self._number = 0
        self.waiting = 0
        self.written = 0
        self.dropped = 0
        self.message = ""
        self._thread = threading.Thread(target=self._run, name="prediction-log", daemon=True)
        self._thread.start()

    def add(self, entry: Entry) -> None:
        """Keep an entry to be written; takes microseconds and never fails."""
        with self._lock:
            self._queue.append(entry)
            self.waiting += len(entry.predictions)
            self._drop_beyond_bound()
        if self.waiting >= FLUSH_ROWS:
            self._wake.set()

    def _drop_beyond_bound(self) -> None:
        while self.waiting > MAX_WAITING_ROWS:
            rows = len(self._queue.popleft().predictions)
            self.waiting -= rows
            self.dropped += rows

    def close(self, limit_s: float = 10.0) -> None:
        """Write what waits, then stop; at most `limit_s` seconds."""
        self._stopped = True
        self._wake.set()
        self._thread.join(limit_s)

    def _run(self) -> None:
        while not self._stopped:
            self._wake.wait(FLUSH_SECONDS)
            self._wake.clear()
            self._flush()
        self._flush()

    def _flush(self) -> None:
        with self._lock:
            entries = list(self._queue)
            self._queue.clear()
            self.waiting = 0
        for batch in _batches(entries):
            rows = sum(len(entry.predictions) for entry in batch)
            try:
                self._write(batch)
                self.written += rows
                self.message = ""
            except Exception as error:
                # Storage is away, or refuses: whatever it raises, a prediction must not pay for it.
                self.message = f"The prediction log can't be written: {type(error).__name__}: {error}"[:500]
                _logger.warning(self.message)
                self._put_back(batch, rows)

    def _put_back(self, batch: list[Entry], rows: int) -> None:
        with self._lock:
            self._queue.extendleft(reversed(batch))
            self.waiting += rows
            self._drop_beyond_bound()

    def _write(self, batch: list[Entry]) -> None:
        buffer = io.BytesIO()
        pq.write_table(as_table(batch), buffer, compression="zstd")
        now = datetime.now(UTC)
        name = f"{now:%Y%m%dT%H%M%S%fZ}-{self._replica}-{self._number}.parquet"
        self._number += 1
        folder = f"{self._root}/date={_date(batch[0])}"
        if "file" not in self._fs.protocol:
            self._fs.pipe_file(f"{folder}/{name}", buffer.getvalue())  # one PUT: whole or not at all
            return
        Path(folder).mkdir(parents=True, exist_ok=True)
        temporary = Path(folder, f".{name}.tmp")
        try:
            temporary.write_bytes(buffer.getvalue())
            temporary.rename(Path(folder, name))
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)


def _date(entry: Entry) -> str:
    return f"{datetime.fromtimestamp(entry.time_us / 1e6, UTC):%Y-%m-%d}"


def _batches(entries: Iterable[Entry]) -> list[list[Entry]]:
    """The entries of one file each: a day's, of all variants, so that no reader sees more of one than another."""
    batches: dict[int, list[Entry]] = {}
    for entry in entries:
        batches.setdefault(entry.time_us // DAY_US, []).append(entry)
    return list(batches.values())


def _label(value: Any) -> str:
    return repr(value) if isinstance(value, float) else str(value)


def as_table(batch: list[Entry]) -> pa.Table:
    """One row per row predicted. A column that a variant does not take is null in its rows; where two variants type a
    column so differently that neither holds the other's values, it is written as text."""
    by_schema: dict[int, list[Entry]] = {}
    for entry in batch:
        by_schema.setdefault(id(entry.schema), []).append(entry)
    tables = [_table_of_schema(entries) for entries in by_schema.values()]
    try:
        return pa.concat_tables(tables, promote_options="permissive")
    except pa.ArrowTypeError:
        mixed = _mixed_columns(tables)
        return pa.concat_tables([_as_text(table, mixed) for table in tables], promote_options="permissive")


def _mixed_columns(tables: list[pa.Table]) -> set[str]:
    types: dict[str, set[pa.DataType]] = {}
    for table in tables:
        for field in table.schema:
            types.setdefault(field.name, set()).add(field.type)
    return {name for name, found in types.items() if len(found) > 1}


def _as_text(table: pa.Table, names: set[str]) -> pa.Table:
    for index, field in enumerate(table.schema):
        if field.name not in names:
            continue
        values = table[field.name]
        if pa.types.is_binary(field.type):  # any bytes, text or not, and as they were sent
            encoded = [None if value is None else b64encode(value).decode() for value in values.to_pylist()]
            values = pa.array(encoded, type=pa.string())
        table = table.set_column(index, field.name, values.cast(pa.string()))
    return table


def _table_of_schema(batch: list[Entry]) -> pa.Table:
    """One row per row predicted; the entries share their input schema."""
    counts = [len(entry.predictions) for entry in batch]

    def repeat(values: list[Any], kind: pa.DataType) -> pa.Array:
        return pa.array([value for value, count in zip(values, counts, strict=True) for _ in range(count)], type=kind)

    columns: dict[str, pa.Array] = {
        "request_id": repeat([entry.request_id for entry in batch], pa.string()),
        "row": pa.array([row for count in counts for row in range(count)], type=pa.int32()),
        "timestamp": repeat([entry.time_us for entry in batch], pa.timestamp("us", tz="UTC")),
        "variant": repeat([entry.variant.name for entry in batch], pa.string()),
        "model": repeat([entry.variant.model.name for entry in batch], pa.string()),
        "model_version": repeat([entry.variant.model.version for entry in batch], pa.int64()),
        "key": repeat([entry.key for entry in batch], pa.string()),
        "propensity": repeat([entry.variant.weight for entry in batch], pa.float64()),
        "prediction": pa.array([_label(value) for entry in batch for value in entry.predictions], type=pa.string()),
        "generation": repeat([entry.generation for entry in batch], pa.int64()),
    }
    for column in batch[0].schema.columns:
        values = np.concatenate([entry.inputs[column.name] for entry in batch])
        columns[FEATURE + column.name] = pa.array(values, type=_ARROW_TYPES[column.type], from_pandas=True)
    return pa.table(columns)


def now_us() -> int:
    return time.time_ns() // 1_000
