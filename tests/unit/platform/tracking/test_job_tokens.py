"""The token of a job's attempt: it writes its own run, reads its project, and dies with the attempt."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from ratchet.db import now
from ratchet.identity import jobtokens
from ratchet.identity.jobtokens import JobClaim
from ratchet.jobs.tables import Attempt, Job

API = "/mlflow/api/2.0/mlflow"
FILES = "/mlflow/api/2.0/mlflow-artifacts/artifacts"
PARENT = {"key": "mlflow.parentRunId", "value": "mine"}


@pytest.fixture
def job(api: Any) -> dict[str, str]:
    """The header of an attempt that is under way."""
    spec = {"kind": "train", "data": {"uri": "sklearn://iris"}}
    job_id = api.http.post("/api/v1/projects/default/jobs", json=spec, headers=api.headers("editor")).json()["id"]
    with api.sessions() as session:
        session.get_one(Job, job_id).attempt = 1
        session.add(Attempt(job_id=job_id, number=1, submission_id=f"{job_id}-1"))
        session.commit()
    token = jobtokens.sign(api.settings.secret_key, JobClaim(job_id, 1, "1", "mine"))
    return {"Authorization": f"Bearer {token}"}


CALLS: list[tuple[str, str, Any, int]] = [
    ("GET", f"{API}/runs/get?run_id=mine", None, 200),
    ("GET", f"{API}/runs/get?run_id=neighbour", None, 200),
    ("GET", f"{API}/runs/get?run_id=theirs", None, 404),
    ("GET", f"{API}/registered-models/get?name=default.cancer", None, 200),
    ("GET", f"{API}/registered-models/get?name=other.cancer", None, 404),
    ("GET", f"{FILES}/1/neighbour/artifacts/model", None, 200),
    ("POST", f"{API}/runs/log-batch", {"run_id": "mine"}, 200),
    ("POST", f"{API}/runs/log-batch", {"run_id": "child"}, 200),
    ("POST", f"{API}/runs/log-batch", {"run_id": "neighbour"}, 403),
    ("POST", f"{API}/runs/log-batch", {"run_id": "theirs"}, 404),
    ("POST", f"{API}/runs/log-batch", {"run_id": "mine", "metrics": [{"model_id": "m-neighbour"}]}, 403),
    ("POST", f"{API}/runs/log-batch", {"run_id": "mine", "metrics": [{"model_id": "m-mine"}]}, 200),
    ("POST", f"{API}/runs/create", {"experiment_id": "1", "tags": [PARENT]}, 200),
    ("POST", f"{API}/runs/create", {"experiment_id": "1"}, 403),
    ("POST", f"{API}/runs/create", {"experiment_id": "1", "tags": [{**PARENT, "value": "neighbour"}]}, 403),
    ("POST", f"{API}/runs/create", {"experiment_id": "3", "tags": [PARENT]}, 403),
    ("POST", f"{API}/logged-models", {"experiment_id": "1", "source_run_id": "mine"}, 200),
    ("POST", f"{API}/logged-models", {"experiment_id": "1"}, 403),
    ("POST", f"{API}/logged-models", {"experiment_id": "1", "source_run_id": "neighbour"}, 403),
    ("PATCH", f"{API}/logged-models/m-mine", {}, 200),
    ("PATCH", f"{API}/logged-models/m-neighbour", {}, 403),
    ("PUT", f"{FILES}/1/mine/artifacts/a", None, 200),
    ("PUT", f"{FILES}/1/child/artifacts/a", None, 200),
    ("PUT", f"{FILES}/1/models/m-mine/artifacts/a", None, 200),
    ("PUT", f"{FILES}/1/neighbour/artifacts/a", None, 403),
    ("PUT", f"{FILES}/1/models/m-neighbour/artifacts/a", None, 403),
    ("POST", f"{API}/experiments/create", {"name": "default/x"}, 403),
    ("POST", f"{API}/registered-models/create", {"name": "default.x"}, 403),
    ("POST", f"{API}/registered-models/alias", {"name": "default.cancer", "alias": "champion"}, 403),
    ("POST", f"{API}/experiments/delete", {"experiment_id": "1"}, 403),
    ("GET", "/mlflow/api/2.0/mlflow/webhooks", None, 403),
    ("GET", "/api/v1/me", None, 403),
    ("GET", "/api/v1/projects/default/jobs", None, 403),
    ("POST", "/api/v1/projects/default/tokens", {"name": "more", "scope": "read"}, 403),
]


def test_what_a_job_may_do(api: Any, mlflow: Any, job: dict[str, str]) -> None:
    for method, path, body, status in CALLS:
        mlflow.seen.clear()
        content = {"content": b"x"} if method == "PUT" else {"json": body} if body is not None else {}
        answer = api.http.request(method, path, headers=job, **content)
        assert answer.status_code == status, (method, path, body, answer.text)
        assert bool(mlflow.seen) == (status == 200), (method, path, body)


def test_it_dies_with_the_attempt(api: Any, mlflow: Any, job: dict[str, str]) -> None:
    url = f"{API}/runs/get?run_id=mine"
    assert api.http.get(url, headers=job).status_code == 200
    with api.sessions() as session:
        for attempt in session.query(Attempt):
            attempt.ended_at = now(session)
        session.commit()
    api.http.app.state.principals.forget()  # two seconds later
    assert api.http.get(url, headers=job).status_code == 401


def test_what_goes_on_after_its_attempt_locks_nobody_out(api: Any, mlflow: Any, job: dict[str, str]) -> None:
    with api.sessions() as session:
        session.scalars(select(Attempt)).one().ended_at = now(session)
        session.commit()
    answers = [api.http.get(f"{API}/runs/get?run_id=mine", headers=job) for _ in range(30)]
    assert {(answer.status_code, answer.json()["code"]) for answer in answers} == {(401, "attempt_ended")}
    assert api.http.get("/api/v1/me", headers=api.headers("viewer")).status_code == 200


def test_nobody_writes_a_token_of_their_own(api: Any, mlflow: Any, job: dict[str, str]) -> None:
    for change in [("mine", "neighbour"), ("rj_job", "rj_jab"), (".1.1.", ".2.1."), ("rj_", "rj_x.")]:
        forged = {"Authorization": job["Authorization"].replace(*change)}
        assert forged != job
        assert api.http.get(f"{API}/runs/get?run_id=mine", headers=forged).status_code == 401


def test_replicas_read_every_model_and_change_none(api: Any, mlflow: Any, tmp_path: Any) -> None:
    file = tmp_path / "serving.token"
    file.write_text("s" * 40)
    principals = api.http.app.state.principals
    principals._settings = api.settings.model_copy(update={"serving_token_file": file})
    replica = {"Authorization": f"Bearer {'s' * 40}"}
    for path in ("model-versions/get?name=default.cancer&version=1", "logged-models/m-theirs"):
        assert api.http.get(f"{API}/{path}", headers=replica).status_code == 200
    body = {"name": "default.cancer", "alias": "champion", "version": "1"}
    assert api.http.post(f"{API}/registered-models/alias", json=body, headers=replica).status_code == 403
    assert api.http.get("/api/v1/projects/default/jobs", headers=replica).status_code == 403
    file.write_text("t" * 40)  # rotated
    principals.forget()
    assert api.http.get(f"{API}/logged-models/m-theirs", headers=replica).status_code == 401
