"""Accounts and tokens from the command line."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from ratchet.sdk.config import logins, resolve

MEMBER = {"id": "usr-1", "kind": "user", "name": "ann", "role": "viewer", "source": "manual"}
SHOP = {"id": "sa-1", "kind": "service_account", "name": "default/shop", "role": "viewer", "source": "manual"}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def test_members_are_named_as_people_name_them(api: Any, ratchet: Any) -> None:
    api.will("GET", "/members", {"items": [MEMBER, SHOP]})
    api.will("PATCH", "/members/usr-1", {**MEMBER, "role": "admin"})
    api.will("DELETE", "/service-accounts/sa-1", {}, 204)
    assert "ann is admin here" in ratchet("members", "role", "ann", "--role", "admin").stderr
    assert api.body("PATCH", "/members/usr-1") == {"role": "admin"}
    assert ratchet("service-accounts", "delete", "shop").exit_code == 0
    assert ratchet("members", "remove", "nobody").exit_code == 4


def test_a_token_for_a_service_account(api: Any, ratchet: Any) -> None:
    api.will("POST", "/tokens", {"id": "tok-1", "scope": "predict", "token": "rt_secret"}, 201)
    made = ratchet("tokens", "create", "shop", "--scope", "predict", "--service-account", "shop")
    assert made.stdout == "rt_secret\n"
    assert api.body("POST", "/tokens") == {"name": "shop", "scope": "predict", "service_account": "shop"}


def test_a_token_of_ones_own_for_everywhere(api: Any, ratchet: Any) -> None:
    api.will("POST", "/me/tokens", {"id": "tok-1", "scope": "read", "token": "rt_secret"}, 201)
    api.will("DELETE", "/me/tokens/tok-1", {}, 204)
    assert ratchet("tokens", "create", "laptop", "--scope", "read", "--mine").exit_code == 0
    assert ratchet("tokens", "revoke", "tok-1", "--mine").exit_code == 0


def test_users_are_listed_made_and_shut_out(api: Any, ratchet: Any) -> None:
    user = {"id": "usr-1", "name": "ann", "email": "ann@example.org", "platform_admin": False, "disabled": False}
    api.will("GET", "/users", {"items": [user]})
    api.will("POST", "/users", user, 201)
    api.will("PATCH", "/users/usr-1", {**user, "disabled": True})
    assert json.loads(ratchet("users", "list", "--json").stdout)[0]["name"] == "ann"
    assert ratchet("users", "create", "ann", "--email", "ann@example.org").exit_code == 0
    assert ratchet("users", "change", "usr-1", "--disabled").exit_code == 0
    assert api.body("PATCH", "/users/usr-1") == {"disabled": True}


def test_a_login_is_kept_for_its_address_alone(api: Any, ratchet: Any, home: Path, monkeypatch: Any) -> None:
    import httpx2

    from ratchet.sdk import client

    asked: list[tuple[str, str]] = []

    class Fake(client.Client):
        def __init__(self, url: str, token: str, project: str | None) -> None:
            def answer(request: httpx2.Request) -> httpx2.Response:
                asked.append((str(request.url), request.headers["authorization"]))
                return httpx2.Response(200, json={"actor": "ann", "scope": "write"})

            super().__init__(url, token, project, transport=httpx2.MockTransport(answer))

    monkeypatch.setattr(client, "Client", Fake)
    said = ratchet("login", "--url", "https://r.example/", input="rt_mine\n")
    assert said.exit_code == 0, said.output
    assert asked == [("https://r.example/api/v1/me", "Bearer rt_mine")]
    assert "rt_mine" not in said.output
    kept = home / "logins.json"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    environ = {"RATCHET_HOME": str(home)}
    found = resolve(environ=environ)
    assert (found.url, found.token, found.origin) == ("https://r.example", "rt_mine", "ratchet login")
    assert resolve("https://other.example", environ=environ).token is None
    assert resolve("https://r.example", environ={**environ, "RATCHET_TOKEN": "t"}).token == "t"
    assert ratchet("logout").exit_code == 0
    assert logins(home) == {"tokens": {}}
    assert resolve(environ=environ).token is None


def test_a_login_without_a_token_is_none(api: Any, ratchet: Any, home: Path) -> None:
    assert ratchet("login", "--url", "https://r.example", input="\n").exit_code == 2
    assert logins(home) == {}
