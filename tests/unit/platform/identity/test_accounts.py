"""Users, members, service accounts and tokens: who is let in, put out, and what is left of a token then."""

from __future__ import annotations

from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, insert, select, text
from tests.accounts import token_of

from ratchet import db
from ratchet.events import Event
from ratchet.identity import tokens
from ratchet.identity.principals import Principals, token_hash
from ratchet.identity.roles import Role, Scope, narrowed
from ratchet.identity.tables import Account, Membership, Token
from ratchet.projects.tables import Project
from ratchet.settings import Settings

DEFAULT = "/api/v1/projects/default"


def header(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_a_role_is_what_the_role_and_the_scope_both_allow() -> None:
    assert [narrowed(role, Scope.WRITE) for role in Role] == [Role.VIEWER, Role.EDITOR, Role.EDITOR]
    assert [narrowed(role, Scope.READ) for role in Role] == [Role.VIEWER] * 3
    assert [narrowed(role, Scope.PREDICT) for role in Role] == [None] * 3
    assert [[each.includes(other) for other in Scope] for each in Scope] == [
        [True, True, True, True],
        [False, True, True, True],
        [False, False, True, False],
        [False, False, False, True],
    ]


def test_a_member_comes_changes_and_goes_and_each_holds_at_once(api: Any) -> None:
    admin = api.headers("project_admin")
    with api.sessions() as session:
        _, token = token_of(session, "ann", role=Role.VIEWER, project="other")
        session.commit()

    def status(method: str = "GET") -> int:
        return int(api.http.request(method, f"{DEFAULT}/jobs", json={}, headers=header(token)).status_code)

    assert status() == 404
    body = {"user": "ann", "role": "viewer"}
    ann = api.http.post(f"{DEFAULT}/members", json=body, headers=admin).json()["id"]
    assert (status(), status("POST")) == (200, 403)
    assert api.http.post(f"{DEFAULT}/members", json=body, headers=admin).status_code == 409
    changed = api.http.patch(f"{DEFAULT}/members/{ann}", json={"role": "editor"}, headers=admin)
    assert changed.json()["role"] == "editor"
    assert status("POST") == 422
    assert api.http.delete(f"{DEFAULT}/members/{ann}", headers=admin).status_code == 204
    assert status() == 404
    assert api.http.delete(f"{DEFAULT}/members/{ann}", headers=admin).status_code == 404
    with api.sessions() as session:
        rows = session.scalars(select(Event).where(Event.target_id == ann, Event.project == "default"))
        told = [(row.action, row.actor, row.before, row.after) for row in rows]
    assert told == [
        ("member.added", "project_admin", None, {"role": "viewer"}),
        ("member.changed", "project_admin", {"role": "viewer"}, {"role": "editor"}),
        ("member.removed", "project_admin", {"role": "editor"}, None),
    ]


def test_a_role_given_by_another_process_holds_at_once(api: Any) -> None:
    """Nobody is refused from memory: where it says no, the database is asked."""
    with api.sessions() as session:
        token, secret = token_of(session, "ann", role=Role.VIEWER, project="other")
        session.commit()
    assert api.http.get(f"{DEFAULT}/jobs", headers=header(secret)).status_code == 404
    row = {"project": "default", "account_id": token.owner_id, "role": "viewer", "source": "manual"}
    with api.sessions.kw["bind"].begin() as connection:  # no session of this process's
        connection.execute(insert(Membership).values(row))
    assert api.http.get(f"{DEFAULT}/jobs", headers=header(secret)).status_code == 200


def test_whom_nobody_knows_is_no_member(api: Any) -> None:
    answer = api.http.post(f"{DEFAULT}/members", json={"user": "who", "role": "viewer"}, headers=api.headers())
    assert answer.status_code == 404


def test_a_service_account_has_tokens_of_its_own_and_takes_them_with_it(api: Any) -> None:
    admin = api.headers("project_admin")
    body = {"name": "shop", "role": "viewer"}
    shop = api.http.post(f"{DEFAULT}/service-accounts", json=body, headers=admin).json()
    assert (shop["name"], shop["kind"], shop["role"]) == ("default/shop", "service_account", "viewer")
    token = {"name": "shop", "scope": "write", "service_account": "shop"}
    assert api.http.post(f"{DEFAULT}/tokens", json=token, headers=api.headers("editor")).status_code == 403
    made = api.http.post(f"{DEFAULT}/tokens", json=token, headers=admin).json()
    assert made["owner"] == "default/shop"
    me = api.http.get("/api/v1/me", headers=header(made["token"])).json()
    assert (me["actor"], me["roles"]) == ("default/shop", {"default": "viewer"})  # the role is less than the scope
    assert api.http.post(f"{DEFAULT}/jobs", json={}, headers=header(made["token"])).status_code == 403
    assert api.http.delete(f"{DEFAULT}/members/{shop['id']}", headers=admin).status_code == 409
    assert api.http.delete(f"{DEFAULT}/service-accounts/{shop['id']}", headers=admin).status_code == 204
    assert api.http.get("/api/v1/me", headers=header(made["token"])).status_code == 401
    assert api.http.post(f"{DEFAULT}/service-accounts", json=body, headers=admin).status_code == 201


def test_tokens_of_others_are_an_administrators_business(api: Any) -> None:
    made = api.http.post(f"{DEFAULT}/tokens", json={"name": "a", "scope": "read"}, headers=api.headers("editor")).json()

    def names(who: str) -> list[str]:
        found = api.http.get(f"{DEFAULT}/tokens", headers=api.headers(who)).json()["items"]
        return [each["id"] for each in found]

    assert names("editor") == names("project_admin") == [made["id"]]
    assert names("writer") == []
    assert api.http.delete(f"{DEFAULT}/tokens/{made['id']}", headers=api.headers("writer")).status_code == 404
    assert api.http.delete(f"{DEFAULT}/tokens/{made['id']}", headers=api.headers("project_admin")).status_code == 204


def test_a_token_makes_no_wider_one(api: Any) -> None:
    for who, path, scope, status in [
        ("writer", f"{DEFAULT}/tokens", "admin", 403),
        ("writer", f"{DEFAULT}/tokens", "write", 201),
        ("writer", f"{DEFAULT}/tokens", "predict", 201),
        ("writer", "/api/v1/me/tokens", "admin", 403),
        ("viewer", "/api/v1/me/tokens", "read", 201),
        ("reader", "/api/v1/me/tokens", "read", 403),
    ]:
        answer = api.http.post(path, json={"name": "a", "scope": scope}, headers=api.headers(who))
        assert answer.status_code == status, (who, path, scope, answer.text)
    body = {"name": "a", "scope": "write"}
    limited = api.http.post(f"{DEFAULT}/tokens", json=body, headers=api.headers("writer")).json()["token"]
    assert api.http.post("/api/v1/me/tokens", json=body, headers=header(limited)).status_code == 403
    own = api.http.post("/api/v1/me/tokens", json=body, headers=api.headers("writer")).json()
    assert own["project"] is None
    assert api.http.delete(f"/api/v1/me/tokens/{own['id']}", headers=api.headers("editor")).status_code == 404
    assert api.http.delete(f"/api/v1/me/tokens/{own['id']}", headers=api.headers("writer")).status_code == 204
    assert api.http.get("/api/v1/me", headers=header(own["token"])).status_code == 401


def test_a_disabled_user_is_out_and_the_last_administrator_stays(api: Any) -> None:
    users = {each["name"]: each["id"] for each in api.http.get("/api/v1/users", headers=api.headers()).json()["items"]}

    def change(name: str, **changes: Any) -> int:
        answer = api.http.patch(f"/api/v1/users/{users[name]}", json=changes, headers=api.headers())
        return int(answer.status_code)

    assert change("writer", disabled=True) == 200
    assert api.http.get("/api/v1/me", headers=api.headers("writer")).status_code == 401
    assert change("writer", disabled=False) == 200
    assert api.http.get("/api/v1/me", headers=api.headers("writer")).status_code == 200
    assert change("admin", disabled=True) == 409
    assert change("admin", platform_admin=False) == 409
    assert change("editor", platform_admin=True) == 200
    assert change("admin", platform_admin=False) == 200
    assert api.http.get("/api/v1/users", headers=api.headers()).status_code == 403
    assert api.http.get("/api/v1/users", headers=api.headers("editor")).status_code == 200


def test_another_process_learns_of_a_revocation_within_two_seconds(sessions: Any, monkeypatch: Any) -> None:
    moment = [0.0]
    monkeypatch.setattr("ratchet.identity.principals.time.monotonic", lambda: moment[0])
    here, there = (Principals(sessions, Settings()) for _ in range(2))
    with sessions() as session:
        row, secret = token_of(session, "ann", role=Role.EDITOR)
        session.commit()
    for principals in (here, there):
        assert principals.look_up(secret, "default").roles == {"default": Role.EDITOR}
    with sessions.kw["bind"].connect() as connection:  # the other process: no session of this one's commits
        connection.execute(
            text("UPDATE tokens SET revoked_at = '2020-01-01 00:00:00+00' WHERE id = :id"), {"id": row.id}
        )
        connection.commit()
    assert there.known(secret) is not None
    moment[0] += 2.1
    assert there.known(secret) is None
    with pytest.raises(Exception, match="not known"):
        there.look_up(secret, None)


def test_when_a_token_was_used_is_noted_now_and_then(sessions: Any) -> None:
    principals = Principals(sessions, Settings())
    with sessions() as session:
        row, secret = token_of(session, "ann", role=Role.EDITOR)
        session.commit()
    principals.look_up(secret, None)
    with sessions() as session:
        assert session.get_one(Token, row.id).last_used_at is None
    principals.note_use()
    with sessions() as session:
        assert session.get_one(Token, row.id).last_used_at is not None


def test_a_request_is_one_query_and_the_next_none(sessions: Any) -> None:
    from sqlalchemy import event

    principals = Principals(sessions, Settings())
    with sessions() as session:
        _, secret = token_of(session, "ann")
        session.commit()
    asked: list[str] = []
    event.listen(
        sessions.kw["bind"], "before_cursor_execute", lambda *call: call[2] == "BEGIN" or asked.append(call[2])
    )
    principals.look_up(secret, "default")
    assert principals.exists("default")
    assert not principals.exists("other")
    assert len(asked) == 1
    assert principals.known(secret) is not None
    assert len(asked) == 1


def test_endpoints_take_the_tokens_of_members_that_may_predict(sessions: Any) -> None:
    with sessions() as session:
        session.add(Project(name="other"))
        session.flush()
        expected = {
            token_of(session, "boss")[0].hash,
            token_of(session, "ann", role=Role.VIEWER, scope=Scope.PREDICT)[0].hash,
            token_of(session, "ann", role=Role.VIEWER, scope=Scope.WRITE)[0].hash,
        }
        token_of(session, "ann", role=Role.VIEWER, scope=Scope.READ)
        token_of(session, "eve", role=Role.ADMIN, project="other", scope=Scope.PREDICT)
        gone, _ = token_of(session, "ann", role=Role.VIEWER, scope=Scope.PREDICT)
        tokens.revoke(session, gone, actor="test")
        account = session.scalars(select(Account).where(Account.name == "ann")).one()
        tokens.begin_session(session, account)
        assert set(tokens.predict_token_hashes(session, "default")) == expected
        account.disabled_at = db.now(session)
        session.flush()
        assert len(tokens.predict_token_hashes(session, "default")) == 1
        session.rollback()


def test_tokens_of_before_get_owners_with_what_they_could_do(request: Any, tmp_path: Any) -> None:
    url = f"sqlite:///{tmp_path / 'old.db'}"
    config = Config()
    config.set_main_option("script_location", str(db.MIGRATIONS))
    config.attributes["url"] = url
    command.upgrade(config, "0006")
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO projects (name, description) VALUES ('default', '')"))
        for number, (project, scope) in enumerate([(None, "admin"), ("default", "write"), ("default", "predict")]):
            row = {"id": f"tok-000000000{number}", "p": project, "s": scope, "h": token_hash(f"secret-{number}")}
            insert = "INSERT INTO tokens (id, project, name, scope, hash, prefix) VALUES (:id, :p, 'old', :s, :h, '')"
            connection.execute(text(insert), row)
    engine.dispose()
    command.upgrade(config, "head")
    sessions = db.session_factory(db.open_engine(url))
    principals = Principals(sessions, Settings())
    assert principals.look_up("secret-0", None).is_platform_admin
    assert principals.look_up("secret-1", None).roles == {"default": Role.EDITOR}
    with sessions() as session:
        hashes = {token_hash(f"secret-{number}") for number in range(3)}
        assert set(tokens.predict_token_hashes(session, "default")) == hashes
    sessions.kw["bind"].dispose()
