"""Tags: what has not changed is not sent again, and nobody changes what they have not seen."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pytest

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
    ("PATCH", "../../users/{user_id}", "../../users/{user_id}", {"disabled": True}),
]
NO_TAG = {
    "put /api/v1/projects/{project}/models/{model}/aliases/{alias}",
    "post /api/v1/projects/{project}/endpoints/{endpoint}/outcomes",
}
"""What the first changes is MLflow's, which is not asked in a request; the second only adds."""


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
        changing = path in {"/api/v1/projects/{project}/endpoints/{endpoint}/traffic"}
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
            single = "get" in paths.get(resource, {}) and resource.endswith("}")
            names = {parameter["name"].lower() for parameter in operation.get("parameters", [])}
            verb = resource != path and not path.endswith((":clone", ":retry"))  # which make another
            if single and (method in {"put", "patch", "delete"} or verb) and "if-match" not in names:
                without.add(f"{method} {path}")
    assert without <= NO_TAG
