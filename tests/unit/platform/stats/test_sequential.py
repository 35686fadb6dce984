"""The interval for a difference of means: its algebra, and its coverage under peeking."""

from __future__ import annotations

import math
import statistics

import numpy as np
import pytest
from benchmarks.peeking import METHODS, SCENARIOS, Scenario, bernoulli, rejected, standardised
from hypothesis import given
from hypothesis import strategies as st

from ratchet.stats.proportions import wilson
from ratchet.stats.sequential import (
    Moments,
    difference,
    mixture_multiplier,
    multiplier,
    standard_error,
    wedge_multiplier,
)

values = st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=50)
alphas = st.floats(1e-6, 0.5)
progress = st.floats(1e-4, 100)


def close(a: Moments, b: Moments) -> bool:
    spread = 1e-9 * (abs(a.m2) + a.n * (1 + abs(a.mean)) ** 2) + 1e-3
    return a.n == b.n and math.isclose(a.mean, b.mean, abs_tol=1e-6) and abs(a.m2 - b.m2) <= spread


@given(values)
def test_moments_are_those_of_the_textbook(data: list[float]) -> None:
    moments = Moments.of(data)
    assert moments.n == len(data)
    assert moments.mean == pytest.approx(statistics.fmean(data), rel=1e-9, abs=1e-6)
    assert moments.variance == pytest.approx(statistics.variance(data), rel=1e-6, abs=1e-3)


@given(values, values, values)
def test_the_order_of_merging_does_not_matter(a: list[float], b: list[float], c: list[float]) -> None:
    x, y, z = Moments.of(a), Moments.of(b), Moments.of(c)
    whole = Moments.of(a + b + c)
    assert close(x.merge(y).merge(z), whole)
    assert close(x.merge(y.merge(z)), whole)
    assert close(z.merge(x).merge(y), whole)


def test_nothing_merged_changes_nothing() -> None:
    some = Moments.of([1.0, 2.0, 4.0])
    assert some.merge(Moments()) == some
    assert Moments().merge(some) == some


def test_a_large_mean_loses_no_digits() -> None:
    assert Moments.of([1e9 + x for x in (4, 7, 13, 16)]).variance == pytest.approx(30.0)


@given(values, values, st.integers(10, 100_000))
def test_swapping_the_arms_mirrors_the_interval(a: list[float], b: list[float], horizon: int) -> None:
    forth = difference(Moments.of(a), Moments.of(b), alpha=0.05, horizon=horizon)
    back = difference(Moments.of(b), Moments.of(a), alpha=0.05, horizon=horizon)
    if forth is None or back is None:
        assert forth is back is None
        return
    assert forth.lower <= forth.estimate <= forth.upper
    assert (back.lower, back.upper) == pytest.approx((-forth.upper, -forth.lower))


@given(alphas, alphas, progress)
def test_a_smaller_error_asks_for_a_wider_interval(one: float, other: float, done: float) -> None:
    low, high = sorted((one, other))
    assert multiplier(done, low) >= multiplier(done, high) - 1e-9


@given(progress)
def test_the_interval_is_wider_than_that_of_one_look(done: float) -> None:
    assert multiplier(done, 0.05) > statistics.NormalDist().inv_cdf(0.975)


def test_at_the_horizon_it_is_narrower_than_the_mixture_tuned_to_it() -> None:
    assert multiplier(1, 0.05) < 0.9 * mixture_multiplier(1, 0.05)


def test_early_the_mixture_counts_and_late_the_wedge() -> None:
    assert multiplier(0.02, 0.05) < wedge_multiplier(0.02, 0.04)
    assert multiplier(1, 0.05) == wedge_multiplier(1, 0.04)


def test_the_wedge_is_crossed_as_often_as_it_says() -> None:
    """The closed form against a random walk of 2,000 steps to twice the horizon: a walk crosses a little less often."""
    rng = np.random.default_rng(5)
    steps, runs = 1000, 10_000
    time = np.arange(1, 2 * steps + 1) / steps
    boundary = wedge_multiplier(1.0, 0.2) * np.maximum(1, time)
    crossed = 0
    for _ in range(runs // 500):
        walk = rng.normal(0, 1 / math.sqrt(steps), (500, 2 * steps)).cumsum(axis=1)
        crossed += int((np.abs(walk) > boundary).any(axis=1).sum())
    assert 0.14 < crossed / runs <= 0.2


def test_the_equation_of_the_mixture() -> None:
    """Eq. 9 of arXiv 2103.06476 written out for N = 5,000 = N*, s² = 1, alpha = 0.05."""
    n, a = 5000, 0.05
    r2 = (-2 * math.log(a) + math.log(-2 * math.log(a) + 1)) / n
    half = math.sqrt(2 * (n * r2 + 1) / (n * n * r2) * math.log(math.sqrt(n * r2 + 1) / a))
    assert mixture_multiplier(1, a) / math.sqrt(n) == pytest.approx(half)


def test_no_error_seen_is_not_no_error() -> None:
    right = Moments.of([1.0] * 100)
    assert difference(right, right, alpha=0.05, horizon=1000) is None
    interval = difference(right, right, alpha=0.05, horizon=1000, bounds=(0, 1))
    assert interval is not None
    assert interval.lower < -0.03
    assert interval.upper > 0.03


def test_known_bounds_limit_the_difference() -> None:
    interval = difference(Moments.of([0, 1]), Moments.of([1, 0]), alpha=0.05, horizon=1000, bounds=(0, 1))
    assert interval is not None
    assert (interval.lower, interval.upper) == (-1, 1)


@pytest.mark.parametrize("arm", [Moments(), Moments.of([1.0])])
def test_too_few_outcomes_give_no_interval(arm: Moments) -> None:
    assert difference(arm, Moments.of([1.0, 2.0]), alpha=0.05, horizon=100) is None


@pytest.mark.parametrize(("alpha", "horizon"), [(0, 10), (1, 10), (-0.1, 10), (0.05, 0)])
def test_arguments_without_meaning_are_refused(alpha: float, horizon: int) -> None:
    some = Moments.of([1.0, 2.0])
    with pytest.raises(ValueError, match="must be"):
        difference(some, some, alpha=alpha, horizon=horizon)


def test_the_simulation_uses_the_same_standard_error() -> None:
    scenario = next(s for s in SCENARIOS if "canary" in s.name)
    z = standardised(scenario, np.random.default_rng(3), 1)[0, 199]
    rng = np.random.default_rng(3)
    treatment = scenario.treatment(rng, (1, 1000))[0, :200]
    control = scenario.control(rng, (1, 9000))[0, :1800]
    arms = Moments.of(control.tolist()), Moments.of(treatment.tolist())
    assert z == pytest.approx((arms[1].mean - arms[0].mean) / standard_error(*arms, (0, 1)))


@pytest.mark.parametrize("scenario", [s for s in SCENARIOS if s.null], ids=lambda s: s.name)
def test_a_look_at_every_unit_keeps_the_error_below_five_percent(scenario: Scenario) -> None:
    runs = 10_000
    assert wilson(rejected(scenario, METHODS, runs)["Ratchet"], runs)[1] <= 0.05


def test_the_naive_test_fails_where_ours_holds() -> None:
    assert rejected(SCENARIOS[0], METHODS, 1000)["z-test"] > 200


@pytest.mark.parametrize(("name", "at_least"), [("power, N: +0.1", 0.32), ("power, Bernoulli: 0.10 to 0.12", 0.81)])
def test_it_finds_more_than_gavi(name: str, at_least: float) -> None:
    """GAVI finds .222 and .767 in the same set-up."""
    scenario = next(s for s in SCENARIOS if s.name == name)
    found = rejected(scenario, METHODS, 1000)
    assert found["Ratchet"] / 1000 > at_least
    assert found["Ratchet"] > found["GAVI"]


def test_a_broken_model_is_seen_within_a_twentieth_of_the_plan() -> None:
    """Accuracy 0.95 against 0.7 with 20,000 planned: the early boundary has excluded 0 after 1,000."""
    rng = np.random.default_rng(1)
    good, bad = (Moments.of(bernoulli(p)(rng, (1, 500))[0].tolist()) for p in (0.95, 0.7))
    interval = difference(good, bad, alpha=0.05, horizon=20_000, bounds=(0, 1))
    assert interval is not None
    assert interval.upper < 0
