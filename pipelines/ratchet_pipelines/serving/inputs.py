"""A request's rows, checked against the model's signature and turned into columns.

Types are those of MLflow's signature: `long` takes 3 and 3.0 but not 3.5, `double` takes every finite number,
`datetime` an ISO 8601 string, `binary` base64. `null` is taken where the signature says the column is optional.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ratchet_pipelines.catalog import suggestion

Columns: TypeAlias = dict[str, NDArray[Any]]
"""Column name to values, one per row."""

Row: TypeAlias = dict[str, Any]

MAX_ERRORS = 20
"""So many of a request's errors are told."""


@dataclass(frozen=True)
class InputError:
    pointer: str
    """Where in the body (JSON pointer, RFC 6901)."""
    message: str


class InvalidInputsError(ValueError):
    """The rows are not what the model takes; `errors` says where and what to change."""

    def __init__(self, errors: Sequence[InputError]) -> None:
        super().__init__(errors[0].message)
        self.errors = list(errors)


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ValueError("is too large for a floating-point number")
    return number


def _float32(value: object) -> float:
    number = _number(value)
    if abs(number) > float(np.finfo(np.float32).max):
        raise ValueError("is too large for a 32-bit floating-point number")
    return number


def _whole(bits: int) -> Callable[[object], int]:
    limit = 2 ** (bits - 1)

    def convert(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int | float) or value != value // 1:
            raise TypeError
        if not -limit <= value < limit:
            raise ValueError(f"is too large for a {bits}-bit integer")
        return int(value)

    return convert


def _boolean(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def _string(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _instant(value: object) -> np.datetime64:
    if not isinstance(value, str):
        raise TypeError
    instant = datetime.fromisoformat(value)
    if instant.tzinfo is not None:
        instant = instant.astimezone(UTC).replace(tzinfo=None)
    return np.datetime64(instant, "us")


def _bytes(value: object) -> bytes:
    if not isinstance(value, str):
        raise TypeError
    return base64.b64decode(value, validate=True)


@dataclass(frozen=True)
class Kind:
    """How a type of MLflow's signature is read from JSON and kept as an array."""

    words: str
    convert: Callable[[object], object]
    dtype: Any
    null: object
    """What stands for a missing value, and `null_dtype` for the array that has one (as pandas does it)."""
    null_dtype: Any


KINDS: dict[str, Kind] = {
    "double": Kind("a number", _number, np.float64, math.nan, np.float64),
    "float": Kind("a number", _float32, np.float32, math.nan, np.float32),
    "long": Kind("a whole number", _whole(64), np.int64, math.nan, np.float64),
    "integer": Kind("a whole number", _whole(32), np.int32, math.nan, np.float64),
    "boolean": Kind("true or false", _boolean, np.bool_, None, np.object_),
    "string": Kind("a string", _string, np.object_, None, np.object_),
    "datetime": Kind("an ISO 8601 date and time", _instant, "datetime64[us]", np.datetime64("NaT"), "datetime64[us]"),
    "binary": Kind("a base64 string", _bytes, np.object_, None, np.object_),
}


@dataclass(frozen=True)
class InputColumn:
    name: str
    type: str
    """A key of `KINDS`."""
    required: bool = True


_JSON_NAMES = {dict: "an object", list: "an array", str: "a string", bool: "a boolean", type(None): "null"}


def _token(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


class InputSchema:
    """What a model takes: its columns, in order."""

    def __init__(self, columns: Sequence[InputColumn]) -> None:
        self.columns = tuple(columns)
        self.names = [column.name for column in columns]
        self._known = frozenset(self.names)
        all_double = len(columns) > 1 and all(column.type == "double" for column in columns)
        self._row_of_numbers = itemgetter(*self.names) if all_double else None

    def parse(self, rows: Sequence[Any]) -> Columns:
        """The rows as columns, each of length `len(rows)`; `InvalidInputsError` when they do not fit."""
        columns = self._parse_numbers(rows)
        return columns if columns is not None else self._parse_each(rows)

    def _parse_numbers(self, rows: Sequence[Any]) -> Columns | None:
        """The common case in a few microseconds: plain numbers everywhere. None when anything is unusual."""
        if self._row_of_numbers is None:
            return None
        width = len(self.names)
        values = []
        for row in rows:
            if type(row) is not dict or len(row) != width:
                return None
            try:
                numbers = self._row_of_numbers(row)
            except KeyError:
                return None
            if not {float, int}.issuperset(map(type, numbers)):
                return None
            values.append(numbers)
        try:
            matrix = np.array(values, dtype=np.float64)
        except OverflowError:
            return None
        return dict(zip(self.names, matrix.T, strict=True)) if np.isfinite(matrix).all() else None

    def _parse_each(self, rows: Sequence[Any]) -> Columns:
        errors = self._errors_of_shape(rows)
        if errors:
            raise InvalidInputsError(errors)
        columns = {column.name: self._parse_column(column, rows, errors) for column in self.columns}
        if errors:
            raise InvalidInputsError(errors[:MAX_ERRORS])
        return columns

    def _errors_of_shape(self, rows: Sequence[Any]) -> list[InputError]:
        errors: list[InputError] = []
        for index, row in enumerate(rows):
            if len(errors) >= MAX_ERRORS:
                break
            where = f"/inputs/{index}"
            if not isinstance(row, dict):
                errors.append(InputError(where, f"Row {index} is {_describe(row)}; each row is an object of columns."))
                continue
            for name in sorted(row.keys() - self._known):
                errors.append(InputError(f"{where}/{_token(name)}", self._unknown(name, row)))
            for column in self.columns:
                if column.name not in row and column.required:
                    message = f"Column {column.name!r} is missing in row {index}; it takes {KINDS[column.type].words}."
                    errors.append(InputError(where, message))
        return errors[:MAX_ERRORS]

    def _unknown(self, name: str, row: Mapping[str, object]) -> str:
        absent = [known for known in self.names if known not in row]
        return f"The model has no column {name[:100]!r}.{suggestion(name, absent or self.names)}"

    def _parse_column(self, column: InputColumn, rows: Sequence[Any], errors: list[InputError]) -> NDArray[Any]:
        kind = KINDS[column.type]
        values: list[object] = []
        with_nulls = False
        for index, row in enumerate(rows):
            value = row.get(column.name)
            if value is None and not column.required:
                values.append(kind.null)
                with_nulls = True
                continue
            try:
                values.append(kind.convert(value))
            except (TypeError, ValueError) as error:
                pointer = f"/inputs/{index}/{_token(column.name)}"
                errors.append(InputError(pointer, _wrong(column, index, value, error)))
        if errors:
            return np.empty(0)
        dtype = kind.null_dtype if with_nulls else kind.dtype
        array: NDArray[Any] = np.empty(len(values), dtype=dtype)
        array[:] = values
        return array


def _describe(value: object) -> str:
    return _JSON_NAMES.get(type(value)) or f"the number {value!r}"[:60]


def _wrong(column: InputColumn, row: int, value: object, error: Exception) -> str:
    told = f"Column {column.name!r} in row {row}"
    if isinstance(value, str) and column.type in ("datetime", "binary"):
        return f"{told} must be {KINDS[column.type].words}; {value[:60]!r} is not."
    if isinstance(error, ValueError):
        return f"{told} {error}."
    shown = f"the string {value[:60]!r}" if isinstance(value, str) else _describe(value)
    return f"{told} must be {KINDS[column.type].words}, not {shown}."
