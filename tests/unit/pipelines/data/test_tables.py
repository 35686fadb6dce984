"""Tables: read by URI, checked, hashed; each mistake is an error that says what to change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ratchet_pipelines.data import sources, tables
from ratchet_pipelines.data.tables import Kind
from ratchet_pipelines.errors import DataError, JobError, UserError
from ratchet_pipelines.spec import Data

FRAME = pd.DataFrame(
    {"age": [31, 42, 53], "member": [True, False, True], "city": ["Rome", None, "Oslo"], "y": [0, 1, 0]}
)


def data(**fields: Any) -> Data:
    return Data(**{"uri": "file:///data.csv", "target": "y"} | fields)


def test_kinds_follow_the_types_of_the_columns() -> None:
    table = tables.check(FRAME, data())
    assert table.kinds == {"age": Kind.NUMBER, "member": Kind.BOOLEAN, "city": Kind.TEXT}
    assert list(table.frame.columns) == ["age", "member", "city", "y"]
    assert table.frame["city"].tolist() == ["Rome", None, "Oslo"]


@pytest.mark.parametrize(
    ("frame", "fields", "says"),
    [
        (FRAME, {"target": "Y"}, "no column 'Y'"),
        (FRAME, {"target": "yy"}, "Did you mean 'y'?"),
        (FRAME, {"features": ["aged"]}, "Did you mean 'age'?"),
        (FRAME.iloc[:0], {}, "no rows"),
        (FRAME[["y"]], {}, "nothing to learn from"),
        (FRAME.assign(y=None), {}, "empty in every row"),
        (FRAME.assign(age=None), {}, "'age' is empty"),
        (FRAME.assign(age=[1.0, np.inf, 2.0]), {}, "infinite in row 1"),
        (FRAME.assign(age=[[1], [2], [3]]), {}, "holds list values"),
        (FRAME.assign(age=pd.Timestamp("2026-01-01")), {}, "holds Timestamp values"),
    ],
)
def test_a_table_that_can_not_be_learned_from_says_why(frame: pd.DataFrame, fields: dict[str, Any], says: str) -> None:
    with pytest.raises(DataError, match=says.replace("?", r"\?")):
        tables.check(frame, data(**fields))


def test_numbers_with_a_few_mistakes_are_not_taken_for_text() -> None:
    values = [str(number) for number in range(100)]
    values[17] = "n/a"
    with pytest.raises(DataError, match="row 17 with 'n/a'"):
        tables.check(pd.DataFrame({"x": values, "y": [0, 1] * 50}), data())


def test_text_that_names_rows_is_refused() -> None:
    frame = pd.DataFrame({"id": [f"customer-{number}" for number in range(100)], "y": [0, 1] * 50})
    with pytest.raises(DataError, match="Leave it out"):
        tables.check(frame, data())


def test_rows_without_a_target_are_left_out_and_counted() -> None:
    table = tables.check(FRAME.assign(y=[0, None, 1]), data())
    assert len(table.frame) == 2
    assert table.rows_without_target == 1


def test_the_hash_is_of_the_content() -> None:
    first = tables.content_hash(FRAME)
    assert tables.content_hash(FRAME.copy()) == first
    assert tables.content_hash(FRAME.assign(age=[31, 42, 54])) != first
    assert tables.content_hash(FRAME.rename(columns={"age": "years"})) != first


@pytest.mark.parametrize("kind", ["parquet", "csv", "csv.gz", "folder"])
def test_a_file_or_a_folder_of_files(tmp_path: Path, kind: str) -> None:
    if kind == "folder":
        FRAME.iloc[:1].to_parquet(tmp_path / "part-0.parquet")
        FRAME.iloc[1:].to_parquet(tmp_path / "part-1.parquet")
        (tmp_path / "_SUCCESS").touch()
        path = tmp_path
    else:
        path = tmp_path / f"table.{kind}"
        (FRAME.to_parquet if kind == "parquet" else FRAME.to_csv)(path, index=False)
    read = sources.read(path.as_uri())
    assert read["age"].tolist() == [31, 42, 53]
    assert read["city"].isna().tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("uri", "error", "says"),
    [
        ("sklearn://brest_cancer", UserError, "Did you mean 'breast_cancer'?"),
        ("s4://bucket/x.csv", UserError, "begins with none of"),
        ("data.csv", UserError, "begins with none of"),
        ("file:///nowhere/at/all.csv", DataError, "nothing at file:///nowhere/at/all.csv"),
        ("file:///etc/hostname", DataError, "neither Parquet"),
    ],
)
def test_an_address_that_can_not_be_read_says_why(uri: str, error: type[JobError], says: str) -> None:
    with pytest.raises(error, match=says.replace("?", r"\?")):
        sources.read(uri)


def test_a_broken_file_is_an_error_of_the_data(tmp_path: Path) -> None:
    (tmp_path / "x.parquet").write_bytes(b"not parquet")
    (tmp_path / "x.csv").touch()
    for name in ("x.parquet", "x.csv"):
        with pytest.raises(DataError, match="can't be read as a table"):
            sources.read((tmp_path / name).as_uri())


def test_a_folder_of_both_kinds_or_none(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no file"):
        sources.read(tmp_path.as_uri())
    FRAME.to_csv(tmp_path / "a.csv")
    FRAME.to_parquet(tmp_path / "b.parquet")
    with pytest.raises(DataError, match="both Parquet and CSV"):
        sources.read(tmp_path.as_uri())
