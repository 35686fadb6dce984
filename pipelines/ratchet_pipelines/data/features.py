"""Rows of a table as the numbers a net reads: fitted on the training rows, carried inside the model.

Numbers are standardised, a missing one takes the training median; text becomes one column per frequent value and one
for everything else, missing included. Plain numpy and dictionaries, since this runs on every served request.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ratchet_pipelines.data.tables import Kind

Floats = npt.NDArray[np.float32]
MAX_LEVELS = 64
"""The most frequent values of a text column that get a column of their own."""


@dataclass(frozen=True)
class Features:
    """What `encode` needs, as JSON can hold it."""

    kinds: dict[str, str]
    """The kind of each column, in the order of the data."""
    medians: list[float]
    means: list[float]
    scales: list[float]
    levels: dict[str, list[str]]
    """The values of each text column that have their own column."""

    @classmethod
    def fit(cls, frame: pd.DataFrame, kinds: Mapping[str, Kind]) -> Features:
        """Learns from the training rows: `frame` has the columns of `kinds`."""
        names = [name for name, kind in kinds.items() if kind is not Kind.TEXT]
        values = frame[names].to_numpy(np.float64).reshape(len(frame), len(names))
        medians = np.array(
            [np.median(column[~np.isnan(column)]) if not np.isnan(column).all() else 0.0 for column in values.T]
        )
        filled = np.where(np.isnan(values), medians, values) if names else values
        scales = filled.std(axis=0)
        levels = {
            name: sorted(frame[name].value_counts().head(MAX_LEVELS).index)
            for name, kind in kinds.items()
            if kind is Kind.TEXT
        }
        return cls(
            kinds={name: str(kind) for name, kind in kinds.items()},
            medians=medians.tolist(),
            means=filled.mean(axis=0).tolist(),
            scales=np.where(scales > 0, scales, 1.0).tolist(),
            levels=levels,
        )

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def width(self) -> int:
        return len(self.medians) + sum(len(levels) + 1 for levels in self.levels.values())

    def encoder(self) -> Encoder:
        return Encoder(self)


class Encoder:
    """Encodes rows or frames; holds `Features` as arrays and look-up tables."""

    def __init__(self, features: Features) -> None:
        self.columns = list(features.kinds)
        self._numbers = [name for name, kind in features.kinds.items() if kind != Kind.TEXT]
        self._medians, self._means, self._scales = (
            np.array(values, np.float64) for values in (features.medians, features.means, features.scales)
        )
        self._places: list[tuple[str, int, dict[str, int]]] = []
        offset = len(self._numbers)
        for name, levels in features.levels.items():
            self._places.append((name, offset, {level: place for place, level in enumerate(levels)}))
            offset += len(levels) + 1
        self.width = offset

    def frame(self, frame: pd.DataFrame) -> Floats:
        """Shape (rows, width). Raises `KeyError` for a missing column, `ValueError` for text in a number column."""
        numbers = frame[self._numbers].to_numpy(np.float64)
        return self._encode(numbers, {name: frame[name].tolist() for name, _, _ in self._places}, len(frame))

    def rows(self, rows: Sequence[Mapping[str, Any]]) -> Floats:
        """As `frame`, from one mapping per row; None and NaN are missing values."""
        numbers = np.array([[row[name] for name in self._numbers] for row in rows], np.float64)
        return self._encode(numbers, {name: [row[name] for row in rows] for name, _, _ in self._places}, len(rows))

    def _encode(self, numbers: npt.NDArray[np.float64], texts: dict[str, list[Any]], count: int) -> Floats:
        encoded = np.zeros((count, self.width), np.float32)
        if self._numbers:
            missing = np.isnan(numbers)
            if missing.any():
                numbers = np.where(missing, self._medians, numbers)
            encoded[:, : len(self._numbers)] = (numbers - self._means) / self._scales
        for name, offset, places in self._places:
            other = len(places)
            for row, value in enumerate(texts[name]):
                encoded[row, offset + places.get(value, other)] = 1.0
        return encoded
