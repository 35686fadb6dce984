from __future__ import annotations

from typing import Any

import pytest

BASE = "/api/v1/projects/default"
DATA = {"uri": "sklearn://breast_cancer"}
NEW: dict[str, Any] = {
    "name": "retrain",
    "train": {"kind": "train", "data": DATA, "model": "cancer"},
    "gate": {"metric": "accuracy", "data": DATA},
    "endpoint": "cancer",
}


@pytest.fixture
def api_with_endpoint(api: Any) -> Any:
    variants = [{"name": "a", "model": "cancer", "version": 1}]
    answer = api.http.post(f"{BASE}/endpoints", json={"name": "cancer", "variants": variants}, headers=api.headers())
    assert answer.status_code == 202, answer.text
    return api


def post(api: Any, path: str, body: dict[str, Any] | None = None) -> Any:
    return api.http.post(f"{BASE}{path}", json=body, headers=api.headers("writer"))


def get(api: Any, path: str, **params: str) -> Any:
    return api.http.get(f"{BASE}{path}", params=params, headers=api.headers("reader"))


def test_a_pipeline_is_made_run_and_cancelled(api_with_endpoint: Any) -> None:
    api = api_with_endpoint
    made = post(api, "/pipelines", NEW)
    assert made.status_code == 201, made.text
    assert (made.json()["last_run"], made.json()["next_run_at"]) == (None, None)
    assert post(api, "/pipelines", NEW).status_code == 409
    run = post(api, "/pipelines/retrain:run")
    assert run.status_code == 202
    assert run.headers["Location"] == f"{BASE}/pipeline-runs/{run.json()['id']}"
    assert run.json()["trigger"] == {"kind": "manual", "ref": "writer"}
    steps = [(step["name"], step["status"]) for step in run.json()["steps"]]
    assert steps == [(name, "pending") for name in ("train", "gate", "register", "deploy", "abtest", "promote")]
    again = post(api, "/pipelines/retrain:run")
    assert (again.status_code, again.json()["hint"]) == (409, "Wait for it, or cancel it.")
    assert get(api, f"/pipeline-runs/{run.json()['id']}").json() == run.json()
    assert get(api, "/pipeline-runs", pipeline="retrain", status="running").json()["items"] == [run.json()]
    assert get(api, "/pipelines/retrain").json()["last_run"] == run.json()
    cancelled = post(api, f"/pipeline-runs/{run.json()['id']}:cancel").json()
    assert (cancelled["status"], {step["status"] for step in cancelled["steps"]}) == ("cancelled", {"skipped"})
    assert post(api, f"/pipeline-runs/{run.json()['id']}:cancel").status_code == 409
    assert post(api, "/pipelines/retrain:run").status_code == 202


@pytest.mark.parametrize(
    ("change", "status", "pointer", "says"),
    [
        ({"endpoint": "cancre"}, 404, None, "no endpoint 'cancre'"),
        ({"schedule": "daily"}, 422, "/schedule", "not a cron expression"),
        ({"train": {"kind": "train", "data": DATA}}, 422, "/train", "set train.model"),
        ({"train": {**NEW["train"], "recipe": "tabluar"}}, 422, "/recipe", "tabular"),
        ({"train": {"kind": "evaluate"}}, 422, "/train", "train"),
        ({"gate": {"metric": "acuracy", "data": DATA}}, 422, "/gate/metric", "accuracy"),
        ({"challenger_weight": 1}, 422, "/challenger_weight", "less than 1"),
        ({"abtest": {"alpha": 1}}, 422, "/abtest/alpha", "less than 0.5"),
    ],
)
def test_a_bad_request_says_what_is_wrong(
    api_with_endpoint: Any, change: dict[str, Any], status: int, pointer: str | None, says: str
) -> None:
    answer = post(api_with_endpoint, "/pipelines", {**NEW, **change})
    assert answer.status_code == status, answer.text
    problem = answer.json()
    assert says in problem["detail"] + "".join(error["message"] for error in problem["errors"])
    assert [error["pointer"] for error in problem["errors"]] == ([] if pointer is None else [pointer])
    assert get(api_with_endpoint, "/pipelines").json()["items"] == []


def test_what_is_unknown_is_404(api: Any) -> None:
    for path in ("/pipelines/x", "/pipeline-runs/run-x"):
        assert get(api, path).status_code == 404
    for path in ("/pipelines/x:run", "/pipeline-runs/run-x:cancel"):
        assert post(api, path).status_code == 404
    assert get(api, "/pipeline-runs", pipeline="x").status_code == 404
