"""Whether and when another attempt follows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratchet.jobs.classify import Failure
from ratchet.jobs.retry import OWN, History, decide, signature
from ratchet.jobs.status import Reason
from ratchet_pipelines.spec import Retriable

SPEC = {"max_attempts": 3}


def after(spec, failure, history) -> float | None:
    found = decide(spec, failure, history).after
    return None if found is None else found.total_seconds()


def test_the_wait_doubles_up_to_a_limit():
    lost = Failure(Reason.ENGINE_LOST, "gone")
    waits = [after({"max_attempts": 20}, lost, History(tried)) for tried in (1, 2, 3, 19)]
    assert waits == [2, 4, 8, 60]


@pytest.mark.parametrize("reason", ["engine_lost", "engine_error", "node_lost", "environment_error"])
def test_what_is_the_clusters_fault_is_tried_again_of_itself(reason):
    verdict = decide(SPEC, Failure(Reason(reason), "It broke."), History(1))
    assert verdict.after is not None
    assert verdict.message == "It broke. Attempt 2 of 3 follows."


@pytest.mark.parametrize("reason", ["user_error", "data_error", "out_of_memory", "internal"])
def test_an_error_of_the_jobs_own_is_tried_again_only_where_the_spec_says_so(reason):
    failure = Failure(Reason(reason), "It broke.")
    assert decide(SPEC, failure, History(1)).message == "It broke."
    assert after(SPEC, failure, History(1)) is None
    assert after({**SPEC, "retry_on": [reason]}, failure, History(1)) is not None


def test_the_same_error_of_the_jobs_own_is_not_tried_a_third_time():
    spec = {"max_attempts": 20, "retry_on": ["user_error"]}
    first = Failure(Reason.USER_ERROR, "m", "IndexError: index 7 is out of bounds")
    again = Failure(Reason.USER_ERROR, "m", "IndexError: index 9 is out of bounds")
    other = Failure(Reason.USER_ERROR, "m", "KeyError: 'x'")
    history = History(2, frozenset({signature(first)}))
    verdict = decide(spec, again, history)
    assert verdict.after is None
    assert "not tried again" in verdict.message
    assert after(spec, other, history) is not None


def test_the_cluster_may_fail_a_job_alike_any_number_of_times():
    lost = Failure(Reason.NODE_LOST, "A worker was lost.")
    assert after({"max_attempts": 20}, lost, History(7, frozenset({signature(lost)}))) is not None


@given(
    reason=st.sampled_from([Reason(each) for each in Retriable]),
    retry_on=st.lists(st.sampled_from(Retriable), unique=True),
    most=st.integers(1, 20),
    tried=st.integers(1, 25),
    seen=st.booleans(),
)
def test_another_attempt_follows_exactly_when_all_allow_it(reason, retry_on, most, tried, seen):
    failure = Failure(reason, "m")
    history = History(tried, frozenset({signature(failure)} if seen else ()))
    found = after({"max_attempts": most, "retry_on": retry_on}, failure, history)
    assert (found is not None) == (reason in retry_on and tried < most and not (seen and reason in OWN))
    assert found is None or 0 < found <= 300
