"""A browser's session: begun with a token, ended in the database; and what comes from other pages or by other names."""

from __future__ import annotations

import time
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import update
from tests.accounts import token_of

from ratchet.app import create_app
from ratchet.clients.fakes import fake_clients
from ratchet.db import db_now
from ratchet.identity import principals
from ratchet.identity.principals import REMEMBER_S, token_hash
from ratchet.identity.tables import Token

TOKENS = "/api/v1/projects/default/tokens"
BODY = {"name": "mine", "scope": "read"}
ORIGIN = {"Origin": "http://ratchet.test"}


def begin(api: Any, who: str = "writer") -> str:
    answer = api.http.post("/api/v1/session", json={"token": api.tokens[who]})
    assert answer.status_code == 204
    return str(api.http.cookies["ratchet_session"])


def test_the_cookie_holds_no_token_and_ends_in_the_database(api: Any) -> None:
    secret = begin(api)
    assert secret.startswith("rs_")
    assert secret != api.tokens["writer"]
    assert api.http.get("/api/v1/me").json()["actor"] == "writer"
    assert api.http.delete("/api/v1/session").status_code == 403  # another page must not sign anybody out
    assert api.http.delete("/api/v1/session", headers=ORIGIN).status_code == 204
    api.http.cookies.set("ratchet_session", secret)  # a copy somebody kept
    assert api.http.get("/api/v1/me").status_code == 401


def test_it_may_do_what_its_token_may_and_ends_with_it(api: Any) -> None:
    begin(api, "reader")
    assert api.http.post(TOKENS, json=BODY, headers=ORIGIN).status_code == 403
    api.http.cookies.clear()
    made = api.http.post(TOKENS, json={**BODY, "scope": "write"}, headers=api.headers("writer")).json()
    api.tokens["made"] = made["token"]
    begin(api, "made")
    assert api.http.get("/api/v1/projects/default/jobs").status_code == 200
    assert api.http.delete(f"{TOKENS}/{made['id']}", headers=api.headers("writer")).status_code == 204
    assert api.http.get("/api/v1/projects/default/jobs").status_code == 401


def test_a_token_in_the_cookie_opens_nothing(api: Any) -> None:
    api.http.cookies.set("ratchet_session", api.tokens["writer"])
    assert api.http.get("/api/v1/me").status_code == 401


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 403),
        ({"Origin": "http://evil.test"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://ratchet.test.evil.test"}, 403),
        ({"Origin": "http://ratchet.test", "Sec-Fetch-Site": "cross-site"}, 403),
        ({"Origin": "http://ratchet.test", "Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "http://ratchet.test", "Sec-Fetch-Site": "same-origin"}, 201),
        ({"Origin": "http://ratchet.test"}, 201),
    ],
)
def test_a_change_comes_from_our_own_page(api: Any, headers: dict[str, str], status: int) -> None:
    begin(api)
    assert api.http.post(TOKENS, json=BODY, headers=headers).status_code == status


def test_with_tls_the_cookie_is_for_this_host_and_https_alone(api: Any) -> None:
    settings = api.settings.model_copy(update={"secure_cookies": True})
    with TestClient(create_app(settings, fake_clients()), base_url="https://ratchet.test") as http:
        answer = http.post("/api/v1/session", json={"token": api.tokens["writer"]})
        cookie = answer.headers["set-cookie"]
        assert cookie.startswith("__Host-ratchet_session=")
        assert {"Secure", "HttpOnly", "Path=/", "SameSite=lax"} <= set(cookie.split("; "))
        assert "Domain" not in cookie
        assert http.get("/api/v1/me").status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.test", "ratchet.test.evil.test", "", "ratchet.test, evil.test", "10.0.0.7:8470"]
)
def test_a_name_that_is_not_ours_is_refused(api: Any, host: str) -> None:
    """Else a page whose name was made to point here would be of our origin (DNS rebinding)."""
    answer = api.http.get("/api/v1/me", headers={**api.headers(), "Host": host})
    assert (answer.status_code, answer.json()["code"]) == (403, "bad_host")
    assert api.http.get("/healthz", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("host", ["ratchet.test", "RATCHET.test:443", "localhost:8470", "127.0.0.1", "[::1]:8470"])
def test_our_names_are_known(api: Any, host: str) -> None:
    assert api.http.get("/api/v1/me", headers={**api.headers(), "Host": host}).status_code == 200


def test_nobody_frames_the_pages(api: Any) -> None:
    answer = api.http.get("/api/v1/me", headers=api.headers())
    assert answer.headers["X-Frame-Options"] == "SAMEORIGIN"


def test_wrong_tokens_from_one_address_are_stopped_and_nobody_else_is(api: Any) -> None:
    app = api.http.app
    statuses = []
    for number in range(60):
        answer = api.http.get("/api/v1/me", headers={"Authorization": f"Bearer rt_{number:040}"})
        statuses.append(answer.status_code)
    assert statuses == [401] * 20 + [429] * 40
    assert 1 <= int(answer.headers["Retry-After"]) <= 60
    assert answer.json()["code"] == "too_many_requests"
    elsewhere = TestClient(app, base_url="http://ratchet.test", client=("10.0.0.2", 1))
    assert elsewhere.get("/api/v1/me", headers=api.headers("reader")).status_code == 200
    # Known from a moment ago, one is served from that very address too.
    assert api.http.get("/api/v1/me", headers=api.headers("reader")).status_code == 200
    assert api.http.post("/api/v1/session", json={"token": "rt_wrong"}).status_code == 429


def test_who_was_found_before_is_not_locked_out_by_an_old_token_from_the_same_address(
    api: Any, monkeypatch: Any
) -> None:
    assert api.http.get("/api/v1/me", headers=api.headers("reader")).status_code == 200
    for number in range(21):
        answer = api.http.get("/api/v1/me", headers={"Authorization": f"Bearer rt_{number:040}"})
    assert answer.status_code == 429
    later = time.monotonic() + REMEMBER_S + 1
    monkeypatch.setattr(principals.time, "monotonic", lambda: later)
    assert api.http.get("/api/v1/me", headers=api.headers("reader")).status_code == 200
    assert api.http.get("/api/v1/me", headers=api.headers("writer")).status_code == 429  # never seen: it may be a guess
    with api.sessions() as session:
        session.execute(update(Token).where(Token.hash == token_hash(api.tokens["reader"])).values(revoked_at=db_now()))
        session.commit()
    later += REMEMBER_S + 1
    statuses = [api.http.get("/api/v1/me", headers=api.headers("reader")).status_code for _ in range(2)]
    assert statuses == [401, 429]


def test_guesses_from_many_addresses_lock_out_nobody_who_made_none(api: Any) -> None:
    app = api.http.app

    def ask(address: str, token: str) -> int:
        browser = TestClient(app, base_url="http://ratchet.test", client=(address, 1))
        return browser.get("/api/v1/me", headers={"Authorization": f"Bearer {token}"}).status_code

    for number in range(200):
        assert ask(f"10.1.0.{number}", f"rt_{number:040}") == 401
    assert ask("10.1.0.7", "rt_once-more") == 429  # everybody's guesses together are used up, and it has made one
    assert ask("10.2.0.1", api.tokens["reader"]) == 200


def test_one_account_asks_so_often_and_no_more(api: Any) -> None:
    settings = api.settings.model_copy(update={"requests_per_minute": 3})
    with TestClient(create_app(settings, fake_clients()), base_url="http://ratchet.test") as http:
        answers = [http.get("/api/v1/me", headers=api.headers("reader")) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        assert [answer.headers["X-RateLimit-Remaining"] for answer in answers] == ["2", "1", "0", "0"]
        assert answers[0].headers["X-RateLimit-Limit"] == "3"
        assert 1 <= int(answers[3].headers["Retry-After"]) <= 60
        assert http.get("/api/v1/me", headers=api.headers("writer")).status_code == 200


def test_another_token_of_the_same_account_counts_with_it(api: Any) -> None:
    settings = api.settings.model_copy(update={"requests_per_minute": 1})
    with api.sessions() as session:
        _, second = token_of(session, "reader")
        session.commit()
    with TestClient(create_app(settings, fake_clients()), base_url="http://ratchet.test") as http:
        assert http.get("/api/v1/me", headers=api.headers("reader")).status_code == 200
        assert http.get("/api/v1/me", headers={"Authorization": f"Bearer {second}"}).status_code == 429
