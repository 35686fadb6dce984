"""Reads the prediction log that replicas write: Parquet files in folders by day.

`<storage>/predictions/<project>/<endpoint>/date=YYYY-MM-DD/<UTC time of writing>-<replica>-<number>.parquet`. A row is
written after it was predicted, mostly within a second, so a file written before `since` holds no row of the window.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

MAX_ROWS = 1_000_000
FILES_AT_ONCE = 8
NAME_TIME = "%Y%m%dT%H%M%S%fZ"


def folder(storage: str, project: str, endpoint: str) -> str:
    """The URI of an endpoint's prediction log."""
    return f"{storage.rstrip('/')}/predictions/{project}/{endpoint}"


def read(
    storage: str,
    project: str,
    endpoint: str,
    since: datetime | None = None,
    until: datetime | None = None,
    columns: Sequence[str] | None = None,
    limit: int = MAX_ROWS,
) -> pa.Table:
    """The newest rows of the window [since, until), at most `limit`, in the order of time.

    `columns` are those of the log (`request_id`, `row`, `timestamp`, `variant`, `model`, `model_version`, `key`,
    `propensity`, `prediction`, `generation`, `feature.<name>`); all when not given. One that no file has is left out,
    one that some files lack is null there. Without any row the table has no rows, and the columns asked for.
    Raises `OSError` when the storage can't be read.
    """
    import fsspec

    files, root = fsspec.core.url_to_fs(folder(storage, project, endpoint))
    names = _newest_first(files, root, since, until)
    parts: list[pa.Table] = []
    rows = 0
    with ThreadPoolExecutor(FILES_AT_ONCE, thread_name_prefix="read-log") as pool:
        while rows < limit and (batch := list(islice(names, FILES_AT_ONCE))):
            read_files = pool.map(lambda name: _read_file(files, name, since, until, columns), batch)
            found = [table for table in read_files if table is not None]
            parts += found
            rows += sum(table.num_rows for table in found)
    if not parts:
        return _empty(columns or tuple(_TYPES))
    table = _joined(parts).sort_by("timestamp")
    table = table.slice(max(0, table.num_rows - limit))
    return table if columns is None else table.select([name for name in columns if name in table.column_names])


def newest(storage: str, project: str, endpoint: str, limit: int) -> list[dict[str, Any]]:
    """The newest rows, newest first, as JSON-ready values."""
    rows = read(storage, project, endpoint, limit=limit).to_pylist()
    return [{name: _json(value) for name, value in row.items()} for row in reversed(rows)]


def traffic(
    storage: str, project: str, endpoint: str, since: datetime, until: datetime
) -> tuple[list[dict[str, Any]], bool]:
    """Requests by minute, variant and version, newest minute first; and whether some of the window were left out."""
    import pyarrow.compute as pc

    columns = ["timestamp", "row", "variant", "model", "model_version"]
    table = read(storage, project, endpoint, since, until, columns)
    truncated = table.num_rows >= MAX_ROWS
    table = table.filter(pc.equal(table["row"], 0))  # a request of many rows is one request
    minutes = pc.floor_temporal(table["timestamp"], unit="minute")
    keys = ["minute", "variant", "model", "model_version"]
    counts = table.append_column("minute", minutes).group_by(keys).aggregate([("row", "count")])
    ordered = counts.sort_by([("minute", "descending"), ("variant", "ascending"), ("model_version", "ascending")])
    return [{"count": row.pop("row_count"), **row} for row in ordered.to_pylist()], truncated


_TYPES = {
    "request_id": "string",
    "row": "int32",
    "timestamp": "timestamp[us]",  # in UTC: the alias of a type can't name a zone
    "variant": "string",
    "model": "string",
    "model_version": "int64",
    "key": "string",
    "propensity": "float64",
    "prediction": "string",
    "generation": "int64",
}


def _empty(columns: Sequence[str]) -> pa.Table:
    import pyarrow as pa

    types = {name: pa.type_for_alias(_TYPES.get(name, "string")) for name in columns} | {
        "timestamp": pa.timestamp("us", "UTC")
    }
    return pa.table({name: pa.array([], type=types[name]) for name in columns})


def _newest_first(files: Any, root: str, since: datetime | None, until: datetime | None) -> Iterator[str]:
    """The log's files that may hold rows of the window, by the time they were written; days are listed when needed."""
    days = sorted((path for path in _list(files, root) if _day(path) is not None), reverse=True)
    for path in days:
        day = _day(path)
        if day is None or (until is not None and day > until.date()) or (since is not None and day < since.date()):
            continue
        written = [(name.rpartition("/")[2], name) for name in _list(files, path) if name.endswith(".parquet")]
        for short, name in sorted(written, reverse=True):
            if since is None or not _written_before(short, since):
                yield name


def _joined(parts: list[pa.Table]) -> pa.Table:
    """All rows. A feature that changed its type from one model to the next (a number, then a string) becomes text."""
    import pyarrow as pa

    try:
        return pa.concat_tables(parts, promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        types: dict[str, set[pa.DataType]] = {}
        for part in parts:
            for column in part.schema:
                types.setdefault(column.name, set()).add(column.type)
        mixed = {name for name, kinds in types.items() if len(kinds) > 1}
        return pa.concat_tables([_as_text(part, mixed) for part in parts], promote_options="permissive")


def _as_text(table: pa.Table, columns: set[str]) -> pa.Table:
    for index, name in enumerate(table.column_names):
        if name in columns:
            table = table.set_column(index, name, table[name].cast("string"))
    return table


def _list(files: Any, path: str) -> list[str]:
    try:
        found: list[str] = files.ls(path, detail=False)
    except FileNotFoundError:
        return []
    return found


def _day(path: str) -> date | None:
    try:
        return date.fromisoformat(path.rstrip("/").rpartition("/date=")[2])
    except ValueError:
        return None


def _written_before(name: str, moment: datetime) -> bool:
    try:
        return datetime.strptime(name.partition("-")[0], NAME_TIME).replace(tzinfo=UTC) < moment
    except ValueError:
        return False


def _read_file(
    files: Any, name: str, since: datetime | None, until: datetime | None, columns: Sequence[str] | None
) -> pa.Table | None:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    try:
        with files.open(name, "rb") as opened:
            parquet = pq.ParquetFile(opened)
            known = parquet.schema_arrow.names
            chosen = known if columns is None else [each for each in known if each in {*columns, "timestamp"}]
            table = parquet.read(columns=chosen)
    except FileNotFoundError:  # removed since it was listed
        return None
    except pa.ArrowInvalid as error:
        raise OSError(f"{name} is not a Parquet file of the prediction log: {error}") from error
    kind = table["timestamp"].type
    if since is not None:
        table = table.filter(pc.greater_equal(table["timestamp"], pa.scalar(since, kind)))
    if until is not None:
        table = table.filter(pc.less(table["timestamp"], pa.scalar(until, kind)))
    return table


def _json(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
