"""Jobs over HTTP: who may, what is answered, and what a reader sees while a job runs."""

from __future__ import annotations

import json
from typing import Any

import pytest

BODY = {"kind": "train", "data": {"uri": "sklearn://breast_cancer"}, "model": "cancer"}
JOBS = "/api/v1/projects/default/jobs"


def submit(api, body: dict[str, Any] = BODY, **headers: str) -> dict[str, Any]:
    answer = api.http.post(JOBS, json=body, headers={**api.headers("writer"), **headers})
    assert answer.status_code == 202, answer.text
    return answer.json()


def get(api, path: str, who: str = "reader") -> Any:
    answer = api.http.get(f"{JOBS}/{path}", headers=api.headers(who))
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_submitted_job_is_answered_with_202_and_its_address(api, over):
    answer = api.http.post(JOBS, json=BODY, headers=api.headers("writer"))
    job = answer.json()
    assert (answer.status_code, answer.headers["location"]) == (202, f"{JOBS}/{job['id']}")
    assert (job["status"], job["created_by"], job["model"], job["run_id"]) == ("queued", "writer", None, None)
    assert job["spec"]["max_attempts"] == 3
    assert get(api, job["id"]) == job
    listed = api.http.get(JOBS, headers=api.headers("reader"), params={"status": "queued", "kind": "train"}).json()
    assert listed == {"items": [job], "next_page_token": ""}


def test_the_same_key_starts_a_job_once(api, over):
    first = submit(api, **{"Idempotency-Key": "k"})
    again = submit(api, **{"Idempotency-Key": "k"})
    assert again["id"] == first["id"]
    other = api.http.post(JOBS, json={**BODY, "seed": 1}, headers={**api.headers("writer"), "Idempotency-Key": "k"})
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert len(over.jobs()) == 1


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"recipe": "tabluar"}, "/recipe"),
        ({"params": {"epochz": 1}}, "/params/epochz"),
        ({"data": {"uri": 3}}, "/data/uri"),
        ({"resources": {"workers": 0}}, "/resources/workers"),
        ({"resources": {"workers": 99}}, "/resources/workers"),
        ({"model": "../etc"}, "/model"),
        ({"name": "x" * 3000}, "/name"),
        ({"sede": 1}, "/sede"),
    ],
)
def test_a_bad_spec_is_a_422_that_names_the_field_and_leaves_nothing(api, over, changes, pointer):
    for address in (JOBS, f"{JOBS}:plan"):
        answer = api.http.post(address, json={**BODY, **changes}, headers=api.headers("writer"))
        assert answer.status_code == 422, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]
    over.look()
    assert over.jobs() == []
    assert not api.clients.jobs.jobs


def test_a_plan_says_what_would_happen(api, over):
    body = {**BODY, "resources": {"workers": 4}}
    plan = api.http.post(f"{JOBS}:plan", json=body, headers=api.headers("reader")).json()
    assert (plan["cpus"], plan["starts_now"], plan["message"]) == (4, True, "It would start at once.")


@pytest.mark.parametrize(
    ("who", "method", "path", "status"),
    [
        ("reader", "POST", "", 403),
        ("predictor", "GET", "", 403),
        ("stranger", "GET", "", 404),
        ("stranger", "GET", "/{id}", 404),
        ("stranger", "GET", "/{id}/logs", 404),
        ("stranger", "GET", "/{id}/events", 404),
        ("stranger", "POST", "/{id}:cancel", 404),
        ("reader", "POST", "/{id}:cancel", 403),
        ("reader", "GET", "/job-unknown", 404),
        ("reader", "GET", "/job-unknown/events", 404),
        ("reader", "GET", "/job-unknown/metrics", 404),
    ],
)
def test_who_may_not(api, over, who, method, path, status):
    address = JOBS + path.format(id=submit(api)["id"])
    answer = api.http.request(method, address, headers=api.headers(who), json=BODY if method == "POST" else None)
    assert answer.status_code == status, answer.text


def test_cancel(api, over):
    job_id = submit(api)["id"]
    answer = api.http.post(f"{JOBS}/{job_id}:cancel", headers=api.headers("writer"))
    assert (answer.status_code, answer.json()["status"], answer.json()["reason"]) == (202, "cancelled", "cancelled")
    answer = api.http.post(f"{JOBS}/{job_id}:cancel", headers=api.headers("writer"))
    assert (answer.status_code, answer.json()["code"]) == (409, "job_ended")


def test_why_a_job_waits(api, over):
    first, second = submit(api, {**BODY, "resources": {"workers": 4}}), submit(api)
    over.reach(first["id"], "running")
    wait = get(api, f"{second['id']}/wait")
    assert (wait["waiting"], wait["reason"], wait["position"]) == (True, "waiting_for_room", 1)
    assert "0 of 4 are free" in wait["message"]
    assert get(api, f"{first['id']}/wait")["waiting"] is False


def test_curves_log_and_the_result(api, over):
    job_id = submit(api)["id"]
    over.reach(job_id, "running")
    over.finish(job_id)
    job = over.reach(job_id, "succeeded")
    api.clients.jobs.jobs.clear()  # Ray's head was started anew: the log was kept
    log = get(api, f"{job_id}/logs")
    assert [entry["text"] for entry in log["entries"]] == ["epoch 1", "Done in 3.0 s: models:/m-1"]
    assert log["complete"]
    series = {
        each["name"]: [point["value"] for point in each["points"]] for each in get(api, f"{job_id}/metrics")["series"]
    }
    assert series == {"test/accuracy": [0.97], "val/loss": [0.9, 0.5]}
    view = get(api, job_id)
    assert view["model"] == {"name": "cancer", "version": 1}
    assert view["mlflow_url"].endswith(f"/mlflow/#/experiments/{job.experiment_id}/runs/{job.run_id}")


def test_a_storage_or_mlflow_that_is_down_is_a_503_of_what_needs_it_and_of_nothing_else(api, over):
    job_id = submit(api)["id"]
    over.reach(job_id, "running")
    api.clients.faults.down = {"storage", "mlflow"}
    for path in ("logs", "metrics", "trials"):
        answer = api.http.get(f"{JOBS}/{job_id}/{path}", headers=api.headers("reader"))
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert get(api, job_id)["status"] == "running"
    submit(api)


def test_why_it_failed(api, over):
    job_id = submit(api)["id"]
    over.reach(job_id, "running")
    assert get(api, job_id)["failure"] is None
    over.tell_failure(job_id, 1, message="Worker 1 found no GPU.", error="RuntimeError: no GPU", rank=1)
    api.clients.jobs.jobs[f"{job_id}-1"].logs = "epoch 1\nRuntimeError: no GPU\n"
    api.clients.jobs.fail(f"{job_id}-1", exit_code=64)
    over.reach(job_id, "failed")
    job = get(api, job_id)
    assert job["failure"] == {
        "reason": "user_error",
        "message": "Worker 1 found no GPU.",
        "error": "RuntimeError: no GPU",
        "rank": 1,
        "exit_code": 64,
        "log_tail": "epoch 1\nRuntimeError: no GPU",
        "suggestion": "Change what the message names, then clone the job with the change.",
    }
    assert job["attempts"][0]["failure"] == job["failure"]


def test_the_trials_of_a_sweep_and_its_best(api, over):
    search = {"dropout": {"kind": "choice", "values": [0.1, 0.2]}}
    job_id = submit(api, {**BODY, "kind": "sweep", "search": search, "trials": 2})["id"]
    job = over.reach(job_id, "running")
    mlflow = api.clients.mlflow
    runs = [mlflow.create_run(job.experiment_id, f"t{i}", {"mlflow.parentRunId": job.run_id}) for i in range(2)]
    mlflow.log(runs[1].run_id, {"val/loss": [0.3]})
    over.finish(job_id, **{"ratchet.best_trial": runs[1].run_id})
    over.reach(job_id, "succeeded")
    trials = get(api, f"{job_id}/trials")["items"]
    assert [(trial["best"], trial["metrics"]) for trial in trials] == [(False, {}), (True, {"val/loss": 0.3})]


def read_events(api, job_id: str, **headers: str) -> list[tuple[str, str, Any]]:
    """(event, id, data) of a stream that has ended."""
    answer = api.http.get(f"{JOBS}/{job_id}/events", headers={**api.headers("reader"), **headers})
    assert answer.status_code == 200
    events = []
    for block in answer.text.strip().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if fields:
            events.append((fields["event"], fields["id"], json.loads(fields["data"])))
    return events


def test_a_stream_tells_the_whole_and_ends_with_the_job(api, over):
    job_id = submit(api)["id"]
    over.reach(job_id, "running")
    over.finish(job_id)
    over.reach(job_id, "succeeded")
    (log, metrics, job) = read_events(api, job_id)
    assert (log[0], log[2]["entries"][0]["text"]) == ("log", "epoch 1")
    assert (metrics[0], [each["name"] for each in metrics[2]["series"]]) == ("metrics", ["test/accuracy", "val/loss"])
    assert (job[0], job[2]["status"]) == ("job", "succeeded")
    again = read_events(api, job_id, **{"Last-Event-ID": job[1]})
    assert [event for event, _, _ in again] == ["metrics", "job"]


def test_a_follower_is_sent_what_is_new_and_only_that(api, over, make_follower):
    job_id = submit(api)["id"]
    over.reach(job_id, "running")
    follower = make_follower(api, job_id)

    def look() -> list[str]:
        follower.tail.look()
        return [event.event for event in follower.take()]

    assert look() == ["job"]
    assert look() == []
    over.prints(job_id, "one")
    assert look() == ["log"]
    assert look() == []
    api.clients.mlflow.log(over.job(job_id).run_id, {"val/loss": [0.9]})
    over.look()
    assert look() == ["metrics", "job"]
    api.clients.faults.down = {"jobs"}
    over.look()
    assert look() == ["job"]
    assert not follower.ended
