"""Training, validation and test rows, by a hash of what each row says.

A row's side depends on its features alone: it stays where it is when rows are added or reordered, and equal rows are
always together, so that no copy of a training row is ever measured on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from ratchet_pipelines.data.tables import Table
from ratchet_pipelines.errors import DataError
from ratchet_pipelines.spec import Data

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Split:
    """Row numbers, rising, of each side; every row is in one of them."""

    train: Rows
    validation: Rows
    test: Rows

    @property
    def sizes(self) -> dict[str, int]:
        return {"train": len(self.train), "validation": len(self.validation), "test": len(self.test)}


def split(table: Table, data: Data) -> Split:
    """The split of `table` that `data` asks for. Raises `DataError` when a side would have no row."""
    place = positions(table.frame[table.features])
    test = place < data.test_fraction
    validation = ~test & (place < data.test_fraction + data.validation_fraction)
    result = Split(np.flatnonzero(~test & ~validation), np.flatnonzero(validation), np.flatnonzero(test))
    for side, rows in result.sizes.items():
        if rows == 0:
            raise DataError(
                f"The {side} split of {table.uri} has no row: the table has {len(place)} rows, and equal ones stay "
                "together. Give more rows, or a larger fraction."
            )
    return result


def positions(features: pd.DataFrame) -> npt.NDArray[np.float64]:
    """Each row's place in [0, 1), evenly spread, whatever the order of columns: shape (rows,)."""
    canonical = features[sorted(features.columns)]
    numbers = canonical.select_dtypes("number").columns
    canonical = canonical.assign(**{name: canonical[name] + 0.0 for name in numbers})  # -0.0 equals 0.0, its bits don't
    hashes = pd.util.hash_pandas_object(canonical, index=False).to_numpy(np.uint64)
    return np.asarray((_mixed(hashes) >> np.uint64(11)).astype(np.float64) / 2.0**53)


def _mixed(hashes: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """SplitMix64's finaliser (Steele et al. 2014): pandas' row hash alone is not even in its high bits."""
    mixed = hashes ^ (hashes >> np.uint64(30))
    mixed = mixed * np.uint64(0xBF58476D1CE4E5B9)
    mixed = mixed ^ (mixed >> np.uint64(27))
    mixed = mixed * np.uint64(0x94D049BB133111EB)
    return np.asarray(mixed ^ (mixed >> np.uint64(31)), np.uint64)
