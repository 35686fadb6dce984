"""The rows of a prediction log between two instants, as few files read as can be."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import fsspec
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ratchet_pipelines.errors import DataError, UserError
from ratchet_pipelines.serving.log import FEATURE
from ratchet_pipelines.spec import ModelVersion


@dataclass(frozen=True)
class Window:
    """`since` is included, `until` is not."""

    since: datetime
    until: datetime

    @classmethod
    def parse(cls, since: str, until: str) -> Window:
        """`UserError` when the two are no window."""
        try:
            start, end = (datetime.fromisoformat(text) for text in (since, until))
        except ValueError as error:
            raise UserError(f"The window's bounds must be RFC 3339 times: {error}.") from error
        if start.tzinfo is None or end.tzinfo is None:
            raise UserError("The window's bounds need a time zone, such as the Z of 2026-01-31T12:00:00Z.")
        if start >= end:
            raise UserError(f"The window is empty: since ({since}) must be before until ({until}).")
        return cls(start.astimezone(UTC), end.astimezone(UTC))

    def dates(self) -> list[str]:
        days = (self.until.date() - self.since.date()).days
        return [f"{self.since.date() + timedelta(days=day):%Y-%m-%d}" for day in range(days + 1)]


def read(folder: str, window: Window, model: ModelVersion, max_rows: int) -> pd.DataFrame:
    """The newest rows that `model` answered in the window, oldest first: `timestamp`, `prediction`, `feature.*`.

    Files are read from the newest back until there are enough. Raises `DataError` when one can't be read.
    """
    fs, root = fsspec.core.url_to_fs(folder)
    found: list[pa.Table] = []
    for path in _files(fs, root, window):
        written = _written_at(path)
        # A row is older than its file: once enough rows are younger than this file, it can't hold a newer one.
        if sum(_younger(table, written) for table in found) >= max_rows:
            break
        table = _rows(fs, path, window, model)
        if table.num_rows:
            found.append(table)
    if not found:
        return pd.DataFrame({"timestamp": [], "prediction": []})
    frame = pa.concat_tables(found, promote_options="permissive").to_pandas()
    return frame.sort_values("timestamp", kind="stable").tail(max_rows).reset_index(drop=True)


def _files(fs: Any, root: str, window: Window) -> list[str]:
    """The files that may hold rows of the window, newest first: those of its days, written after its start."""
    found = []
    for date in window.dates():
        try:
            paths = fs.ls(f"{root.rstrip('/')}/date={date}", detail=False)
        except FileNotFoundError:
            continue
        names = [path for path in paths if path.endswith(".parquet") and not _name(path).startswith(".")]
        found += [path for path in names if _written_at(path) >= window.since]
    return sorted(found, key=_name, reverse=True)


def _name(path: str) -> str:
    return path.rsplit("/", 1)[-1]


def _written_at(path: str) -> datetime:
    text = _name(path).split("-", 1)[0]
    try:
        return datetime.strptime(text, "%Y%m%dT%H%M%S%fZ").replace(tzinfo=UTC)
    except ValueError as error:
        raise DataError(f"{path} is no file of a prediction log: its name does not begin with a time.") from error


def _younger(table: pa.Table, instant: datetime) -> int:
    return int(pc.sum(pc.greater(table["timestamp"], pa.scalar(instant, pa.timestamp("us", tz="UTC")))).as_py() or 0)


def _rows(fs: Any, path: str, window: Window, model: ModelVersion) -> pa.Table:
    try:
        with fs.open(path, "rb") as file:
            parquet = pq.ParquetFile(file)
            features = [name for name in parquet.schema_arrow.names if name.startswith(FEATURE)]
            table = parquet.read(["timestamp", "model", "model_version", "prediction", *features])
    except (OSError, pa.ArrowInvalid) as error:
        raise DataError(f"{path} can't be read: {error}") from error
    start, end = (pa.scalar(bound, pa.timestamp("us", tz="UTC")) for bound in (window.since, window.until))
    wanted = pc.and_(pc.greater_equal(table["timestamp"], start), pc.less(table["timestamp"], end))
    wanted = pc.and_(wanted, pc.equal(table["model"], model.name))
    wanted = pc.and_(wanted, pc.equal(table["model_version"], model.version))
    return table.filter(wanted).drop_columns(["model", "model_version"])
