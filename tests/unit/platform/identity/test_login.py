"""Signing in at a real OpenID provider that the test starts; and what a false one is not believed."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import oidc_provider_mock
import pytest
from fastapi.testclient import TestClient
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey
from oidc_provider_mock import User
from sqlalchemy import select

from ratchet.app import create_app
from ratchet.clients.fakes import fake_clients
from ratchet.db import now
from ratchet.errors import Unauthorized, Unavailable
from ratchet.events import Event
from ratchet.identity.oidc import Pending, Provider, local_page
from ratchet.identity.roles import Role
from ratchet.identity.tables import Account, AccountKind, Membership
from ratchet.projects.tables import Project
from ratchet.settings import Settings

CALLBACK = "/api/v1/auth/callback"
ORIGIN = {"Origin": "http://ratchet.test"}


def person(sub: str, **claims: Any) -> User:
    return User(sub=sub, claims={"email": f"{sub}@example.org", "email_verified": True, **claims})


@dataclass
class World:
    issuer: str
    app: Any
    sent: list[dict[str, list[str]]]
    """The forms that were sent to the provider."""

    def browser(self) -> TestClient:
        return TestClient(self.app, base_url="http://ratchet.test", follow_redirects=False)

    def sign_in(self, browser: TestClient, sub: str, next_page: str = "/jobs") -> Any:
        """As a person does: from the login page to the provider, its form, and back."""
        began = browser.get("/api/v1/auth/login", params={"next": next_page})
        assert began.status_code == 302, began.text
        allowed = httpx2.post(began.headers["Location"], data={"sub": sub})
        back = urlsplit(allowed.headers["Location"])
        assert back.path == CALLBACK
        return browser.get(f"{back.path}?{back.query}")

    def memberships(self, name: str) -> dict[str, str]:
        with self.app.state.sessions() as session:
            account = session.scalar(select(Account.id).where(Account.name == name))
            rows = session.scalars(select(Membership).where(Membership.account_id == account))
            return {row.project: row.role for row in rows}

    def events(self, actor: str) -> list[str]:
        with self.app.state.sessions() as session:
            return list(session.scalars(select(Event.action).where(Event.actor == actor).order_by(Event.id)))


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    with oidc_provider_mock.run_server_in_thread(require_nonce=True) as server:
        url = f"http://localhost:{server.server_port}"
        for sub, groups in {"ann": ["ml", "search"], "bob": [], "eve": ["nobody-knows"], "ops": ["ops"]}.items():
            tell(url, person(sub, groups=groups))
        yield url


def tell(issuer: str, user: User) -> None:
    httpx2.put(f"{issuer}/users/{user.sub}", json=user.claims).raise_for_status()


@pytest.fixture
def world(issuer: str, sqlite_database: str, tmp_path: Path) -> Iterator[World]:
    (tmp_path / "client.secret").write_text("a client's secret")
    settings = Settings(
        database_url=sqlite_database,
        storage_uri=(tmp_path / "storage").as_uri(),
        public_url="http://ratchet.test",
        log_format="text",
        oidc_issuer=issuer,
        oidc_client_id="ratchet",
        oidc_client_secret_file=tmp_path / "client.secret",
        oidc_roles={
            "ml": ["default:editor", "search:viewer"],
            "search": ["search:admin", "gone:viewer"],
            "ops": ["platform_admin"],
        },
    )
    app = create_app(settings, fake_clients())
    sent: list[dict[str, list[str]]] = []

    def note(request: httpx2.Request) -> None:
        if request.method == "POST":
            sent.append(parse_qs(request.content.decode()))

    app.state.oidc._client.event_hooks = {"request": [note]}
    with TestClient(app, base_url="http://ratchet.test"), app.state.sessions() as session:
        session.add(Project(name="search"))
        session.commit()
        yield World(issuer, app, sent)


def test_the_login_page_is_told_of_the_provider(world: World) -> None:
    found = world.browser().get("/api/v1/auth/config").json()
    assert found == {"oidc": {"name": "single sign-on", "login_url": "http://ratchet.test/api/v1/auth/login"}}


def test_a_person_signs_in_with_what_their_groups_give(world: World) -> None:
    browser = world.browser()
    answer = world.sign_in(browser, "ann")
    assert (answer.status_code, answer.headers["Location"]) == (302, "/jobs")
    cookie = next(value for value in answer.headers.get_list("set-cookie") if "ratchet_session" in value)
    assert {"HttpOnly", "SameSite=lax", "Path=/"} <= set(cookie.split("; "))
    me = browser.get("/api/v1/me").json()
    assert me["actor"] == "ann@example.org"
    assert me["roles"] == {"default": "editor", "search": "admin"}
    assert not me["platform_admin"]
    assert {"user.created", "member.added", "session.created"} == set(world.events("ann@example.org"))
    made = browser.post("/api/v1/projects/default/tokens", json={"name": "mine", "scope": "read"}, headers=ORIGIN)
    assert made.status_code == 201
    assert browser.post("/api/v1/projects/default/tokens", json={"name": "mine", "scope": "read"}).status_code == 403


def test_pkce_binds_the_code_to_this_browser(world: World) -> None:
    browser = world.browser()
    began = browser.get("/api/v1/auth/login")
    asked = parse_qs(urlsplit(began.headers["Location"]).query)
    assert asked["code_challenge_method"] == ["S256"]
    back = urlsplit(httpx2.post(began.headers["Location"], data={"sub": "bob"}).headers["Location"])
    assert browser.get(f"{CALLBACK}?{back.query}").status_code == 302
    (verifier,) = world.sent[-1]["code_verifier"]
    digest = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
    assert asked["code_challenge"] == [digest]


def test_who_is_in_no_known_group_sees_nothing(world: World) -> None:
    browser = world.browser()
    assert world.sign_in(browser, "eve").status_code == 302
    assert browser.get("/api/v1/me").json()["projects"] == []
    assert browser.get("/api/v1/projects/default/jobs").status_code == 404


def test_the_groups_of_the_last_login_count_and_what_was_set_by_hand_stays(world: World) -> None:
    browser = world.browser()
    tell(world.issuer, person("kim", groups=["ml"]))
    world.sign_in(browser, "kim")
    assert world.memberships("kim@example.org") == {"default": "editor", "search": "viewer"}
    with world.app.state.sessions() as session:
        account = session.scalar(select(Account).where(Account.name == "kim@example.org"))
        row = session.get_one(Membership, ("search", account.id))
        row.role, row.source = Role.ADMIN.value, "manual"
        session.commit()
    tell(world.issuer, person("kim", groups=[]))
    world.sign_in(browser, "kim")
    assert world.memberships("kim@example.org") == {"search": "admin"}
    assert browser.get("/api/v1/projects/default/jobs").status_code == 404


def test_a_group_makes_platform_administrators_and_unmakes_them(world: World) -> None:
    browser, other = world.browser(), world.browser()
    world.sign_in(browser, "ops")
    assert browser.get("/api/v1/users").status_code == 200
    tell(world.issuer, person("ops2", groups=["ops"]))
    world.sign_in(other, "ops2")
    tell(world.issuer, person("ops2", groups=[]))
    world.sign_in(other, "ops2")
    assert other.get("/api/v1/users").status_code == 403


def test_a_user_made_before_is_found_by_a_verified_address_alone(world: World) -> None:
    with world.app.state.sessions() as session:
        for name in ("zoe", "max"):
            row = Account(id=f"usr-{name}", kind=AccountKind.USER.value, name=name, email=f"{name}@example.org")
            session.add(row)
        session.commit()
    tell(world.issuer, person("zoe"))
    browser = world.browser()
    world.sign_in(browser, "zoe")
    assert browser.get("/api/v1/me").json()["actor"] == "zoe"
    tell(world.issuer, person("max", email_verified=False))
    browser = world.browser()
    world.sign_in(browser, "max")
    assert browser.get("/api/v1/me").json()["actor"] == "max@example.org"
    # and nobody takes a name that is somebody's
    tell(world.issuer, person("thief", preferred_username="zoe"))
    world.sign_in(browser, "thief")
    assert browser.get("/api/v1/me").json()["actor"].startswith("zoe-")


def test_a_disabled_user_stays_out(world: World) -> None:
    browser = world.browser()
    world.sign_in(browser, "bob")
    with world.app.state.sessions() as session:
        account = session.scalar(select(Account).where(Account.name == "bob@example.org"))
        account.disabled_at = account.created_at
        session.commit()
    world.app.state.principals.forget()
    assert browser.get("/api/v1/me").status_code == 401
    assert world.sign_in(browser, "bob").status_code == 403


def test_only_the_browser_that_began_a_login_ends_it(world: World) -> None:
    began = world.browser().get("/api/v1/auth/login")
    back = urlsplit(httpx2.post(began.headers["Location"], data={"sub": "ann"}).headers["Location"])
    victim = world.browser()
    assert victim.get(f"{CALLBACK}?{back.query}").status_code == 401
    victim.get("/api/v1/auth/login")  # a login of its own under way, with another state
    answer = victim.get(f"{CALLBACK}?{back.query}")
    assert (answer.status_code, answer.json()["code"]) == (401, "login_expired")
    assert victim.get("/api/v1/me").status_code == 401
    refused = victim.get(f"{CALLBACK}?error=access_denied&state={parse_qs(back.query)['state'][0]}")
    assert refused.status_code == 401


HTML = {"Accept": "text/html,application/xhtml+xml"}


def away(world: World) -> None:
    def refuse(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError("refused")

    world.app.state.oidc._client = httpx2.Client(transport=httpx2.MockTransport(refuse))
    world.app.state.oidc._until = 0.0


@pytest.mark.parametrize(
    ("query", "provider_away", "code", "status"),
    [
        ("error=access_denied&state={state}", False, "login_refused", 401),
        ("error=<script>&error_description=//evil.test&state={state}", False, "login_refused", 401),
        ("code=made-up&state={state}", False, "login_refused", 401),
        ("code=made-up&state=another", False, "login_expired", 401),
        ("code=made-up&state={state}", True, "unavailable", 503),
    ],
)
def test_a_login_that_failed_ends_at_the_login_page(
    world: World, query: str, provider_away: bool, code: str, status: int
) -> None:
    browser = world.browser()
    began = browser.get("/api/v1/auth/login", params={"next": "/jobs?status=failed"})
    (state,) = parse_qs(urlsplit(began.headers["Location"]).query)["state"]
    if provider_away:
        away(world)
    address = f"{CALLBACK}?{query.format(state=state)}"
    answer = browser.get(address, headers=HTML)
    assert answer.status_code == 302
    assert answer.headers["Location"] == f"/sign-in?error={code}&next=%2Fjobs%3Fstatus%3Dfailed"
    assert "ratchet_session" not in answer.headers.get("set-cookie", "")
    told = browser.get(address)  # a program
    assert (told.status_code, told.json()["code"]) == (status, code)


def test_who_began_no_login_and_who_is_disabled_end_there_too(world: World) -> None:
    browser = world.browser()
    answer = browser.get(f"{CALLBACK}?code=a&state=b", headers=HTML)
    assert answer.headers["Location"] == "/sign-in?error=login_expired&next=%2F"
    with world.app.state.sessions() as session:
        made = Account(id="usr-kim", kind=AccountKind.USER.value, name="kim", email="kim@example.org")
        made.disabled_at = now(session)
        session.add(made)
        session.commit()
    tell(world.issuer, person("kim"))
    browser.headers["Accept"] = "text/html"
    assert world.sign_in(browser, "kim").headers["Location"] == "/sign-in?error=forbidden&next=%2Fjobs"
    with world.app.state.sessions() as session:
        assert session.get_one(Account, "usr-kim").subject is None  # nothing of it was kept


def test_a_provider_that_is_away_leaves_the_person_at_the_login_page(world: World) -> None:
    away(world)
    answer = world.browser().get("/api/v1/auth/login", params={"next": "/jobs"}, headers=HTML)
    assert (answer.status_code, answer.headers["Location"]) == (302, "/sign-in?error=unavailable&next=%2Fjobs")
    assert world.browser().get("/api/v1/auth/login").status_code == 503


def test_a_cookie_that_somebody_else_wrote_leads_nowhere_else() -> None:
    cookie = Pending("state", "nonce", "verifier", "https://evil.test").cookie()
    assert Pending.read(cookie) == Pending("state", "nonce", "verifier", "/")


def test_after_the_login_one_stays_at_this_address() -> None:
    assert local_page("/jobs?status=running#x") == "/jobs?status=running#x"
    for elsewhere in (
        "//evil.test",
        "https://evil.test",
        "/\\evil.test",
        "/a\\b",
        "/\tb",
        "javascript:alert(1)",
        "",
        "/ a",
    ):
        assert local_page(elsewhere) == "/", elsewhere


# -- what is not believed

ISSUER = "https://login.test"
KEY, OTHER_KEY = RSAKey.generate_key(2048, {"kid": "a"}), RSAKey.generate_key(2048, {"kid": "a"})
PENDING = Pending("state", "nonce", "verifier", "/")


def provider(id_token: str, issuer: str = ISSUER, **answers: Any) -> Provider:
    def answer(request: httpx2.Request) -> httpx2.Response:
        body = {
            "/.well-known/openid-configuration": {
                "issuer": issuer,
                "authorization_endpoint": f"{ISSUER}/authorize",
                "token_endpoint": f"{ISSUER}/token",
                "jwks_uri": f"{ISSUER}/keys",
            },
            "/keys": {"keys": [KEY.as_dict(private=False)]},
            "/token": {"id_token": id_token, "access_token": "a"},
        }[request.url.path]
        return httpx2.Response(answers.get("status", 200), json=body)

    made = Provider(Settings(oidc_issuer=ISSUER, oidc_client_id="ratchet"))
    made._client = httpx2.Client(transport=httpx2.MockTransport(answer))
    return made


def signed(changes: dict[str, Any], key: Any = KEY, algorithm: str = "RS256") -> str:
    claims = {
        "iss": ISSUER,
        "aud": "ratchet",
        "sub": "ann",
        "exp": int(time.time()) + 60,
        "nonce": "nonce",
        "groups": [],
    }
    return jwt.encode({"alg": algorithm, "kid": "a"}, {**claims, **changes}, key, algorithms=[algorithm])


def unsigned() -> str:
    def part(value: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    claims = {"iss": ISSUER, "aud": "ratchet", "sub": "ann", "exp": int(time.time()) + 60, "nonce": "nonce"}
    return f"{part({'alg': 'none'})}.{part(claims)}."


def test_a_good_answer_is_believed() -> None:
    assert provider(signed({})).claims("code", PENDING)["sub"] == "ann"
    assert provider(signed({"aud": ["ratchet", "b"], "azp": "ratchet"})).claims("code", PENDING)["sub"] == "ann"


@pytest.mark.parametrize(
    "token",
    [
        signed({"nonce": "another"}),
        signed({"aud": "another"}),
        signed({"aud": ["ratchet", "another"]}),
        signed({"iss": "https://evil.test"}),
        signed({"exp": int(time.time()) - 3_600}),
        signed({"sub": None}),
        signed({}, OTHER_KEY),
        signed({}, OctKey.import_key("ratchet-client-secret-of-some-length"), "HS256"),
        unsigned(),
        "",
        "a.b.c",
    ],
)
def test_a_false_answer_is_not(token: str) -> None:
    with pytest.raises(Unauthorized):
        provider(token).claims("code", PENDING)


def test_a_provider_that_calls_itself_otherwise_or_is_away_is_said_to_be() -> None:
    for made in (provider(signed({}), issuer="https://evil.test"), provider(signed({}), status=502)):
        with pytest.raises(Unavailable):
            made.login_url(PENDING)
