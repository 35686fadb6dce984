"""Rows of a request against a model's signature: what is taken, and what is said of what is not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratchet_pipelines.serving.inputs import MAX_ERRORS, InputColumn, InputSchema, InvalidInputsError

NUMBERS = InputSchema([InputColumn("length", "double"), InputColumn("width", "double")])
MIXED = InputSchema(
    [
        InputColumn("count", "long"),
        InputColumn("small", "integer"),
        InputColumn("share", "float", required=False),
        InputColumn("city", "string", required=False),
        InputColumn("member", "boolean"),
        InputColumn("since", "datetime"),
        InputColumn("blob", "binary"),
    ]
)
ROW: dict[str, Any] = {
    "count": 3,
    "small": -1,
    "share": 0.5,
    "city": "Bonn",
    "member": True,
    "since": "2026-01-31T12:00:00+01:00",
    "blob": "aGk=",
}


def errors(schema: InputSchema, *rows: Any) -> list[tuple[str, str]]:
    with pytest.raises(InvalidInputsError) as caught:
        schema.parse(list(rows))
    return [(error.pointer, error.message) for error in caught.value.errors]


@given(st.lists(st.tuples(st.floats(allow_nan=False, allow_infinity=False), st.integers(-(2**53), 2**53)), min_size=1))
def test_numbers_come_through_as_they_are(pairs: list[tuple[float, int]]) -> None:
    columns = NUMBERS.parse([{"width": width, "length": length} for length, width in pairs])
    assert columns["length"].tolist() == [length for length, _ in pairs]
    assert columns["width"].tolist() == [float(width) for _, width in pairs]
    assert columns["length"].dtype == np.float64


def test_every_type_of_a_signature() -> None:
    columns = MIXED.parse([ROW, {**ROW, "count": 4.0}])
    assert columns["count"].tolist() == [3, 4]
    assert columns["count"].dtype == np.int64
    assert columns["small"].dtype == np.int32
    assert columns["share"].dtype == np.float32
    assert columns["since"][0] == np.datetime64("2026-01-31T11:00:00", "us")
    assert columns["blob"][0] == b"hi"
    assert columns["member"].dtype == np.bool_


def test_null_and_absence_are_taken_where_the_signature_says() -> None:
    without = {key: value for key, value in ROW.items() if key != "city"}
    columns = MIXED.parse([{**without, "share": None}, ROW])
    assert np.isnan(columns["share"][0])
    assert columns["city"].tolist() == [None, "Bonn"]


def test_a_missing_column_is_named_with_what_it_takes() -> None:
    assert errors(NUMBERS, {"length": 1.0}) == [("/inputs/0", "Column 'width' is missing in row 0; it takes a number.")]


def test_an_unknown_column_is_named_with_what_may_be_meant() -> None:
    found = errors(NUMBERS, {"length": 1.0, "widht": 2.0})
    assert found[0] == ("/inputs/0/widht", "The model has no column 'widht'. Did you mean 'width'?")


def test_one_column_too_many_is_an_error_too() -> None:
    assert errors(NUMBERS, {"length": 1.0, "width": 2.0, "x": 3})[0][0] == "/inputs/0/x"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"count": "3"}, "must be a whole number, not the string '3'"),
        ({"count": 3.5}, "must be a whole number, not the number 3.5"),
        ({"count": True}, "must be a whole number, not a boolean"),
        ({"count": 2**63}, "is too large for a 64-bit integer"),
        ({"count": None}, "must be a whole number, not null"),
        ({"count": float("inf")}, "must be a whole number"),
        ({"small": 2**31}, "is too large for a 32-bit integer"),
        ({"share": 1e39}, "is too large for a 32-bit floating-point number"),
        ({"share": 10**400}, "is too large for a floating-point number"),
        ({"city": 3}, "must be a string, not the number 3"),
        ({"member": 1}, "must be true or false, not the number 1"),
        ({"member": [1]}, "must be true or false, not an array"),
        ({"since": "yesterday"}, "must be an ISO 8601 date and time; 'yesterday' is not"),
        ({"blob": "ä"}, "must be a base64 string; 'ä' is not"),
    ],
)
def test_a_wrong_value_is_named_with_what_belongs_there(change: dict[str, Any], message: str) -> None:
    found = errors(MIXED, {**ROW, **change})
    column = next(iter(change))
    assert [pointer for pointer, _ in found] == [f"/inputs/0/{column}"]
    assert f"Column {column!r} in row 0 {message}" in found[0][1]


@pytest.mark.parametrize("value", [True, "1", None, [1], 10**400, float("inf")])
def test_the_quick_way_takes_nothing_that_is_no_number(value: Any) -> None:
    assert errors(NUMBERS, {"length": 1.0, "width": value})[0][0] == "/inputs/0/width"


def test_a_row_that_is_no_object() -> None:
    assert errors(NUMBERS, [1, 2]) == [("/inputs/0", "Row 0 is an array; each row is an object of columns.")]


def test_names_are_escaped_in_pointers() -> None:
    assert errors(NUMBERS, {"length": 1.0, "width": 1.0, "a/b~c": 1})[0][0] == "/inputs/0/a~1b~0c"


def test_not_more_errors_are_told_than_can_be_read() -> None:
    assert len(errors(NUMBERS, *[{} for _ in range(1000)])) == MAX_ERRORS
    assert len(errors(MIXED, *[{**ROW, "count": "x"} for _ in range(1000)])) == MAX_ERRORS
