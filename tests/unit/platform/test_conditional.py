"""Tags: what has not changed is not sent again, and nobody changes what they have not seen."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pytest
from sqlalchemy import delete, select, update

from ratchet.conditional import IfMatch
from ratchet.errors import PreconditionFailed
from ratchet.jobs.status import JobStatus
from ratchet.jobs.tables import Job
from ratchet.webhooks.schemas import WebhookView
from ratchet.webhooks.tables import Webhook

DATA = {"uri": "sklearn://breast_cancer"}
TRAIN = {"kind": "train", "data": DATA, "model": "cancer"}
GATE = {"metric": "accuracy", "data": DATA}
CHANGES: list[tuple[str, str, str, dict[str, Any]]] = [
    ("PUT", "endpoints/cancer", "endpoints/cancer", {"variants": [{"name": "a", "model": "cancer", "version": 1}]}),
    ("DELETE", "endpoints/cancer", "endpoints/cancer", {}),
    ("POST", "jobs/{job_id}", "jobs/{job_id}:cancel", {}),
    ("POST", "abtests/first", "abtests/first:stop", {}),
    ("PUT", "monitors/drift", "monitors/drift", {"endpoint": "cancer", "alpha": 0.1}),
    ("PUT", "pipelines/retrain", "pipelines/retrain", {"train": TRAIN, "gate": GATE, "endpoint": "cancer"}),
    ("POST", "monitors/drift", "monitors/drift:check", {}),
    ("POST", "monitors/drift", "monitors/drift:pause", {}),
    ("POST", "monitors/drift", "monitors/drift:resume", {}),
    ("POST", "pipeline-runs/{run}", "pipeline-runs/{run}:cancel", {}),
    ("PATCH", "webhooks/chat", "webhooks/chat", {"enabled": False}),
    ("POST", "webhooks/chat", "webhooks/chat:rotate", {}),
    ("POST", "webhooks/chat", "webhooks/chat:test", {}),
    ("POST", "webhooks/chat/deliveries/{delivery}", "webhooks/chat/deliveries/{delivery}:redeliver", {}),
    ("DELETE", "webhooks/chat", "webhooks/chat", {}),
    ("PUT", "models/cancer/aliases/challenger", "models/cancer/aliases/challenger", {"version": 1}),
    ("PUT", "quota", "quota", {"jobs": 3}),
    ("PATCH", "members/{account_id}", "members/{account_id}", {"role": "editor"}),
    ("DELETE", "members/{account_id}", "members/{account_id}", {}),
    ("DELETE", "service-accounts/{account_id}", "service-accounts/{account_id}", {}),
    ("PATCH", "../../users/{user_id}", "../../users/{user_id}", {"disabled": True}),
]
PROJECT = "/api/v1/projects/{project}"
NO_TAG = {
    "delete /api/v1/session": "Whoever signs out leaves, whatever the session has become.",
    "delete /api/v1/me/tokens/{token_id}": "What is revoked is revoked, whatever else was changed.",
    "delete /api/v1/projects/{project}/tokens/{token_id}": "As above.",
}
"""The changes that take no tag, and why."""


def address(path: str, known: dict[str, str]) -> str:
    return f"/api/v1/projects/default/{path.format(**known)}".replace("/projects/default/../..", "")


@pytest.mark.parametrize(("method", "read", "change", "body"), CHANGES, ids=[change for _, _, change, _ in CHANGES])
def test_a_change_of_what_was_not_seen_is_refused(
    api: Any, known: dict[str, str], method: str, read: str, change: str, body: dict[str, Any]
) -> None:
    seen = api.http.get(address(read, known), headers=api.headers()).headers["ETag"]

    def send(tag: str) -> Any:
        headers = {**api.headers(), "If-Match": tag}
        return api.http.request(method, address(change, known), json=body or None, headers=headers)

    refused = send('"another"')
    assert (refused.status_code, refused.json()["code"]) == (412, "precondition_failed")
    assert api.http.get(address(read, known), headers=api.headers()).headers["ETag"] == seen
    accepted = send(f'"another", W/{seen}')
    assert accepted.is_success or accepted.json()["code"] != "precondition_failed", accepted.text
    assert accepted.is_success or accepted.status_code == 409


def test_what_is_known_is_not_sent_again(api: Any, known: dict[str, str]) -> None:
    asked = 0
    for path, operations in api.http.app.openapi()["paths"].items():
        content = operations.get("get", {}).get("responses", {}).get("200", {}).get("content", {})
        if "application/json" not in content:
            continue
        where = path.format_map(defaultdict(lambda: "nothing", known))
        first = api.http.get(where, headers=api.headers())
        if first.status_code != 200 or path in {"/readyz"}:
            continue
        again = api.http.get(where, headers={**api.headers(), "If-None-Match": first.headers["ETag"]})
        changing = path in {f"{PROJECT}/endpoints/{{endpoint}}/traffic", f"{PROJECT}/quota"}
        assert changing or (again.status_code, again.content) == (304, b""), path
        other = api.http.get(where, headers={**api.headers(), "If-None-Match": '"another"'})
        assert other.status_code == 200
        asked += 1
    assert asked > 20


def test_every_change_of_what_can_be_read_takes_a_tag(api: Any) -> None:
    paths = api.http.app.openapi()["paths"]
    without = set()
    for path, operations in paths.items():
        for method, operation in operations.items():
            resource = path.rpartition(":")[0] or path
            names = {parameter["name"].lower() for parameter in operation.get("parameters", [])}
            single = "get" in paths.get(resource, {}) and resource.endswith("}")
            makes_another = path.endswith((":clone", ":retry"))
            verb = single and method == "post" and resource != path and not makes_another
            if (method in {"put", "patch", "delete"} or verb) and "if-match" not in names:
                without.add(f"{method} {path}")
    assert without == set(NO_TAG)


def test_a_quota_is_the_same_however_much_of_it_is_used(api: Any, known: dict[str, str]) -> None:
    def quota() -> tuple[Any, str]:
        answer = api.http.get("/api/v1/projects/default/quota", headers=api.headers())
        return answer.json()["used"], answer.headers["ETag"]

    (before, tag) = quota()
    with api.sessions() as session:
        session.execute(update(Job).values(status=JobStatus.RUNNING.value))
        session.commit()
    (after, same) = quota()
    assert after != before
    assert same == tag


def test_two_who_saw_the_same_alias_move_it_once(api: Any, known: dict[str, str]) -> None:
    """What the second saw is a row that nobody changes: what changed is that there is a newer one."""
    address = "/api/v1/projects/default/models/cancer/aliases/challenger"
    seen = {**api.headers(), "If-Match": api.http.get(address, headers=api.headers()).headers["ETag"]}
    answers = [api.http.put(address, json={"version": 1}, headers=seen).status_code for _ in range(2)]
    assert answers == [202, 412]


def test_what_somebody_deleted_meanwhile_was_changed(api: Any, known: dict[str, str]) -> None:
    with api.sessions() as session:
        row = session.scalars(select(Webhook)).one()
        session.execute(delete(Webhook).execution_options(synchronize_session=False))
        with pytest.raises(PreconditionFailed):
            IfMatch('"seen"').check(session, row, lambda: WebhookView.of(row))


@pytest.mark.parametrize(("tag", "status"), [('"any"', 412), ("*", 412), (None, 202)])
def test_a_tag_of_what_is_not_there_fits_nothing(api: Any, known: dict[str, str], tag: str | None, status: int) -> None:
    address = "/api/v1/projects/default/models/cancer/aliases/shadow"
    assert api.http.get(address, headers=api.headers()).status_code == 404
    headers = api.headers() if tag is None else {**api.headers(), "If-Match": tag}
    assert api.http.put(address, json={"version": 1}, headers=headers).status_code == status
