"""Who may do what: every operation that the API describes, asked by everyone. A new one must be put into the table."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

from sqlalchemy import func, select

from ratchet.events import Event


class Least(IntEnum):
    """The least that a caller must be."""

    NOBODY = 0
    SIGNED_IN = 1
    WRITING = 2
    """Signed in, with more than a token to read."""
    VIEWER = 3
    EDITOR = 4
    PROJECT_ADMIN = 5
    PLATFORM_ADMIN = 6


TABLE: dict[Least, str] = {
    Least.NOBODY: """
        POST /session
        DELETE /session
        GET /auth/config
        GET /auth/login
        GET /auth/callback
    """,
    Least.SIGNED_IN: """
        GET /me
        GET /me/tokens
        GET /projects
        GET /info
        GET /recipes
    """,
    Least.WRITING: """
        POST /me/tokens
        DELETE /me/tokens/{token_id}
    """,
    Least.VIEWER: """
        GET {project}
        GET {project}/members
        GET {project}/members/{account_id}
        GET {project}/queue
        GET {project}/quota
        GET {project}/service-accounts
        GET {project}/service-accounts/{account_id}
        GET {project}/jobs
        POST {project}/jobs:plan
        GET {project}/jobs/{job_id}
        GET {project}/jobs/{job_id}/wait
        GET {project}/jobs/{job_id}/metrics
        GET {project}/jobs/{job_id}/trials
        GET {project}/jobs/{job_id}/logs
        GET {project}/jobs/{job_id}/logs:download
        GET {project}/jobs/{job_id}/events
        GET {project}/bundles
        GET {project}/bundles/{digest}
        GET {project}/models
        GET {project}/models/{model}
        GET {project}/models/{model}/promotions
        GET {project}/models/{model}/promotions/{promotion}
        GET {project}/models/{model}/aliases/{alias}
        GET {project}/models/{model}/alias-moves
        GET {project}/endpoints
        GET {project}/endpoints/{endpoint}
        GET {project}/endpoints/{endpoint}/predictions
        GET {project}/endpoints/{endpoint}/traffic
        GET {project}/abtests
        GET {project}/abtests/{abtest}
        GET {project}/monitors
        GET {project}/monitors/{monitor}
        GET {project}/monitors/{monitor}/checks
        GET {project}/monitors/{monitor}/alerts
        GET {project}/checks/{check}
        GET {project}/checks/{check}/report
        GET {project}/pipelines
        GET {project}/pipelines/{pipeline}
        GET {project}/pipeline-runs
        GET {project}/pipeline-runs/{run}
        GET {project}/events
    """,
    Least.EDITOR: """
        POST {project}/documents:plan
        GET {project}/tokens
        POST {project}/tokens
        DELETE {project}/tokens/{token_id}
        GET {project}/webhooks
        GET {project}/webhooks/{webhook}
        GET {project}/webhooks/{webhook}/deliveries
        GET {project}/webhooks/{webhook}/deliveries/{delivery}
        POST {project}/jobs
        POST {project}/bundles
        POST {project}/jobs/{job_id}:cancel
        POST {project}/jobs/{job_id}:clone
        POST {project}/jobs/{job_id}:retry
        POST {project}/models/{model}/promotions
        PUT {project}/models/{model}/aliases/{alias}
        POST {project}/endpoints
        PUT {project}/endpoints/{endpoint}
        DELETE {project}/endpoints/{endpoint}
        POST {project}/endpoints/{endpoint}/outcomes
        POST {project}/abtests
        POST {project}/abtests/{abtest}:stop
        POST {project}/monitors
        PUT {project}/monitors/{monitor}
        POST {project}/monitors/{monitor}:check
        POST {project}/monitors/{monitor}:pause
        POST {project}/monitors/{monitor}:resume
        POST {project}/pipelines
        PUT {project}/pipelines/{pipeline}
        POST {project}/pipelines/{pipeline}:run
        POST {project}/pipeline-runs/{run}:cancel
    """,
    Least.PROJECT_ADMIN: """
        POST {project}/webhooks
        PATCH {project}/webhooks/{webhook}
        DELETE {project}/webhooks/{webhook}
        POST {project}/webhooks/{webhook}:rotate
        POST {project}/webhooks/{webhook}:test
        POST {project}/webhooks/{webhook}/deliveries/{delivery}:redeliver
        POST {project}/members
        PATCH {project}/members/{account_id}
        DELETE {project}/members/{account_id}
        POST {project}/service-accounts
        DELETE {project}/service-accounts/{account_id}
    """,
    Least.PLATFORM_ADMIN: """
        POST /projects
        GET /users
        POST /users
        GET /users/{user_id}
        PATCH /users/{user_id}
        GET /events
        GET /events:verify
        GET /queue
        PUT {project}/quota
    """,
}
OPEN = {"GET /healthz", "GET /readyz", "GET /schemas", "GET /schemas/{kind}.json"}
LEAST = {
    f"{method} /api/v1{path.replace('{project}', '/projects/{project}', 1) if path.startswith('{') else path}": least
    for least, lines in TABLE.items()
    for method, path in (line.split() for line in lines.strip().splitlines())
}
CALLERS = {
    "predictor": Least.NOBODY,
    "reader": Least.VIEWER,
    "viewer": Least.VIEWER,
    "writer": Least.EDITOR,
    "editor": Least.EDITOR,
    "project_admin": Least.PROJECT_ADMIN,
    "admin": Least.PLATFORM_ADMIN,
}


def operations(api: Any) -> dict[str, tuple[str, str]]:
    paths = api.http.app.openapi()["paths"]
    return {f"{method.upper()} {path}": (method.upper(), path) for path, each in paths.items() for method in each}


def filled(path: str, names: dict[str, str]) -> str:
    for name, value in names.items():
        path = path.replace("{" + name + "}", value)
    while "{" in path:
        head, _, rest = path.partition("{")
        path = head + "nothing" + rest.partition("}")[2]
    return path


def test_every_operation_is_in_the_table(api: Any) -> None:
    there = set(operations(api)) - OPEN
    assert there - set(LEAST) == set(), "say in TABLE who may do this"
    assert set(LEAST) - there == set(), "this is gone"


def test_nobody_does_more_than_the_table_says(api: Any) -> None:
    for label, least in LEAST.items():
        method, path = operations(api)[label]
        url = filled(path, {"project": "default"})
        anonymous = api.http.request(method, url, json={})
        assert (anonymous.status_code == 401) == (least > Least.NOBODY), label
        if least is Least.NOBODY:
            continue
        for who, is_ in CALLERS.items():
            answer = api.http.request(method, url, json={}, headers=api.headers(who))
            # `reader` and `viewer` are as much; but one's token is for reading alone.
            narrow = least is Least.WRITING and who == "reader"
            if is_ < least or narrow:
                assert answer.status_code == 403, (label, who, answer.text)
            else:
                assert answer.status_code not in (401, 403), (label, who, answer.text)


def test_a_foreign_project_does_not_exist(api: Any) -> None:
    for label, (method, path) in operations(api).items():
        if "{project}" in path:
            answer = api.http.request(
                method, filled(path, {"project": "default"}), json={}, headers=api.headers("stranger")
            )
            assert answer.status_code == 404, (label, answer.text)
            nowhere = api.http.request(method, filled(path, {"project": "no-where"}), json={}, headers=api.headers())
            assert nowhere.status_code == 404, (label, nowhere.text)


def test_nothing_of_another_project_is_reached_through_ones_own(api: Any, known: dict[str, str]) -> None:
    """The id is right, the project is the stranger's own, in which they may do all."""

    def happened() -> int:
        with api.sessions() as session:
            return int(session.scalar(select(func.count(Event.id)).where(Event.project == "default")))

    before = happened()
    for label, (method, path) in operations(api).items():
        own = {**known, "project": "other"}
        if "{project}/" not in path or path.count("{") < 2:
            continue
        answer = api.http.request(method, filled(path, own), json={}, headers=api.headers("stranger"))
        empty = answer.status_code == 200 and answer.json().get("items") == []
        assert empty or answer.status_code in (404, 422), (label, answer.text)
    assert happened() == before


def test_what_one_may_not_set_is_refused(api: Any) -> None:
    """A field that the schema does not name is no way to more rights (OWASP API3)."""
    projects = "/api/v1/projects/default"
    for who, path, body in [
        ("editor", f"{projects}/tokens", {"name": "a", "scope": "read", "owner_id": "usr-1"}),
        ("project_admin", f"{projects}/members", {"user": "viewer", "role": "admin", "platform_admin": True}),
        ("project_admin", f"{projects}/members", {"user": "viewer", "role": "platform_admin"}),
        ("project_admin", f"{projects}/service-accounts", {"name": "a", "platform_admin": True}),
        ("editor", "/api/v1/me/tokens", {"name": "a", "scope": "admin", "platform_admin": True}),
    ]:
        assert api.http.post(path, json=body, headers=api.headers(who)).status_code == 422, (path, body)
