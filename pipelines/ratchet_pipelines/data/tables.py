"""A table checked against its spec: which columns are learned from, what kind each has, and the hash of it all."""

from __future__ import annotations

import hashlib
import json
import numbers
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import pandas as pd

from ratchet_pipelines.catalog import suggestion
from ratchet_pipelines.data import sources
from ratchet_pipelines.errors import DataError
from ratchet_pipelines.spec import Data

MOSTLY_NUMBERS = 0.9
"""A text column with at least this share of numbers is taken for a number column with mistakes in it."""
MANY_DIFFERENT = 50
"""Text columns of fewer different values are categories, whatever they look like."""


class Kind(StrEnum):
    NUMBER = "number"
    BOOLEAN = "boolean"
    TEXT = "text"


@dataclass(frozen=True)
class Table:
    """`frame` holds the features, in order, and the target last: one row per example, all with a target."""

    frame: pd.DataFrame
    kinds: dict[str, Kind]
    """The kind of each feature, in the order of the data."""
    target: str
    uri: str
    hash: str
    """SHA-256 of columns and content."""
    rows_without_target: int

    @property
    def features(self) -> list[str]:
        return list(self.kinds)


def load(data: Data) -> Table:
    """The table at `data.uri` with the columns that `data` names.

    Raises:
        UserError: The URI can't be understood.
        DataError: The table can't be read, has no rows, lacks a column, or holds what no model can learn from.
    """
    return check(sources.read(data.uri), data)


def check(frame: pd.DataFrame, data: Data) -> Table:
    """`frame` as a table of `data`'s columns; see `load`."""
    frame = frame.rename(columns=str)
    if frame.empty:
        raise DataError(f"{data.uri} has no rows.")
    columns = list(frame.columns)
    _require(data.target, columns, f"the target of {data.uri}")
    features = data.features or [column for column in columns if column != data.target]
    for feature in features:
        _require(feature, columns, f"a feature of {data.uri}")
    if not features:
        raise DataError(f"{data.uri} has no column beside the target {data.target!r}: there is nothing to learn from.")
    labelled = frame[data.target].notna()
    if not labelled.any():
        raise DataError(f"The target {data.target!r} is empty in every row of {data.uri}.")
    frame = frame.loc[labelled, [*features, data.target]].reset_index(drop=True)
    kinds = {}
    for feature in features:
        kinds[feature], frame[feature] = _typed(frame[feature], feature)
    return Table(frame, kinds, data.target, data.uri, content_hash(frame), int((~labelled).sum()))


def content_hash(frame: pd.DataFrame) -> str:
    """SHA-256 over the names, types and values of a table, in order; equal tables have equal hashes everywhere."""
    digest = hashlib.sha256(json.dumps([(name, frame[name].dtype.kind) for name in frame.columns]).encode())
    digest.update(pd.util.hash_pandas_object(frame, index=False).to_numpy().tobytes())
    return digest.hexdigest()


def _require(column: str, columns: list[str], role: str) -> None:
    if column not in columns:
        listed = ", ".join(columns[:20]) + (", …" if len(columns) > 20 else "")
        raise DataError(f"There is no column {column!r}, {role}.{suggestion(column, columns)} Columns: {listed}.")


def _typed(values: pd.Series, name: str) -> tuple[Kind, pd.Series]:
    """The kind of a feature, and its values as float64, bool or text with None where one is missing."""
    present = values.dropna()
    if present.empty:
        raise DataError(f"The column {name!r} is empty in every row. Leave it out: name the columns in `features`.")
    if values.dtype.kind == "b":
        return Kind.BOOLEAN, values
    if values.dtype.kind in "iuf" or _all_are(present, numbers.Number):
        number = pd.to_numeric(values).astype("float64")
        if np.isinf(number).any():
            raise DataError(f"The column {name!r} is infinite in row {_first(np.isinf(number))}. Correct or clip it.")
        return Kind.NUMBER, number
    if isinstance(values.dtype, pd.CategoricalDtype) or _all_are(present, str):
        return Kind.TEXT, _text(values, name)
    held = type(present.iloc[0]).__name__
    raise DataError(
        f"The column {name!r} holds {held} values; numbers, booleans and text can be learned from. "
        "Convert it, or leave it out: name the columns in `features`."
    )


def _text(values: pd.Series, name: str) -> pd.Series:
    text = values.astype(object).where(values.notna(), None)
    present = text.dropna().astype(str)
    different = present.nunique()
    if different >= MANY_DIFFERENT:
        wrong = pd.to_numeric(present, errors="coerce").isna()
        if 0 < wrong.sum() <= (1 - MOSTLY_NUMBERS) * len(present):
            row = present.index[wrong][0]
            raise DataError(
                f"The column {name!r} is a number in all but {wrong.sum()} rows, such as row {row} with "
                f"{present[row]!r}. Correct those rows or leave them empty."
            )
        if different > 0.9 * len(present):
            raise DataError(
                f"The column {name!r} is text with {different} different values in {len(present)} rows: it names rows "
                "and tells nothing about new ones. Leave it out: name the columns in `features`."
            )
    return text.map(str, na_action="ignore")


def _all_are(values: pd.Series, kind: type) -> bool:
    return all(isinstance(value, kind) and not isinstance(value, bool) for value in values)


def _first(mask: pd.Series) -> int:
    return int(mask.to_numpy().argmax())
