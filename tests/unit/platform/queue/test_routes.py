"""The queue and the quotas over HTTP: what they show, and to whom."""

from __future__ import annotations

import pytest

from ratchet.jobs.tables import CLUSTER, Cluster

JOB = {"kind": "train", "data": {"uri": "sklearn://breast_cancer"}}


@pytest.fixture(autouse=True)
def cluster(api):
    """One of four CPUs, as seen by a look at Ray."""
    with api.sessions() as session:
        row = session.get_one(Cluster, CLUSTER)
        row.status, row.cpus, row.memory_bytes = "ready", 4, 8 * 2**30
        session.commit()


def call(api, who: str, method: str, path: str, body=None):
    return api.http.request(method, f"/api/v1{path}", headers=api.headers(who), json=body)


def submit(api, who: str = "writer", project: str = "default", **changes) -> str:
    answer = call(api, who, "POST", f"/projects/{project}/jobs", {**JOB, **changes})
    assert answer.status_code == 202, answer.text
    return answer.json()["id"]


def test_a_quota_is_set_whole_read_with_what_is_held_and_in_the_audit_log(api):
    assert call(api, "reader", "GET", "/projects/default/quota").json() == {
        "cpus": None,
        "gpus": None,
        "memory_bytes": None,
        "jobs": None,
        "gpu_hours": None,
        "weight": 1,
        "project": "default",
        "used": {"cpus": 0, "gpus": 0, "memory_bytes": 0, "jobs": 0, "gpu_hours": 0},
        "updated_at": None,
    }
    assert call(api, "admin", "PUT", "/projects/default/quota", {"cpus": 3, "weight": 2}).status_code == 200
    answer = call(api, "admin", "PUT", "/projects/default/quota", {"jobs": 5})
    assert [answer.json()[name] for name in ("cpus", "jobs", "weight")] == [None, 5, 1]
    entries = call(api, "admin", "GET", "/projects/default/events?action=quota.set").json()["items"]
    assert [entry["before"] and entry["before"]["cpus"] for entry in entries] == [3, None]


@pytest.mark.parametrize("body", [{"cpus": -1}, {"weight": 0}, {"cpu": 1}, {"jobs": 1.5}])
def test_a_quota_that_is_none_is_refused(api, body):
    assert call(api, "admin", "PUT", "/projects/default/quota", body).status_code == 422


@pytest.mark.parametrize(
    ("who", "method", "path", "status"),
    [
        ("project_admin", "PUT", "/projects/default/quota", 403),
        ("stranger", "GET", "/projects/default/quota", 404),
        ("stranger", "GET", "/projects/default/queue", 404),
        ("writer", "GET", "/queue", 403),
    ],
)
def test_who_may_not(api, who, method, path, status):
    assert call(api, who, method, path, {} if method == "PUT" else None).status_code == status


def test_a_project_sees_its_own_jobs_with_their_places_in_the_whole_queue(api):
    ours, theirs = submit(api), submit(api, "stranger", "other", priority=1)
    mine = call(api, "reader", "GET", "/projects/default/queue").json()
    assert [(job["id"], job["position"]) for job in mine["items"]] == [(ours, 2)]
    assert (mine["length"], mine["total"]["cpus"]) == (2, 4)
    everything = call(api, "admin", "GET", "/queue").json()
    assert [job["id"] for job in everything["items"]] == [theirs, ours]
    assert len(call(api, "admin", "GET", "/queue?limit=1").json()["items"]) == 1


def test_a_plan_and_a_submission_say_that_the_quota_is_too_small(api):
    call(api, "admin", "PUT", "/projects/default/quota", {"cpus": 1})
    for path in ("/projects/default/jobs:plan", "/projects/default/jobs"):
        answer = call(api, "writer", "POST", path, {**JOB, "resources": {"workers": 2}})
        assert (answer.status_code, answer.json()["code"]) == (422, "exceeds_quota")
        assert answer.json()["errors"][0]["pointer"] == "/resources/workers"


def test_a_plan_tells_the_place_and_the_start_that_a_job_would_have(api):
    submit(api, resources={"workers": 4})
    plan = call(api, "writer", "POST", "/projects/default/jobs:plan", JOB).json()
    assert (plan["starts_now"], plan["reason"], plan["position"]) == (False, "waiting_for_room", 2)
    assert plan["predicted_start_at"] is not None
    assert call(api, "reader", "GET", "/projects/default/queue").json()["length"] == 1
