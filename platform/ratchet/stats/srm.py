"""The sample-ratio check: does the traffic split as it was told to? Valid however often one looks.

When it does not, units are lost or doubled in one arm, and no comparison of the arms can be trusted.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

CONCENTRATION = 100.0
"""How close to the expected shares the alternative is thought to be: as if 100 units had been seen. For the power only:
the chance of a false alarm does not depend on it."""

ALARM_BELOW = 0.001
"""The chance, over the whole life of a test, of an alarm when the traffic does split as expected."""


@dataclass(frozen=True, slots=True)
class SampleRatio:
    """The shares that were expected, the counts that were seen, and how surprising they are."""

    p_value: float
    """Valid at any look; the least one so far, when the caller hands in the last (`sample_ratio`, `least_so_far`)."""
    expected: dict[str, float]
    observed: dict[str, int]

    @property
    def alarm(self) -> bool:
        return self.p_value < ALARM_BELOW


def sample_ratio(
    observed: Mapping[str, int], expected: Mapping[str, float], *, least_so_far: float = 1.0
) -> SampleRatio:
    """The sequential multinomial test of Lindon and Malek (NeurIPS 2022, arXiv 2011.03567), from counts by arm.

    `expected` are the weights of the arms, scaled here to sum to 1. The p-value is one over the Bayes factor of
    Dirichlet-distributed shares against the expected ones; the least one over time is valid too, which is what
    `least_so_far` (the last p-value) is for.
    """
    if observed.keys() != expected.keys():
        raise ValueError(f"counts are for {sorted(observed)}, expected shares for {sorted(expected)}")
    if min(expected.values(), default=0) <= 0:
        raise ValueError("each expected share must be above 0: an arm without traffic has no ratio to check")
    total = sum(expected.values())
    shares = {arm: share / total for arm, share in expected.items()}
    p_value = math.exp(min(0.0, -_log_bayes_factor(observed, shares)))
    return SampleRatio(min(least_so_far, p_value), shares, dict(observed))


def _log_bayes_factor(observed: Mapping[str, int], shares: Mapping[str, float]) -> float:
    """The logarithm of the Bayes factor, eq. 6 with the prior concentrated on the expected shares."""
    factor = math.lgamma(CONCENTRATION) - math.lgamma(CONCENTRATION + sum(observed.values()))
    for arm, share in shares.items():
        prior, count = CONCENTRATION * share, observed[arm]
        factor += math.lgamma(prior + count) - math.lgamma(prior) - count * math.log(share)
    return factor
