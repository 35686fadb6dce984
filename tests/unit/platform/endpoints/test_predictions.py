from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ratchet.endpoints import predictions

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def write(
    storage: Path, moments: list[datetime], *, number: int = 0, variant: str = "a", rows: int = 1, **features
) -> None:
    """One file of the log, as a replica writes it: each request at its moment, with `rows` rows."""
    count = len(moments) * rows
    table = pa.table(
        {
            "request_id": pa.array([f"{m:%d%H%M%S}-{number}" for m in moments for _ in range(rows)]),
            "row": pa.array([row for _ in moments for row in range(rows)], pa.int32()),
            "timestamp": pa.array([m for m in moments for _ in range(rows)], pa.timestamp("us", tz="UTC")),
            "variant": pa.array([variant] * count),
            "model": pa.array(["default.m"] * count),
            "model_version": pa.array([1] * count, pa.int64()),
            "prediction": pa.array(["1"] * count),
            **{f"feature.{name}": pa.array([value] * count) for name, value in features.items()},
        }
    )
    folder = storage / "predictions/default/e" / f"date={moments[0]:%Y-%m-%d}"
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, folder / f"{max(moments) + timedelta(seconds=1):%Y%m%dT%H%M%S%fZ}-r1-{number}.parquet")


def read(storage: Path, **more) -> pa.Table:
    return predictions.read(storage.as_uri(), "default", "e", **more)


def seconds(table: pa.Table) -> list[int]:
    return [round((moment - NOON).total_seconds()) for moment in table["timestamp"].to_pylist()]


def test_the_window_is_half_open_and_in_the_order_of_time(tmp_path: Path) -> None:
    for number in range(10):
        write(tmp_path, [NOON + timedelta(seconds=number * 10 + offset) for offset in (5, 0)], number=number)
    table = read(tmp_path, since=NOON + timedelta(seconds=20), until=NOON + timedelta(seconds=45))
    assert seconds(table) == [20, 25, 30, 35, 40]


def test_the_newest_rows_are_those_that_a_limit_leaves(tmp_path: Path) -> None:
    for number in range(30):
        write(tmp_path, [NOON + timedelta(days=number % 3, seconds=number)], number=number)
    table = read(tmp_path, limit=4)
    assert [moment.day for moment in table["timestamp"].to_pylist()] == [3, 3, 3, 3]
    assert [moment.second for moment in table["timestamp"].to_pylist()] == [20, 23, 26, 29]


def test_days_outside_the_window_are_not_opened(tmp_path: Path) -> None:
    write(tmp_path, [NOON])
    broken = tmp_path / "predictions/default/e/date=2026-02-27/20260227T000000000000Z-r1-0.parquet"
    broken.parent.mkdir()
    broken.write_bytes(b"no parquet")
    assert read(tmp_path, since=NOON - timedelta(hours=1)).num_rows == 1
    with pytest.raises(OSError, match="not a Parquet file"):
        read(tmp_path)


def test_a_file_written_before_the_window_is_not_opened(tmp_path: Path) -> None:
    write(tmp_path, [NOON])
    broken = tmp_path / "predictions/default/e/date=2026-03-01/20260301T110000000000Z-r1-0.parquet"
    broken.write_bytes(b"no parquet")
    assert read(tmp_path, since=NOON - timedelta(minutes=1)).num_rows == 1


def test_without_a_log_there_are_no_rows_but_the_columns(tmp_path: Path) -> None:
    table = read(tmp_path, columns=["request_id", "row", "timestamp"])
    assert (table.num_rows, table.column_names) == (0, ["request_id", "row", "timestamp"])


def test_files_with_other_features_are_read_together(tmp_path: Path) -> None:
    write(tmp_path, [NOON], number=0, width=1, colour=3)
    write(tmp_path, [NOON + timedelta(seconds=5)], number=1, width=2.5, height=7.0, colour="red")
    table = read(tmp_path)
    assert table["feature.width"].to_pylist() in (["1", "2.5"], [1.0, 2.5])
    assert table["feature.height"].to_pylist() == [None, 7.0]
    assert table["feature.colour"].to_pylist() == ["3", "red"]
    assert read(tmp_path, columns=["row", "feature.height", "unknown"]).column_names == ["row", "feature.height"]


def test_newest_first_as_json(tmp_path: Path) -> None:
    write(tmp_path, [NOON, NOON + timedelta(seconds=1)], width=float("nan"))
    rows = predictions.newest(tmp_path.as_uri(), "default", "e", 10)
    assert [row["timestamp"] for row in rows] == [NOON + timedelta(seconds=1), NOON]
    assert rows[0]["feature.width"] is None


def test_traffic_counts_requests_and_not_rows(tmp_path: Path) -> None:
    write(tmp_path, [NOON, NOON + timedelta(seconds=30)], number=0, rows=3)
    write(tmp_path, [NOON + timedelta(seconds=61)], number=1, variant="b")
    points, truncated = predictions.traffic(tmp_path.as_uri(), "default", "e", NOON, NOON + timedelta(hours=1))
    assert not truncated
    assert [(point["minute"], point["variant"], point["count"]) for point in points] == [
        (NOON + timedelta(minutes=1), "b", 1),
        (NOON, "a", 2),
    ]
    assert predictions.traffic(tmp_path.as_uri(), "default", "none", NOON, NOON) == ([], False)
