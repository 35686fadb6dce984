"""A request that makes something may be sent again: it is done once, and answered alike."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import func, select, text
from tests.accounts import token_of

from ratchet import idempotency
from ratchet.app import create_app
from ratchet.clients.fakes import fake_clients
from ratchet.idempotency import IdempotencyKey
from ratchet.identity.tables import Token
from ratchet.jobs.tables import Job
from ratchet.settings import Settings

JOBS = "/api/v1/projects/default/jobs"
TOKENS = "/api/v1/projects/default/tokens"
TRAIN: dict[str, Any] = {"kind": "train", "data": {"uri": "sklearn://iris"}}
MAKES_NOTHING = {
    "/api/v1/session",
    "/api/v1/projects/{project}/jobs:plan",
    "/api/v1/projects/{project}/documents:plan",
    "/api/v1/projects/{project}/bundles",
}
"""A bundle is known by its digest."""


@pytest.fixture
def any_api(database: str, tmp_path: Any) -> Iterator[Any]:
    """The API over either database."""
    settings = Settings(database_url=database, storage_uri=(tmp_path / "storage").as_uri(), log_format="text")
    app = create_app(settings, fake_clients())
    with TestClient(app, base_url="http://ratchet.test") as http:
        with app.state.sessions() as session:
            _, token = token_of(session, "admin")
            session.commit()
        yield SimpleNamespace(http=http, sessions=app.state.sessions, headers={"Authorization": f"Bearer {token}"})


def test_the_answer_is_given_again_byte_by_byte(any_api: Any) -> None:
    headers = {**any_api.headers, "Idempotency-Key": "k"}
    first = any_api.http.post(JOBS, json=TRAIN, headers=headers)
    any_api.http.post(f"{JOBS}/{first.json()['id']}:cancel", headers=any_api.headers)
    again = any_api.http.post(JOBS, json=TRAIN, headers=headers)
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert again.headers["Location"] == first.headers["Location"]
    assert (first.headers.get("Idempotent-Replayed"), again.headers["Idempotent-Replayed"]) == (None, "true")
    other = any_api.http.post(JOBS, json={**TRAIN, "seed": 1}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    elsewhere = any_api.http.post("/api/v1/projects", json={"name": "mine"}, headers=headers)
    assert elsewhere.status_code == 201


def test_many_at_once_make_one(any_api: Any) -> None:
    headers = {**any_api.headers, "Idempotency-Key": "k"}
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda _: any_api.http.post(JOBS, json=TRAIN, headers=headers), range(50)))
    assert {answer.status_code for answer in answers} <= {202, 409}
    assert len({answer.json()["id"] for answer in answers if answer.status_code == 202}) == 1
    assert {answer.json()["code"] for answer in answers if answer.status_code == 409} <= {"in_flight"}
    with any_api.sessions() as session:
        assert session.scalar(select(func.count()).select_from(Job)) == 1


def test_what_failed_is_done_anew(any_api: Any) -> None:
    headers = {**any_api.headers, "Idempotency-Key": "k"}
    assert any_api.http.post(JOBS, json={**TRAIN, "recipe": "nothing"}, headers=headers).status_code == 422
    assert any_api.http.post(JOBS, json=TRAIN, headers=headers).status_code == 202


def test_a_key_belongs_to_an_account_whatever_its_token(api: Any) -> None:
    def submit(token: str) -> Any:
        return api.http.post(JOBS, json=TRAIN, headers={"Authorization": f"Bearer {token}", "Idempotency-Key": "k"})

    with api.sessions() as session:
        _, second = token_of(session, "writer", role=None)
        session.commit()
    mine, again, other = submit(api.tokens["writer"]), submit(second), submit(api.tokens["editor"])
    assert mine.json()["id"] == again.json()["id"] != other.json()["id"]


def test_a_secret_is_shown_once_and_kept_nowhere(any_api: Any) -> None:
    headers = {**any_api.headers, "Idempotency-Key": "k"}
    body = {"name": "mine", "scope": "read"}
    first = any_api.http.post(TOKENS, json=body, headers=headers)
    assert (first.status_code, first.headers["Cache-Control"]) == (201, "no-store")
    again = any_api.http.post(TOKENS, json=body, headers=headers)
    assert (again.status_code, again.json()["code"]) == (409, "shown_once")
    assert first.json()["id"] in again.json()["hint"]
    with any_api.sessions() as session:
        assert session.scalar(select(func.count()).where(Token.name == "mine")) == 1
        kept = session.execute(text("SELECT * FROM idempotency_keys")).all()
    assert first.json()["token"] not in str(kept)


def test_keys_are_forgotten_after_two_days(any_api: Any) -> None:
    old = datetime.now(UTC) - idempotency.KEPT_FOR - timedelta(minutes=1)
    with any_api.sessions() as session:
        for key, made in (("old", old), ("new", old + timedelta(minutes=2))):
            session.add(IdempotencyKey(scope="s", key=key, body_hash="h", created_at=made))
        session.commit()
        assert idempotency.purge(session) == 1
        assert session.scalars(select(IdempotencyKey.key)).all() == ["new"]


def test_every_post_that_makes_or_changes_something_takes_a_key(api: Any) -> None:
    without = set()
    for path, operations in api.http.app.openapi()["paths"].items():
        names = {parameter["name"].lower() for parameter in operations.get("post", {}).get("parameters", [])}
        if "post" in operations and path.startswith("/api/v1/") and "idempotency-key" not in names:
            without.add(path)
    assert without <= MAKES_NOTHING
