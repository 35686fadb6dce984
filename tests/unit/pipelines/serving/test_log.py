"""The prediction log: whole files, typed columns, bounded memory, and storage that may be away."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pytest

from ratchet_pipelines.serving import log as module
from ratchet_pipelines.serving.inputs import InputColumn, InputSchema
from ratchet_pipelines.serving.log import Entry, PredictionLog, as_table
from ratchet_pipelines.spec import ModelVersion, Variant

SCHEMA = InputSchema([InputColumn("x", "double"), InputColumn("n", "long", required=False), InputColumn("c", "string")])
VARIANT = Variant(name="a", model=ModelVersion(name="m", version=3), weight=0.25)
DAY_US = 86_400_000_000


def entry(name: str, rows: int = 1, time_us: int = 20_000 * DAY_US) -> Entry:
    columns = {
        "x": np.arange(rows, dtype=float),
        "n": np.full(rows, np.nan),
        "c": np.array(["ü"] * rows, dtype=object),
    }
    return Entry(name, f"key-{name}", VARIANT, 7, SCHEMA, columns, [0.1] * rows, time_us)


def read(folder: Path) -> pa.Table:
    return ds.dataset(folder, format="parquet").to_table()


def test_what_is_logged_is_typed_as_the_contract_says() -> None:
    table = as_table([entry("q1", rows=2), entry("q2")])
    assert {field.name: str(field.type) for field in table.schema} == {
        "request_id": "string",
        "row": "int32",
        "timestamp": "timestamp[us, tz=UTC]",
        "variant": "string",
        "model": "string",
        "model_version": "int64",
        "key": "string",
        "propensity": "double",
        "prediction": "string",
        "generation": "int64",
        "feature.x": "double",
        "feature.n": "int64",
        "feature.c": "string",
    }
    assert table["request_id"].to_pylist() == ["q1", "q1", "q2"]
    assert table["row"].to_pylist() == [0, 1, 0]
    assert table["prediction"].to_pylist() == ["0.1"] * 3
    assert table["feature.n"].to_pylist() == [None] * 3
    assert table["propensity"].to_pylist() == [0.25] * 3


def test_rows_are_on_storage_when_the_log_is_closed_in_a_folder_of_their_day(tmp_path: Path) -> None:
    log = PredictionLog(f"file://{tmp_path}/log", "r1")
    log.add(entry("before", time_us=20_000 * DAY_US - 1))
    log.add(entry("after", time_us=20_000 * DAY_US))
    log.close()
    assert sorted(path.name for path in (tmp_path / "log").iterdir()) == ["date=2024-10-03", "date=2024-10-04"]
    assert read(tmp_path / "log" / "date=2024-10-04")["request_id"].to_pylist() == ["after"]
    assert (log.written, log.waiting, log.dropped) == (2, 0, 0)
    assert not list(tmp_path.rglob("*.tmp"))


def test_storage_that_is_away_for_a_while_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "log").write_text("a file where the folder should be")
    failed = threading.Event()
    put_back = PredictionLog._put_back
    monkeypatch.setattr(PredictionLog, "_put_back", lambda *args: (put_back(*args), failed.set()))
    log = PredictionLog(f"file://{tmp_path}/log", "r1")
    log.add(entry("q1"))
    assert failed.wait(10)
    assert "can't be written" in log.message
    (tmp_path / "log").unlink()
    log.add(entry("q2"))
    log.close()
    assert read(tmp_path / "log")["request_id"].to_pylist() == ["q1", "q2"]
    assert log.message == ""


def test_beyond_its_bound_the_oldest_rows_are_dropped_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_WAITING_ROWS", 10)
    (tmp_path / "log").write_text("a file where the folder should be")
    log = PredictionLog(f"file://{tmp_path}/log", "r1")
    for number in range(25):
        log.add(entry(f"q{number}"))
    log.close()
    assert log.dropped == 15
    assert log.waiting == 10


def test_another_store_than_files() -> None:
    log = PredictionLog("memory://bucket/log", "r1")
    log.add(entry("q1"))
    log.close()
    import fsspec

    files = fsspec.filesystem("memory").find("/bucket/log")
    assert len(files) == 1
    assert files[0].endswith("-r1-0.parquet")


OTHER = Variant(name="b", model=ModelVersion(name="m", version=4), weight=0.75)


def other(x_type: str) -> Entry:
    schema = InputSchema([InputColumn("x", x_type), InputColumn("extra", "double")])
    x = np.array(["much"], dtype=object) if x_type == "string" else np.array([1])
    return Entry("q9", "key-q9", OTHER, 7, schema, {"x": x, "extra": np.array([2.5])}, [0.9], 20_000 * DAY_US)


def test_all_variants_stand_in_one_file_so_that_no_reader_sees_more_of_one(tmp_path: Path) -> None:
    log = PredictionLog(f"file://{tmp_path}/log", "r1")
    with log._lock:  # both wait for the same flush
        log._queue.extend([entry("q1"), other("long"), entry("q2")])
        log.waiting = 3
    log.close()
    assert len(list(tmp_path.rglob("*.parquet"))) == 1
    rows = read(tmp_path / "log").sort_by("request_id")
    assert rows["variant"].to_pylist() == ["a", "a", "b"]
    assert rows["feature.x"].to_pylist() == [0.0, 0.0, 1.0]
    assert rows["feature.extra"].to_pylist() == [None, None, 2.5]


def test_types_that_do_not_go_together_are_written_as_text() -> None:
    table = as_table([entry("q1"), other("string")])
    assert str(table.schema.field("feature.x").type) == "string"
    assert table["feature.x"].to_pylist() == ["0", "much"]
