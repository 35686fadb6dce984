from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratchet.abtests.compare import Prediction, compare, score

ARMS = ("a", "b")
one_prediction = st.builds(
    Prediction,
    request_id=st.integers(0, 30).map(str),
    row=st.just(0),
    key=st.sampled_from("klmnop"),
    variant=st.sampled_from(["a", "b", "c"]),
    prediction=st.sampled_from(["yes", "no"]),
)
predictions = st.lists(one_prediction, max_size=40)
outcomes = st.dictionaries(
    st.tuples(st.integers(0, 30).map(str), st.just(0)), st.sampled_from([("yes", None), ("no", None)])
)


@given(predictions, outcomes)
def test_a_caller_counts_once_and_only_where_it_was_seen(
    seen: list[Prediction], known: dict[tuple[str, int], tuple[str, None]]
) -> None:
    found = compare(seen, known, ARMS, "accuracy")
    for arm in ARMS:
        keys = {each.key for each in seen if each.variant == arm}
        assert found.exposed[arm] == len(keys)
        assert found.moments[arm].n <= len(keys)
    with_outcome = {each.key for each in seen if each.variant in ARMS and (each.request_id, 0) in known}
    assert sum(moments.n for moments in found.moments.values()) == len(with_outcome)


@given(predictions, outcomes)
def test_more_outcomes_never_uncount_a_caller(
    seen: list[Prediction], known: dict[tuple[str, int], tuple[str, None]]
) -> None:
    some = dict(list(known.items())[: len(known) // 2])
    fewer, more = compare(seen, some, ARMS, "accuracy"), compare(seen, known, ARMS, "accuracy")
    assert sum(m.n for m in fewer.moments.values()) <= sum(m.n for m in more.moments.values())


@pytest.mark.parametrize(
    ("metric", "prediction", "outcome", "value"),
    [
        ("accuracy", "benign", ("benign", None), 1.0),
        ("accuracy", "benign", ("malignant", None), 0.0),
        ("accuracy", "1", ("1.0", 1.0), 1.0),
        ("accuracy", "1.0", ("2", 2.0), 0.0),
        ("mean_outcome", "x", ("3.5", 3.5), 3.5),
        ("mean_outcome", "x", ("bought", None), None),
        ("absolute_error", "2.5", ("4", 4.0), 1.5),
        ("squared_error", "2.5", ("4", 4.0), 2.25),
        ("squared_error", "benign", ("4", 4.0), None),
    ],
)
def test_score(metric: str, prediction: str, outcome: tuple[str, float | None], value: float | None) -> None:
    assert score(metric, prediction, outcome) == value  # type: ignore[arg-type]
