"""The difference of two means, with an interval that is valid however often one looks.

Let N be the units seen in both arms, h the planned number (the horizon), d the observed difference and s its standard
error. While data come in, N (d - delta) behaves like a Brownian motion in N (Robbins and Siegmund 1970; for means with
an estimated variance Waudby-Smith et al., arXiv 2103.06476), so an interval is valid at all looks together when the
motion stays within a boundary at all times. Two boundaries are used at once, and the narrower one counts:

* `wedge_multiplier`: nearly as narrow at the horizon as the interval of a test that looks only once, and so the one
  that finds small effects. Its share of `alpha` is 80 %.
* `mixture_multiplier`: the normal mixture of Waudby-Smith et al., eq. 9, tuned to a tenth of the horizon: the one that
  ends a test early when the effect is large, such as when a broken model has to go. Its share of `alpha` is 20 %.

By the union bound the chance that the true difference is ever outside, at any look before or after the horizon, is at
most `alpha`. It is an asymptotic statement: it holds once the central limit theorem does (see `decide`, `min_units`).
It supposes that each unit counts once and that the arms' shares stay the same while the test runs.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Self

MIXTURE_SHARE = 0.2
"""How much of alpha is spent on stopping early for a large effect."""

MIXTURE_TUNED_AT = 0.1
"""The fraction of the horizon at which the early boundary is narrowest."""


@dataclass(frozen=True, slots=True)
class Moments:
    """What has to be kept of a stream of outcomes: count, mean, and sum of squared deviations from the mean."""

    n: int = 0
    mean: float = 0.0
    m2: float = 0.0

    @classmethod
    def of(cls, values: Iterable[float]) -> Self:
        """The moments of some values, by Welford's method: no loss of digits when the mean is large."""
        n, mean, m2 = 0, 0.0, 0.0
        for value in values:
            n += 1
            step = value - mean
            mean += step / n
            m2 += step * (value - mean)
        return cls(n, mean, m2)

    @property
    def variance(self) -> float:
        """The unbiased sample variance; not a number below two values."""
        return self.m2 / (self.n - 1) if self.n > 1 else math.nan

    def merge(self, other: Moments) -> Moments:
        """The moments of both streams together (Chan, Golub and LeVeque 1979)."""
        if not self.n or not other.n:
            return other if not self.n else self
        n, step = self.n + other.n, other.mean - self.mean
        return Moments(n, self.mean + step * other.n / n, self.m2 + other.m2 + step * step * self.n * other.n / n)


@dataclass(frozen=True, slots=True)
class Interval:
    """Treatment's mean less control's, and the interval that holds the true one at all looks together."""

    estimate: float
    lower: float
    upper: float
    alpha: float
    """The chance that the true difference is outside at any look, ever."""

    def __neg__(self) -> Interval:
        return Interval(-self.estimate, -self.upper, -self.lower, self.alpha)


def difference(
    control: Moments,
    treatment: Moments,
    *,
    alpha: float,
    horizon: int,
    bounds: tuple[float, float] | None = None,
) -> Interval | None:
    """The interval for the mean of `treatment` less the mean of `control`, at this look among any number of looks.

    `horizon` is the number of units, of both arms together, at which the test is planned to end. It must be fixed
    before the test starts; the interval stays valid past it.

    `bounds` are the least and the greatest value that an outcome can have, when they are known: (0, 1) for right or
    wrong. The spread is then estimated with one more outcome at each bound (as Agresti and Caffo 2000 do for
    proportions): a hundred outcomes without one error don't prove that there are none.

    None while nothing can be said: fewer than two outcomes in an arm, or all outcomes equal and no `bounds`.
    """
    if not 0 < alpha < 1:
        raise ValueError(f"alpha is {alpha}: it must be above 0 and below 1")
    if horizon < 1:
        raise ValueError(f"horizon is {horizon}: it must be at least 1 unit")
    error = standard_error(control, treatment, bounds)
    if not error > 0:
        return None
    estimate = treatment.mean - control.mean
    width = error * multiplier((control.n + treatment.n) / horizon, alpha)
    widest = math.inf if bounds is None else bounds[1] - bounds[0]
    return Interval(estimate, max(estimate - width, -widest), min(estimate + width, widest), alpha)


def standard_error(control: Moments, treatment: Moments, bounds: tuple[float, float] | None = None) -> float:
    """The standard error of the difference of the two means; not a number below two outcomes in an arm."""
    if min(control.n, treatment.n) < 2:
        return math.nan
    extra = Moments.of(bounds) if bounds else Moments()
    return math.sqrt(sum(arm.merge(extra).variance / arm.n for arm in (control, treatment)))


def multiplier(progress: float, alpha: float) -> float:
    """How many standard errors the interval reaches to each side when `progress` = N / h of the plan is done."""
    return min(
        wedge_multiplier(progress, (1 - MIXTURE_SHARE) * alpha),
        mixture_multiplier(progress / MIXTURE_TUNED_AT, MIXTURE_SHARE * alpha),
    )


def wedge_multiplier(progress: float, alpha: float) -> float:
    """Standard errors to each side by the boundary |B(t)| < c max(1, t), t = N / h.

    Up to the horizon it is the boundary of O'Brien and Fleming (1979) for looks without number; past it the interval
    keeps its width. For a standard Brownian motion, the chance to reach c before t = 1 from B(1) = x < c is
    exp(-2c(c - x)) by the reflection principle, and to reach ct after t = 1 it is the same, independently, by the
    inversion t B(1/t). Integrated over x, the chance to cross on one side is 3 F(-c) - exp(4c²) F(-3c), with F the
    normal distribution function.
    """
    return _wedge(alpha) * math.sqrt(max(progress, 1 / progress))


@lru_cache(maxsize=256)
def _wedge(alpha: float) -> float:
    """The c at which the wedge is crossed with probability `alpha` / 2 on each side, by bisection."""
    low, high = 0.0, 12.0
    for _ in range(60):
        middle = (low + high) / 2
        crossed = 3 * _tail(middle) - math.exp(4 * middle * middle) * _tail(3 * middle)
        low, high = (middle, high) if crossed > alpha / 2 else (low, middle)
    return high


def _tail(x: float) -> float:
    """The chance that a standard normal variable is above x."""
    return math.erfc(x / math.sqrt(2)) / 2


def mixture_multiplier(progress: float, alpha: float) -> float:
    """Standard errors to each side by the normal mixture of Waudby-Smith et al., arXiv 2103.06476, eq. 9.

    `progress` is N over the N* at which the interval is to be narrowest, and x = N r² in their terms.
    """
    x = progress * (-2 * math.log(alpha) + math.log(1 - 2 * math.log(alpha)))
    return math.sqrt(2 * (x + 1) / x * math.log(math.sqrt(x + 1) / alpha))
