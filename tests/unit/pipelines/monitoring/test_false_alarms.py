"""What a drift check promises: at most so many false alarms, and few misses of a shift that matters."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from numpy.random import Generator, default_rng

from ratchet_pipelines.monitoring.comparison import Comparison
from ratchet_pipelines.monitoring.drift import judge
from ratchet_pipelines.monitoring.pvalues import _homogeneity

WINDOWS = 300


def table(rng: Generator, rows: int, shift: float = 0.0, missing: float = 0.05) -> pd.DataFrame:
    """Numbers with and without gaps, heavy-tailed, of few values, categories common and rare, a constant."""
    gaps = rng.random(rows) < missing
    return pd.DataFrame(
        {
            "normal": rng.normal(shift, 1, rows),
            "heavy": rng.standard_t(2, rows),
            "gaps": np.where(gaps, np.nan, rng.exponential(1, rows)),
            "counts": rng.poisson(0.4, rows).clip(0, 3).astype(float),
            "integers": rng.integers(0, 30, rows).astype(float),
            "city": rng.choice(list("abcdefgh"), rows, p=[0.4, 0.3, 0.2, 0.05, 0.03, 0.01, 0.008, 0.002]),
            "constant": "same",
            "prediction": rng.choice(["0", "1"], rows, p=[0.7, 0.3]),
        }
    )


def wilson(successes: int, trials: int, z: float = 3.0) -> tuple[float, float]:
    share = successes / trials
    centre = (share + z**2 / (2 * trials)) / (1 + z**2 / trials)
    half = z * math.sqrt(share * (1 - share) / trials + z**2 / (4 * trials**2)) / (1 + z**2 / trials)
    return centre - half, centre + half


@pytest.mark.slow
@pytest.mark.parametrize(("reference_rows", "current_rows"), [(1000, 1000), (2000, 150)])
def test_false_alarms_are_as_rare_as_stated(reference_rows: int, current_rows: int) -> None:
    rng = default_rng(1)
    alpha = 0.1
    alarms = 0
    for _ in range(WINDOWS):
        comparison = Comparison(table(rng, reference_rows), table(rng, current_rows))
        alarms += judge(comparison, alpha)[0] == "drift"
    lower, _ = wilson(alarms, WINDOWS)
    assert lower <= alpha


def test_a_shift_of_half_a_deviation_is_seen() -> None:
    rng = default_rng(2)
    found = [judge(Comparison(table(rng, 1000), table(rng, 300, shift=0.5)), 0.01) for _ in range(50)]
    seen = sum(
        verdict == "drift" and next(r for r in results if r.column == "normal").drifted(threshold)
        for verdict, results, threshold in found
    )
    assert seen >= 48


def test_a_column_that_goes_missing_is_seen_though_its_values_did_not_move() -> None:
    rng = default_rng(3)
    verdict, results, threshold = judge(Comparison(table(rng, 1000), table(rng, 500, missing=0.2)), 0.01)
    assert verdict == "drift"
    assert [r.column for r in results if r.drifted(threshold)] == ["gaps"]


def test_a_column_without_any_value_left_is_drift_and_no_error() -> None:
    rng = default_rng(4)
    verdict, results, threshold = judge(Comparison(table(rng, 1000), table(rng, 500, missing=1.0)), 0.01)
    assert verdict == "drift"
    gaps = next(r for r in results if r.column == "gaps")
    assert gaps.p_value is None
    assert gaps.drifted(threshold)


def test_the_threshold_shares_alpha_out_over_every_test_made() -> None:
    rng = default_rng(5)
    _, results, threshold = judge(Comparison(table(rng, 1000), table(rng, 500)), 0.09)
    assert sum(len(r.p_values) for r in results) == 9  # eight columns, one of them with gaps
    assert threshold == pytest.approx(0.01)


def test_a_constant_category_is_no_drift() -> None:
    same = pd.Series(["x"] * 50)
    assert _homogeneity(same, same) == 1.0


def test_a_new_value_that_is_common_is_drift_and_one_that_is_rare_is_not() -> None:
    reference = pd.Series(["a"] * 500 + ["b"] * 500)
    once = pd.Series(["a"] * 250 + ["b"] * 249 + ["new"])
    often = pd.Series(["a"] * 250 + ["b"] * 200 + ["new"] * 50)
    assert _homogeneity(reference, once) > 0.05
    assert _homogeneity(reference, often) < 1e-6
