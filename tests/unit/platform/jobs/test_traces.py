"""The trace from a request to its job."""

from __future__ import annotations

from typing import Any

import pytest

JOBS = "/api/v1/projects/default/jobs"
TRAIN: dict[str, Any] = {"kind": "train", "data": {"uri": "sklearn://iris"}}
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_a_job_knows_the_request_and_the_trace_it_came_from(api: Any, make_world: Any) -> None:
    world = make_world(api.sessions, api.clients)
    world.see_cluster()
    headers = {**api.headers("writer"), "X-Request-Id": "req-1", "traceparent": PARENT}
    job_id = api.http.post(JOBS, json=TRAIN, headers=headers).json()["id"]
    world.reach(job_id, "running")
    (job,) = api.clients.jobs.jobs.values()
    assert job.env["TRACEPARENT"].split("-")[1] == PARENT.split("-")[1]
    assert job.metadata["request_id"] == "req-1"


@pytest.mark.parametrize("sent", ["", "garbage", f"{PARENT}\x00", "00-" + "0" * 32 + "-b7ad6b7169203331-01"])
def test_what_is_no_trace_is_not_passed_on(api: Any, make_world: Any, sent: str) -> None:
    world = make_world(api.sessions, api.clients)
    world.see_cluster()
    headers = {**api.headers("writer"), "traceparent": sent}
    job_id = api.http.post(JOBS, json=TRAIN, headers=headers).json()["id"]
    world.reach(job_id, "running")
    (job,) = api.clients.jobs.jobs.values()
    assert "TRACEPARENT" not in job.env
