from __future__ import annotations

import json
from typing import Any

import pytest

ENDPOINTS = "/api/v1/projects/default/endpoints"
TESTS = "/api/v1/projects/default/abtests"
NEW = {"name": "first", "endpoint": "cancer", "control": "old", "treatment": "new"}


@pytest.fixture
def api_with_endpoint(api: Any) -> Any:
    variants = [
        {"name": name, "model": "cancer", "version": version, "weight": weight}
        for version, (name, weight) in enumerate([("old", 0.5), ("new", 0.5), ("idle", 0)], start=1)
    ]
    answer = api.http.post(ENDPOINTS, json={"name": "cancer", "variants": variants}, headers=api.headers())
    assert answer.status_code == 202, answer.text
    return api


def post(api: Any, url: str = TESTS, who: str = "admin", **changes: Any) -> Any:
    return api.http.post(url, json={**NEW, **changes}, headers=api.headers(who))


def test_a_test_is_made_shown_listed_and_stopped(api_with_endpoint: Any) -> None:
    api = api_with_endpoint
    made = post(api)
    assert made.status_code == 201, made.text
    assert made.json()["status"] == "running"
    assert made.json()["estimate"] is None
    assert api.http.get(f"{TESTS}/first", headers=api.headers("reader")).json() == made.json()
    assert api.http.get(f"{TESTS}/{made.json()['id']}", headers=api.headers()).json() == made.json()
    listed = api.http.get(TESTS, params={"endpoint": "cancer", "status": "running"}, headers=api.headers()).json()
    assert [each["name"] for each in listed["items"]] == ["first"]
    stopped = api.http.post(f"{TESTS}/first:stop", headers=api.headers("writer"))
    assert stopped.json()["status"] == "stopped"
    assert stopped.json()["message"] == "Stopped by writer; the traffic stays as it is."
    again = api.http.post(f"{TESTS}/first:stop", headers=api.headers())
    assert (again.status_code, again.json()["detail"]) == (409, "The A/B test 'first' is stopped already.")
    assert post(api, name="second").status_code == 201


@pytest.mark.parametrize(
    ("change", "status", "pointer", "says"),
    [
        ({"treatment": "nwe"}, 422, "/treatment", "has no variant 'nwe'"),
        ({"control": "nwe"}, 422, "/control", "has no variant 'nwe'"),
        ({"treatment": "idle"}, 422, "/treatment", "no traffic"),
        ({"treatment": "old"}, 422, "", "same variant"),
        ({"endpoint": "cnacer"}, 404, None, "no endpoint 'cnacer'"),
        ({"alpha": 0.6}, 422, "/alpha", "less than 0.5"),
        ({"max_units": 150}, 422, "", "at least twice min_units"),
        ({"metric": {"kind": "f1"}}, 422, "/metric/kind", "accuracy"),
        ({"name": "First"}, 422, "/name", "lower-case letters"),
    ],
)
def test_a_bad_request_says_what_is_wrong(
    api_with_endpoint: Any, change: dict[str, Any], status: int, pointer: str | None, says: str
) -> None:
    api = api_with_endpoint
    before = api.http.get(f"{ENDPOINTS}/cancer", headers=api.headers()).json()["generation"]
    answer = post(api, **change)
    assert answer.status_code == status, answer.text
    problem = answer.json()
    assert says in problem["detail"] + "".join(error["message"] for error in problem["errors"])
    assert [error["pointer"] for error in problem["errors"]] == ([] if pointer is None else [pointer])
    assert api.http.get(TESTS, headers=api.headers()).json()["items"] == []
    assert api.http.get(f"{ENDPOINTS}/cancer", headers=api.headers()).json()["generation"] == before


@pytest.mark.parametrize("value", ["1e999", "-1e999"])
def test_an_effect_is_a_number(api_with_endpoint: Any, value: str) -> None:
    api = api_with_endpoint
    body = json.dumps({**NEW, "min_effect": 1}).replace("1}", value + "}")
    headers = {**api.headers(), "Content-Type": "application/json"}
    answer = api.http.post(TESTS, content=body, headers=headers)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/min_effect")


def test_one_test_at_a_time_on_an_endpoint(api_with_endpoint: Any) -> None:
    api = api_with_endpoint
    assert post(api).status_code == 201
    other = post(api, name="second")
    assert other.status_code == 409
    assert "'first' runs on endpoint 'cancer'" in other.json()["detail"]
    assert post(api).json()["detail"] == "There is an A/B test 'first' already."


def test_the_same_key_starts_one_test(api_with_endpoint: Any) -> None:
    api = api_with_endpoint
    headers = {**api.headers(), "Idempotency-Key": "k"}
    made = [api.http.post(TESTS, json=NEW, headers=headers) for _ in range(2)]
    assert [each.status_code for each in made] == [201, 201]
    assert made[0].json()["id"] == made[1].json()["id"]


def test_an_unknown_test_is_404(api: Any) -> None:
    for method, path in (("GET", "nothing"), ("POST", "nothing:stop")):
        answer = api.http.request(method, f"{TESTS}/{path}", headers=api.headers())
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
