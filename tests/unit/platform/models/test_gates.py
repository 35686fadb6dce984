from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ratchet.models.gates import NotMeasuredError, judge
from ratchet.models.schemas import GREATER_IS_BETTER, Gate

DATA = {"uri": "sklearn://breast_cancer"}
finite = st.floats(-1e6, 1e6)


def gate(**rules: object) -> Gate:
    return Gate.model_validate({"metric": "accuracy", "data": DATA, **rules})


def test_better_than_the_champion_and_above_the_minimum_passes_with_the_numbers_in_words() -> None:
    metrics = {"v4/accuracy": 0.9561, "v3/accuracy": 0.9474, "test/rows": 114.0}
    verdict = judge(gate(minimum=0.9), "champion", 4, 3, metrics)
    assert verdict.passed
    assert verdict.rows == 114
    assert verdict.candidate == {"accuracy": 0.9561}
    assert verdict.champion == {"accuracy": 0.9474}
    assert [rule.rule for rule in verdict.rules] == ["minimum", "max_regression"]
    assert verdict.rules[0].detail == (
        "accuracy of v4 is 0.9561 on 114 rows of the test split: at least the 0.9 that is asked for."
    )
    assert "of the champion v3 0.9474 on the same rows: 0.0087 better; no worse is allowed." in verdict.rules[1].detail


def test_the_message_of_a_refusal_names_the_rules_that_did_not_hold_and_no_other() -> None:
    verdict = judge(gate(minimum=0.5), "champion", 2, 1, {"v2/accuracy": 0.8, "v1/accuracy": 0.9})
    assert not verdict.passed
    assert verdict.message == verdict.rules[1].detail
    assert "0.1 worse" in verdict.message


@pytest.mark.parametrize(("metric", "worse"), [("accuracy", 0.90), ("rmse", 0.96), ("log_loss", 0.96), ("r2", 0.90)])
def test_worse_is_judged_by_the_direction_of_the_metric(metric: str, worse: float) -> None:
    metrics = {f"v2/{metric}": worse, f"v1/{metric}": 0.93}
    assert not judge(gate(metric=metric), "champion", 2, 1, metrics).passed
    assert judge(gate(metric=metric, max_regression=0.03), "champion", 2, 1, metrics).passed  # 0.96 - 0.93 > 0.03


def test_without_a_champion_or_against_itself_there_is_nothing_to_compare() -> None:
    for holder in (None, 2):
        verdict = judge(gate(), "champion", 2, holder, {"v2/accuracy": 0.1})
        assert verdict.passed
        assert verdict.champion is None
        assert "nothing to compare" in verdict.rules[0].detail


@pytest.mark.parametrize("metrics", [{}, {"v2/roc_auc": 1.0}, {"v2/accuracy": math.nan}, {"v2/accuracy": 1.0}])
def test_what_was_not_measured_decides_nothing(metrics: dict[str, float]) -> None:
    with pytest.raises(NotMeasuredError, match="accuracy of v"):
        judge(gate(), "champion", 2, 1, metrics)


def test_a_misspelt_metric_is_refused_with_the_one_that_was_meant() -> None:
    with pytest.raises(ValidationError, match="Did you mean 'accuracy'"):
        gate(metric="acuracy")
    assert gate(metric="test/accuracy").metric == "accuracy"
    with pytest.raises(ValidationError, match="nothing can pass"):
        gate(minimum=0.9, maximum=0.8)


@given(metric=st.sampled_from(sorted(GREATER_IS_BETTER)), candidate=finite, champion=finite, allowed=st.floats(0, 1e3))
def test_a_version_passes_exactly_when_it_is_not_worse_by_more_than_is_allowed(
    metric: str, candidate: float, champion: float, allowed: float
) -> None:
    metrics = {f"v2/{metric}": candidate, f"v1/{metric}": champion}
    verdict = judge(gate(metric=metric, max_regression=allowed), "champion", 2, 1, metrics)
    worse = champion - candidate if GREATER_IS_BETTER[metric] else candidate - champion
    if not math.isclose(worse, allowed, rel_tol=1e-6, abs_tol=1e-2):
        assert verdict.passed == (worse < allowed)
    assert verdict.passed == all(rule.passed for rule in verdict.rules)


@given(value=finite, minimum=finite)
def test_a_higher_minimum_never_lets_more_pass(value: float, minimum: float) -> None:
    metrics = {"v1/accuracy": value}
    if judge(gate(minimum=minimum + 1), "champion", 1, None, metrics).passed:
        assert judge(gate(minimum=minimum), "champion", 1, None, metrics).passed
