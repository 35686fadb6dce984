"""What every route has in common: who may ask, what is refused, and how errors look."""

from __future__ import annotations

from typing import Any

import pytest

from ratchet.identity.tables import Token

PROBLEM_FIELDS = {"type", "title", "status", "detail", "instance", "code", "errors", "hint", "request_id"}
TRAIN: dict[str, Any] = {"kind": "train", "data": {"uri": "sklearn://breast_cancer"}}
JOBS = "/api/v1/projects/default/jobs"


def test_a_revoked_token_is_dead(api: Any) -> None:
    made = api.http.post(
        "/api/v1/projects/default/tokens", json={"name": "mine", "scope": "read"}, headers=api.headers("writer")
    ).json()
    mine = {"Authorization": f"Bearer {made['token']}"}
    assert api.http.get("/api/v1/me", headers=mine).status_code == 200
    gone = api.http.delete(f"/api/v1/projects/default/tokens/{made['id']}", headers=api.headers("writer"))
    assert gone.status_code == 204
    assert api.http.get("/api/v1/me", headers=mine).status_code == 401


def test_tokens_are_kept_as_hashes(api: Any) -> None:
    with api.sessions() as session:
        rows = session.query(Token).all()
    assert not {api.tokens["admin"], api.tokens["reader"]} & {
        str(value) for row in rows for value in vars(row).values()
    }


def test_a_writer_makes_no_administrator(api: Any) -> None:
    body = {"name": "more", "scope": "admin"}
    answer = api.http.post("/api/v1/projects/default/tokens", json=body, headers=api.headers("writer"))
    assert answer.status_code == 403


def test_the_cookie_changes_things_from_our_own_pages_alone(api: Any) -> None:
    assert api.http.post("/api/v1/session", json={"token": api.tokens["writer"]}).status_code == 204
    body = {"name": "mine", "scope": "read"}
    url = "/api/v1/projects/default/tokens"
    assert api.http.get("/api/v1/me").status_code == 200
    assert api.http.post(url, json=body).status_code == 403
    assert api.http.post(url, json=body, headers={"Origin": "http://evil.test"}).json()["code"] == "cross_origin"
    assert api.http.post(url, json=body, headers={"Origin": "http://ratchet.test"}).status_code == 201


@pytest.mark.parametrize(
    ("change", "pointer", "says"),
    [
        ({"recipe": "tabluar"}, "/recipe", "tabular"),
        ({"params": {"epoch": 3}}, "/params/epoch", "epochs"),
        ({"params": {"epochs": "many"}}, "/params/epochs", "integer"),
        ({"resources": {"workers": 0}}, "/resources/workers", "greater than or equal to 1"),
        ({"name": "../etc"}, "/name", "lower-case letters"),
        ({"name": "x" * 3_000}, "/name", ""),
        ({"model": "a/b"}, "/model", "lower-case letters"),
        ({"dta": {}}, "/dta", "no such field"),
        ({"data": {}}, "/data/uri", "required"),
        ({"kind": "trian"}, "", ""),
    ],
)
def test_a_bad_spec_says_which_field_and_why(api: Any, change: dict[str, Any], pointer: str, says: str) -> None:
    answer = api.http.post(JOBS, json={**TRAIN, **change}, headers=api.headers())
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem.keys() == PROBLEM_FIELDS
    assert [error["pointer"] for error in problem["errors"]] == [pointer]
    assert says in problem["errors"][0]["message"] + problem["detail"]
    assert len(answer.content) < 2_000
    assert api.http.get(JOBS, headers=api.headers()).json()["items"] == []


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_over_the_limit_is_refused(api: Any, chunked: bool) -> None:
    body = b" " * (api.settings.max_body_bytes + 1)
    content = iter([body[: len(body) // 2], body[len(body) // 2 :]]) if chunked else body
    answer = api.http.post(JOBS, content=content, headers=api.headers())
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


def test_what_is_not_json_is_said_to_be_so(api: Any) -> None:
    answer = api.http.post(JOBS, content=b"{oops", headers={**api.headers(), "Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (422, "not_json")


def test_the_same_key_starts_one_job(api: Any) -> None:
    headers = {**api.headers(), "Idempotency-Key": "k1"}
    first = api.http.post(JOBS, json=TRAIN, headers=headers)
    again = api.http.post(JOBS, json=TRAIN, headers=headers)
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json()["id"] == again.json()["id"]
    assert again.headers["Idempotent-Replayed"] == "true"
    other = api.http.post(JOBS, json={**TRAIN, "seed": 1}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert len(api.http.get(JOBS, headers=api.headers()).json()["items"]) == 1


def test_lists_come_by_pages(api: Any) -> None:
    ids = [api.http.post(JOBS, json=TRAIN, headers=api.headers()).json()["id"] for _ in range(5)]
    seen: list[str] = []
    token = ""
    while True:
        page = api.http.get(JOBS, params={"page_size": 2, "page_token": token}, headers=api.headers()).json()
        seen += [job["id"] for job in page["items"]]
        token = page["next_page_token"]
        if not token:
            break
    assert seen == sorted(ids, reverse=True)
    assert api.http.get(JOBS, params={"page_token": "%%%"}, headers=api.headers()).status_code == 422


def test_an_unknown_address_is_a_problem_too(api: Any) -> None:
    answer = api.http.get("/api/v1/projcts", headers=api.headers())
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_every_answer_carries_its_request_id(api: Any) -> None:
    assert api.http.get("/healthz", headers={"X-Request-Id": "abc-1"}).headers["X-Request-Id"] == "abc-1"
    assert api.http.get("/healthz", headers={"X-Request-Id": "a b\x7f"}).headers["X-Request-Id"] != "a b\x7f"


def test_metrics_name_routes_and_no_ids(api: Any) -> None:
    api.http.get(f"{JOBS}/job-doesnotexist", headers=api.headers())
    text = api.http.get("/metrics").text
    assert 'route="/api/v1/projects/{project}/jobs/{job}"' in text or "jobs/{job_id}" in text
    assert "job-doesnotexist" not in text
