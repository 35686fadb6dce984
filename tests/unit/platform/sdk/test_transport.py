"""Authentication, retries and errors of the SDK."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from ratchet.sdk import errors
from ratchet.sdk.errors import RatchetError
from ratchet.sdk.resources import Endpoint

JOB = {"id": "job-1", "status": "queued"}


def test_every_request_says_who_asks(client: Any, server: Any) -> None:
    server.will(200, JOB)
    client.jobs.get("job-1")
    assert server.requests[0].headers["authorization"] == "Bearer secret"
    assert str(server.requests[0].url) == "http://ratchet.test/api/v1/projects/default/jobs/job-1"


def test_a_name_stays_one_part_of_the_address(client: Any, server: Any) -> None:
    server.will(404, {})
    with pytest.raises(errors.NotFound):
        client.jobs.get("../../tokens?x=1#y")
    assert server.requests[0].url.raw_path == b"/api/v1/projects/default/jobs/..%2F..%2Ftokens%3Fx%3D1%23y"


def test_a_repetition_carries_the_same_idempotency_key(client: Any, server: Any, slept: list[float]) -> None:
    server.will_fail(httpx2.ReadTimeout("gone"))
    server.will(503, {}, retry_after="7")
    server.will(202, JOB)
    client.jobs.submit({"kind": "train"})
    keys = {request.headers["idempotency-key"] for request in server.requests}
    assert len(server.requests) == 3
    assert len(keys) == 1
    assert slept[1] == 7


def test_what_is_under_way_already_is_asked_for_again(client: Any, server: Any, slept: list[float]) -> None:
    server.will_fail(httpx2.ReadTimeout("gone"))
    server.will(409, {"detail": "It is under way.", "code": "in_flight"})
    server.will(202, JOB)
    assert client.jobs.submit({"kind": "train"}).id == "job-1"
    assert len({request.headers["idempotency-key"] for request in server.requests}) == 1


def test_two_submissions_have_two_keys(client: Any, server: Any) -> None:
    server.will(202, JOB)
    server.will(202, JOB)
    client.jobs.submit({"kind": "train"})
    client.jobs.submit({"kind": "train"})
    assert len({request.headers["idempotency-key"] for request in server.requests}) == 2


def test_a_given_key_is_used(client: Any, server: Any) -> None:
    server.will(202, JOB)
    client.jobs.submit({"kind": "train"}, idempotency_key="mine")
    assert server.requests[0].headers["idempotency-key"] == "mine"


def test_what_may_have_been_done_is_not_done_again(client: Any, server: Any) -> None:
    server.will_fail(httpx2.ReadTimeout("gone"))
    with pytest.raises(errors.ServerUnavailable):
        client.endpoints.predict(Endpoint(name="e", url="http://serve.test/e"), {"x": 1})
    assert len(server.requests) == 1


def test_what_never_arrived_is_sent_again(client: Any, server: Any) -> None:
    server.will_fail(httpx2.ConnectError("refused"))
    server.will(202, {"id": "run-1"})
    assert client.pipelines.run("nightly").id == "run-1"


def test_a_gateway_that_lost_the_answer_ends_what_is_not_repeatable(client: Any, server: Any) -> None:
    server.will(504, {})
    with pytest.raises(errors.ServerUnavailable):
        client.endpoints.predict(Endpoint(name="e", url="http://serve.test/e"), {"x": 1})
    assert len(server.requests) == 1


def test_after_the_last_attempt_it_says_where_and_what_to_do(client: Any, server: Any) -> None:
    for _ in range(5):
        server.will_fail(httpx2.ConnectError("refused"))
    with pytest.raises(errors.ServerUnavailable, match=r"http://ratchet.test: refused"):
        client.info()
    assert len(server.requests) == 5


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, errors.Unauthorized),
        (403, errors.Forbidden),
        (404, errors.NotFound),
        (409, errors.Conflict),
        (413, errors.Invalid),
        (422, errors.Invalid),
        (500, errors.ServerError),
    ],
)
def test_each_status_has_its_exception(client: Any, server: Any, status: int, kind: type[RatchetError]) -> None:
    server.will(status, {"detail": "No.", "code": "some_code", "hint": "Do this.", "request_id": "r1"})
    with pytest.raises(kind) as caught:
        client.info()
    assert (caught.value.status, caught.value.code, caught.value.request_id) == (status, "some_code", "r1")
    assert str(caught.value) == "No.\n  Do this."
    assert len(server.requests) == 1


def test_an_error_names_field_and_value(client: Any, server: Any) -> None:
    wrong = {"pointer": "/params/epochs", "message": "It must be at least 1.", "value": 0}
    server.will(422, {"detail": "1 field is wrong.", "errors": [wrong]})
    with pytest.raises(errors.Invalid) as caught:
        client.jobs.submit({"kind": "train"})
    assert "params.epochs: It must be at least 1. (got 0)" in str(caught.value)


def test_an_error_that_is_no_problem_document_is_told_too(client: Any, server: Any) -> None:
    server.answers.append(httpx2.Response(418, text="<html>teapot</html>"))
    with pytest.raises(RatchetError, match="HTTP 418"):
        client.info()


def test_an_answer_that_is_not_json_is_told(client: Any, server: Any) -> None:
    server.answers.append(httpx2.Response(200, text="<html>", headers={"content-type": "text/html"}))
    with pytest.raises(RatchetError, match="not JSON"):
        client.info()


def test_a_rate_limit_is_waited_for_and_then_told(client: Any, server: Any, slept: list[float]) -> None:
    for _ in range(5):
        server.will(429, {"detail": "Slower."}, retry_after="2")
    with pytest.raises(errors.RateLimited, match="Slower"):
        client.info()
    assert slept == [2, 2, 2, 2]


def test_what_a_newer_server_adds_is_kept(client: Any, server: Any) -> None:
    server.will(200, {**JOB, "novelty": {"a": 1}})
    assert client.jobs.get("job-1").dump()["novelty"] == {"a": 1}
