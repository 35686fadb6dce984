"""The tests of a drift check, and the threshold that makes its false-alarm rate what it says.

Every test asks whether reference and current rows may come from one distribution. All of them hold their level given
the pooled sample: Kolmogorov-Smirnov; chi-square of homogeneity with rare values put together; Fisher's exact test of
the missing share. What depends on the pooled sample alone (which test a column gets, how values are put together,
which tests there are) therefore costs no level, and a threshold of alpha over the number of tests (Bonferroni) bounds
the chance of any false alarm by alpha.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from scipy.stats import chi2_contingency, fisher_exact, ks_2samp

Test = Literal["ks", "chisquare"]

MAX_VALUES_AS_CATEGORIES = 5
"""Numbers of at most this many different values are compared as categories."""
MIN_EXPECTED = 5.0
"""Chi-square's p-value is trusted where each cell is expected to hold so many rows (Cochran 1954)."""


@dataclass(frozen=True)
class ColumnResult:
    """What a check says of one column."""

    column: str
    test: Test
    p_value: float | None
    """Of the distribution test; None when one side has no value at all."""
    missing_p_value: float | None
    """Of the test of the missing share; None when no value is missing on either side."""
    reference_mean: float | None
    current_mean: float | None
    missing_reference: float
    missing_current: float
    """Shares of missing values."""

    @property
    def p_values(self) -> list[float]:
        return [p for p in (self.p_value, self.missing_p_value) if p is not None]

    def drifted(self, threshold: float) -> bool:
        return any(p <= threshold for p in self.p_values)


def test_for(reference: pd.Series, current: pd.Series) -> Test:
    """Kolmogorov-Smirnov for numbers of more than five values, chi-square for everything else."""
    if not pd.api.types.is_numeric_dtype(reference):
        return "chisquare"
    values = pd.concat([reference, current]).nunique()
    return "ks" if values > MAX_VALUES_AS_CATEGORIES else "chisquare"


def p_value(test: Test, reference: pd.Series, current: pd.Series) -> float:
    """The p-value of one column's present values; both sides have some."""
    return _kolmogorov_smirnov(reference, current) if test == "ks" else _homogeneity(reference, current)


def _kolmogorov_smirnov(reference: pd.Series, current: pd.Series) -> float:
    # The asymptotic p-value is good from a few dozen rows on, and the exact one takes seconds at 10,000.
    exact = max(len(reference), len(current)) <= 1_000
    return float(ks_2samp(reference, current, method="auto" if exact else "asymp").pvalue)


def _homogeneity(reference: pd.Series, current: pd.Series) -> float:
    """Chi-square of the 2 x k table. Evidently's own takes the reference for the truth, without its sampling error: at
    equal sizes that alarms several times as often as it says, and always at a value the reference happens to lack."""
    counts = pd.DataFrame({"reference": reference.value_counts(), "current": current.value_counts()}).fillna(0)
    table = counts.to_numpy(dtype=float).T
    share = table.sum(axis=1).min() / table.sum()
    rare = table.sum(axis=0) * share < MIN_EXPECTED
    pooled = np.column_stack([table[:, ~rare], table[:, rare].sum(axis=1)]) if rare.any() else table
    pooled = pooled[:, pooled.sum(axis=0) > 0]
    if pooled.shape[1] < 2:
        return 1.0
    return float(chi2_contingency(pooled, correction=False).pvalue)


def missing_p_value(reference: pd.Series, current: pd.Series) -> float | None:
    """Whether values are missing as often now as then (Fisher's exact test); None when none is missing."""
    missing = [int(reference.isna().sum()), int(current.isna().sum())]
    if not any(missing):
        return None
    table = [missing, [len(reference) - missing[0], len(current) - missing[1]]]
    return float(fisher_exact(table).pvalue)


def mean(values: pd.Series) -> float | None:
    if not pd.api.types.is_numeric_dtype(values) or values.notna().sum() == 0:
        return None
    return float(values.mean())


def threshold_of(results: list[ColumnResult], alpha: float) -> float:
    """The p-value at or below which one test is an alarm: alpha shared out over all tests made."""
    tests = sum(len(result.p_values) for result in results)
    return alpha / max(tests, 1)
