"""Paging, waiting, following, predicting."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import pytest

from ratchet.sdk import collection, errors


def job(status: str, **fields: Any) -> dict[str, Any]:
    return {"id": "job-1", "status": status, **fields}


def event(kind: str, data: Any, id: str) -> str:
    return f"id: {id}\nevent: {kind}\ndata: {json.dumps(data)}\n\n"


def test_a_list_goes_over_all_pages(client: Any, server: Any) -> None:
    server.will(200, {"items": [job("queued")], "next_page_token": "n1"})
    server.will(200, {"items": [], "next_page_token": "n2"})
    server.will(200, {"items": [job("failed")], "next_page_token": ""})
    assert [found.status for found in client.jobs.list(kind="train", status=None)] == ["queued", "failed"]
    queries = [dict(request.url.params) for request in server.requests]
    assert [query.get("page_token") for query in queries] == [None, "n1", "n2"]
    assert all(query["kind"] == "train" and "status" not in query for query in queries)


def test_a_page_is_fetched_when_it_is_needed(client: Any, server: Any) -> None:
    server.will(200, {"items": [job("queued")], "next_page_token": "n1"})
    next(client.jobs.list())
    assert len(server.requests) == 1


def test_wait_tells_each_change_once(client: Any, server: Any) -> None:
    for status in ("queued", "queued", "running", "succeeded"):
        server.will(200, job(status))
    seen: list[str] = []
    assert client.jobs.wait("job-1", on_change=lambda now: seen.append(now.status)).status == "succeeded"
    assert seen == ["queued", "running", "succeeded"]


def test_wait_raises_when_the_job_failed(client: Any, server: Any) -> None:
    server.will(200, job("failed", reason="data_error", message="There is no column 'x'."))
    with pytest.raises(errors.JobFailed, match=r"data_error.*There is no column 'x'") as caught:
        client.jobs.wait("job-1")
    assert caught.value.resource.status == "failed"


def test_wait_outlasts_a_restart_of_the_server(client: Any, server: Any) -> None:
    for _ in range(7):  # more than one request tries by itself
        server.will_fail(httpx2.ConnectError("refused"))
    server.will(200, job("succeeded"))
    assert client.jobs.wait("job-1").status == "succeeded"


def test_wait_gives_up_on_a_server_that_stays_away(client: Any, server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collection, "PATIENCE_S", -1.0)
    for _ in range(5):
        server.will_fail(httpx2.ConnectError("refused"))
    with pytest.raises(errors.ServerUnavailable):
        client.jobs.wait("job-1")


def test_wait_ends_at_its_timeout(client: Any, server: Any) -> None:
    server.will(200, job("running"))
    with pytest.raises(errors.WaitTimeout, match="running") as caught:
        client.jobs.wait("job-1", timeout=0)
    assert isinstance(caught.value, TimeoutError)


def test_follow_resumes_where_the_connection_broke(client: Any, server: Any) -> None:
    server.will_stream(event("log", {"text": "a"}, "1") + event("job", job("running"), "1"), httpx2.ReadError("broken"))
    server.will_fail(httpx2.ConnectError("refused"))
    server.will_stream(event("log", {"text": "b"}, "2"))  # ends without an end of the job: the server was stopped
    server.will_stream(event("job", job("succeeded"), "3"))
    updates = list(client.jobs.follow("job-1"))
    assert [update.kind for update in updates] == ["log", "job", "log", "job"]
    assert updates[-1].job is not None
    assert updates[-1].job.ended
    assert [request.headers.get("last-event-id") for request in server.requests] == [None, "1", "1", "2"]


def test_follow_does_not_hide_a_refusal(client: Any, server: Any) -> None:
    server.will(404, {"detail": "There is no job 'job-1'."})
    with pytest.raises(errors.NotFound, match="no job"):
        list(client.jobs.follow("job-1"))


def test_follow_ends_when_the_stream_does_because_the_token_was_revoked(client: Any, server: Any) -> None:
    server.will_stream(event("job", job("running"), "1"))
    server.will(401, {"detail": "The token was revoked."})
    with pytest.raises(errors.Unauthorized, match="revoked"):
        list(client.jobs.follow("job-1"))
    assert len(server.requests) == 2


def log_page(*texts: str, cursor: str, complete: bool = False) -> dict[str, Any]:
    return {"entries": [{"text": text} for text in texts], "cursor": cursor, "complete": complete}


def test_logs_are_read_page_by_page_to_their_end(client: Any, server: Any) -> None:
    server.will(200, log_page("one", cursor="a"))
    server.will(200, log_page("two", cursor="b", complete=True))
    assert [entry.text for entry in client.jobs.logs("job-1", level="warning", source="rank-0")] == ["one", "two"]
    asked = [dict(request.url.params) for request in server.requests]
    assert asked == [
        {"level": "warning", "source": "rank-0"},
        {"level": "warning", "source": "rank-0", "cursor": "a"},
    ]


def test_logs_without_follow_end_where_nothing_is_written_yet(client: Any, server: Any) -> None:
    server.will(200, log_page("one", cursor="a"))
    server.will(200, log_page(cursor="a"))
    assert [entry.text for entry in client.jobs.logs("job-1")] == ["one"]


def test_followed_logs_go_on_by_the_stream_from_where_the_pages_ended(client: Any, server: Any) -> None:
    server.will(200, log_page("one", cursor="a"))
    server.will(200, log_page(cursor="a"))
    server.will_stream(
        'id: b\nevent: log\ndata: {"entries": [{"text": "two"}], "cursor": "b"}\n\n'
        'id: b\nevent: job\ndata: {"id": "job-1", "status": "succeeded"}\n\n'
    )
    assert [entry.text for entry in client.jobs.logs("job-1", follow=True, tail=5)] == ["one", "two"]
    assert dict(server.requests[0].url.params) == {"tail": "true", "limit": "5"}
    assert server.requests[2].headers["last-event-id"] == "a"


def test_a_promotion_has_ended_when_its_alias_has_moved(client: Any, server: Any) -> None:
    server.will(202, {"id": "p1", "status": "pending"})
    server.will(200, {"id": "p1", "status": "passed", "move": True, "moved_at": None})
    server.will(200, {"id": "p1", "status": "passed", "move": True, "moved_at": "2026-01-01T00:00:00Z"})
    promotion = client.models.promote("cancer", 2, gate={"metric": "accuracy"}, wait=True)
    assert promotion.moved_at is not None


def test_predictions_go_to_the_endpoint_and_its_address_is_asked_for_once(client: Any, server: Any) -> None:
    server.will(200, {"name": "cancer", "url": "http://serve.test/default/cancer"})
    for _ in range(2):
        server.will(200, {"request_id": "r", "predictions": [{"prediction": 1}]})
    client.endpoints.predict("cancer", {"x": 1.5}, key="user-1")
    client.endpoints.predict("cancer", [{"x": 1.5}, {"x": 2}])
    assert [str(request.url) for request in server.requests[1:]] == ["http://serve.test/default/cancer/predict"] * 2
    assert json.loads(server.requests[1].content) == {"inputs": [{"x": 1.5}], "key": "user-1"}
    assert json.loads(server.requests[2].content) == {"inputs": [{"x": 1.5}, {"x": 2}]}


def test_outcomes_are_sent_in_parts(client: Any, server: Any) -> None:
    server.will(200, {"accepted": 10_000, "duplicates": 0})
    server.will(200, {"accepted": 1, "duplicates": 4})
    outcomes = [{"request_id": f"r{i}", "value": 1} for i in range(10_005)]
    receipt = client.endpoints.send_outcomes("cancer", outcomes)
    assert (receipt.accepted, receipt.duplicates) == (10_001, 4)
    assert [len(json.loads(request.content)["outcomes"]) for request in server.requests] == [10_000, 5]


def test_weights_keep_what_each_variant_serves(client: Any, server: Any) -> None:
    variants = [
        {"name": "a", "model": "cancer", "version": 1, "weight": 0.5},
        {"name": "b", "model": "cancer", "version": 2, "alias": "champion", "weight": 0.5},
    ]
    server.will(200, {"name": "e", "variants": variants})
    server.will(202, {"name": "e"})
    client.endpoints.set_weights("e", {"b": 1.0})
    assert json.loads(server.requests[1].content)["variants"] == [
        {"name": "a", "model": "cancer", "version": 1, "weight": 0.0},
        {"name": "b", "model": "cancer", "alias": "champion", "weight": 1.0},
    ]


def test_a_weight_of_an_unknown_variant_is_refused(client: Any, server: Any) -> None:
    server.will(200, {"name": "e", "variants": [{"name": "a", "model": "m", "weight": 1}]})
    with pytest.raises(errors.RatchetError, match="no variant 'c'"):
        client.endpoints.set_weights("e", {"c": 1.0})


def test_an_endpoint_is_ready_when_the_last_wish_serves(client: Any, server: Any) -> None:
    server.will(200, {"name": "e", "status": "ready", "generation": 2, "observed_generation": 1})
    server.will(200, {"name": "e", "status": "ready", "generation": 2, "observed_generation": 2})
    assert client.endpoints.wait_ready("e").observed_generation == 2


def test_a_run_that_failed_names_its_step(client: Any, server: Any) -> None:
    steps = [{"name": "train", "status": "succeeded"}, {"name": "gate", "status": "failed", "message": "0.8 < 0.9"}]
    server.will(200, {"id": "run-1", "pipeline": "p", "status": "failed", "steps": steps})
    with pytest.raises(errors.WorkFailed, match=r"'gate': 0.8 < 0.9"):
        client.pipelines.wait_run("run-1")
