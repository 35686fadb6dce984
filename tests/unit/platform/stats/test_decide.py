"""What a test concludes, and how it says so."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratchet.stats import Interval, Verdict, decide, sample_ratio

PLAN: dict[str, Any] = {"units": (600, 590), "min_units": 100, "max_units": 2000, "metric": "accuracy"}


def interval(lower: float, upper: float) -> Interval:
    return Interval((lower + upper) / 2, lower, upper, 0.05)


@pytest.mark.parametrize(
    ("lower", "upper", "extra", "verdict", "reason"),
    [
        (0.01, 0.05, {}, "promote", "better"),
        (-0.05, -0.01, {}, "roll_back", "worse"),
        (-0.01, 0.05, {}, "go_on", "undecided"),
        (0.01, 0.05, {"greater_is_better": False}, "roll_back", "worse"),
        (-0.05, -0.01, {"greater_is_better": False}, "promote", "better"),
        (0.01, 0.05, {"min_effect": 0.02}, "go_on", "undecided"),
        (0.03, 0.05, {"min_effect": 0.02}, "promote", "better"),
        (-0.01, 0.015, {"min_effect": 0.02}, "roll_back", "below_min_effect"),
        (-0.01, 0.015, {"min_effect": -0.02}, "promote", "better"),
        (-0.04, -0.001, {"min_effect": -0.02}, "go_on", "undecided"),
        (-0.01, 0.05, {"units": (1001, 999)}, "inconclusive", "max_units"),
        (0.01, 0.05, {"units": (1001, 999)}, "promote", "better"),
        (0.01, 0.05, {"units": (600, 99)}, "go_on", "min_units"),
        (0.01, 0.05, {"units": (1990, 10)}, "inconclusive", "max_units"),
    ],
)
def test_the_rules(lower: float, upper: float, extra: dict[str, Any], verdict: str, reason: str) -> None:
    decision = decide(interval(lower, upper), **{**PLAN, **extra})
    assert (decision.verdict, decision.reason) == (verdict, reason)
    assert decision.final is (verdict != "go_on")


def test_without_an_interval_the_test_goes_on() -> None:
    assert decide(None, **PLAN).verdict is Verdict.GO_ON


def test_traffic_that_splits_wrongly_promotes_nothing() -> None:
    srm = sample_ratio({"control": 600, "treatment": 300}, {"control": 0.5, "treatment": 0.5})
    decision = decide(interval(0.2, 0.3), **PLAN, srm=srm)
    assert (decision.verdict, decision.reason) == (Verdict.INCONCLUSIVE, "sample_ratio_mismatch")
    assert "66.7% instead of 50.0%" in decision.message


def test_the_message_has_the_numbers() -> None:
    message = decide(interval(0.01, 0.05), **PLAN).message
    for part in ("better", "accuracy", "+0.0300", "95 %", "+0.0100", "+0.0500", "600 outcomes", "590"):
        assert part in message


@given(st.floats(-1, 1), st.floats(0, 1), st.floats(-0.5, 0.5))
def test_a_loss_is_never_promoted_and_a_gain_never_rolled_back(middle: float, reach: float, effect: float) -> None:
    decision = decide(interval(middle - reach, middle + reach), **PLAN, min_effect=effect)
    if middle - reach <= effect:
        assert decision.verdict is not Verdict.PROMOTE
    if middle + reach >= effect:
        assert decision.verdict is not Verdict.ROLL_BACK
