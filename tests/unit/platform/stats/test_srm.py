"""The sample-ratio check: exact values, symmetry, and false alarms under peeking."""

from __future__ import annotations

import math

import pytest
from benchmarks.peeking import srm_false_alarms
from hypothesis import given
from hypothesis import strategies as st

from ratchet.stats.proportions import wilson
from ratchet.stats.srm import sample_ratio

HALVES = {"a": 0.5, "b": 0.5}


def test_the_bayes_factor_by_hand() -> None:
    """One unit in each of two arms, prior (50, 50): BF = (50·50 / (100·101)) / (0.5·0.5), which is below 1."""
    factor = 50 * 50 / (100 * 101) / 0.25
    assert factor < 1
    assert sample_ratio({"a": 1, "b": 1}, HALVES).p_value == 1
    many = sample_ratio({"a": 30, "b": 0}, HALVES)
    rising = math.prod((50 + i) / (100 + i) for i in range(30))
    assert many.p_value == pytest.approx(0.5**30 / rising)


@given(st.integers(0, 10_000), st.integers(0, 10_000))
def test_the_names_of_the_arms_do_not_matter(a: int, b: int) -> None:
    one, other = sample_ratio({"a": a, "b": b}, HALVES), sample_ratio({"a": b, "b": a}, HALVES)
    assert one.p_value == pytest.approx(other.p_value)
    assert 0 <= one.p_value <= 1


def test_weights_need_not_sum_to_one() -> None:
    counts = {"a": 900, "b": 150}
    assert sample_ratio(counts, {"a": 9, "b": 1}).p_value == sample_ratio(counts, {"a": 0.9, "b": 0.1}).p_value


def test_the_least_p_value_is_kept() -> None:
    assert sample_ratio({"a": 50, "b": 50}, HALVES, least_so_far=0.0004).alarm


def test_a_tenth_of_one_arm_lost_is_seen() -> None:
    assert sample_ratio({"a": 10_000, "b": 9_000}, HALVES).alarm
    assert not sample_ratio({"a": 10_000, "b": 9_900}, HALVES).alarm


@pytest.mark.parametrize(
    ("observed", "expected", "says"),
    [({"a": 1}, HALVES, "expected shares"), ({"a": 1, "b": 2}, {"a": 1.0, "b": 0.0}, "above 0"), ({}, {}, "above 0")],
)
def test_counts_that_do_not_fit_are_refused(observed: dict[str, int], expected: dict[str, float], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        sample_ratio(observed, expected)


def test_false_alarms_stay_below_five_percent_over_a_hundred_looks() -> None:
    low, strict = srm_false_alarms(runs=600, units=100_000, looks=100)
    assert wilson(low, 600)[1] <= 0.05
    assert strict <= 3


def test_wilson_against_published_values() -> None:
    """Newcombe (1998), table I: 81 of 263, and 0 of 20."""
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert wilson(0, 0) == (0.0, 1.0)
    with pytest.raises(ValueError, match="no share"):
        wilson(3, 2)
