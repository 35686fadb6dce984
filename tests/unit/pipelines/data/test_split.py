"""The split: by content, stable under new rows, with equal rows together."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ratchet_pipelines.data import tables
from ratchet_pipelines.data.split import positions, split
from ratchet_pipelines.errors import DataError
from ratchet_pipelines.spec import Data

SPEC = Data(uri="file:///x.csv", target="y", test_fraction=0.2, validation_fraction=0.3)


def frame(rows: int) -> pd.DataFrame:
    generator = np.random.default_rng(1)
    return pd.DataFrame(
        {"a": generator.normal(size=rows), "b": generator.choice(["x", "z"], rows), "y": generator.integers(0, 2, rows)}
    )


def test_fractions_are_kept_and_every_row_is_on_one_side() -> None:
    parts = split(tables.check(frame(20_000), SPEC), SPEC)
    sizes = parts.sizes
    assert sum(sizes.values()) == 20_000
    assert len(np.unique(np.concatenate([parts.train, parts.validation, parts.test]))) == 20_000
    # Five standard deviations of a binomial share: 5 * sqrt(0.25 / 20,000) = 0.018.
    assert abs(sizes["test"] / 20_000 - 0.2) < 0.018
    assert abs(sizes["validation"] / 20_000 - 0.3) < 0.018


def test_a_row_keeps_its_place_whatever_stands_around_it() -> None:
    rows = frame(500)[["a", "b"]]
    places = positions(rows)
    assert np.array_equal(positions(rows.iloc[::-1]), places[::-1])
    assert np.array_equal(positions(rows[["b", "a"]]), places)
    assert np.array_equal(positions(rows.iloc[:100]), places[:100])


def test_equal_rows_are_together_whatever_the_sign_of_zero() -> None:
    places = positions(pd.DataFrame({"a": [0.0, -0.0, 1.0, np.nan, np.nan]}))
    assert places[0] == places[1]
    assert places[3] == places[4]
    assert len(set(places)) == 3


def test_the_target_does_not_decide_the_side() -> None:
    rows = frame(300)
    one = split(tables.check(rows, SPEC), SPEC)
    other = split(tables.check(rows.assign(y=1 - rows["y"]), SPEC), SPEC)
    assert np.array_equal(one.test, other.test)


def test_too_few_rows_for_a_side() -> None:
    same = pd.DataFrame({"a": [1.0] * 50, "y": [0, 1] * 25})
    with pytest.raises(DataError, match="has no row"):
        split(tables.check(same, SPEC), SPEC)
