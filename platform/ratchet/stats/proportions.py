"""Intervals for a share, looked at once."""

from __future__ import annotations

import math
from statistics import NormalDist


def wilson(successes: int, n: int, *, alpha: float = 0.05) -> tuple[float, float]:
    """The interval of Wilson (1927) for a share of which `successes` of `n` were seen; (0, 1) when n is 0."""
    if not 0 <= successes <= n:
        raise ValueError(f"{successes} of {n} is no share")
    if n == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf(1 - alpha / 2)
    share, weight = successes / n, z * z / n
    centre = (share + weight / 2) / (1 + weight)
    reach = z / (1 + weight) * math.sqrt((share * (1 - share) + weight / 4) / n)
    return max(0.0, centre - reach), min(1.0, centre + reach)
