"""MLflow behind the API: members reach what is of their projects, and nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import select, update

from ratchet.identity.principals import changed
from ratchet.identity.tables import Account, Membership
from ratchet.tracking import routes

API = "/mlflow/api/2.0/mlflow"
FILES = "/mlflow/api/2.0/mlflow-artifacts/artifacts"

READS: list[tuple[str, str, dict[str, Any] | None]] = [
    ("GET", f"{API}/experiments/get?experiment_id={{experiment}}", None),
    ("GET", f"{API}/experiments/get-by-name?experiment_name={{project}}", None),
    ("POST", f"{API}/runs/search", {"experiment_ids": ["{experiment}"]}),
    ("GET", f"{API}/runs/get?run_id={{run}}", None),
    ("GET", "/mlflow/ajax-api/2.0/mlflow/runs/get?run_uuid={run}", None),
    ("GET", f"{API}/metrics/get-history?run_id={{run}}&metric_key=loss", None),
    ("GET", "/mlflow/ajax-api/2.0/mlflow/metrics/get-history-bulk?run_id={run}", None),
    ("GET", f"{API}/artifacts/list?run_id={{run}}", None),
    ("GET", "/mlflow/get-artifact?run_uuid={run}&path=a", None),
    ("GET", f"{FILES}/{{experiment}}/{{run}}/artifacts/spec.json", None),
    ("GET", f"{FILES}?path={{experiment}}/{{run}}/artifacts", None),
    ("GET", f"{FILES}/{{experiment}}/models/m-{{run}}/artifacts/MLmodel", None),
    ("GET", f"{API}/logged-models/m-{{run}}", None),
    ("POST", f"{API}/logged-models/search", {"experiment_ids": ["{experiment}"]}),
    ("GET", f"{API}/registered-models/get?name={{project}}.cancer", None),
    ("GET", f"{API}/registered-models/alias?name={{project}}.cancer&alias=champion", None),
    ("GET", f"{API}/model-versions/get?name={{project}}.cancer&version=1", None),
    ("GET", "/mlflow/model-versions/get-artifact?name={project}.cancer&version=1&path=a", None),
    (
        "POST",
        "/mlflow/graphql",
        {
            "query": "query GetRun($data: I!) { mlflowGetRun(input: $data) { run } }",
            "variables": {"data": {"runId": "{run}"}},
        },
    ),
]
WRITES: list[tuple[str, str, dict[str, Any] | None]] = [
    ("POST", f"{API}/experiments/create", {"name": "{project}/more"}),
    ("POST", f"{API}/experiments/delete", {"experiment_id": "{experiment}"}),
    ("POST", f"{API}/runs/create", {"experiment_id": "{experiment}"}),
    ("POST", f"{API}/runs/log-batch", {"run_id": "{run}", "metrics": []}),
    ("POST", f"{API}/runs/set-tag", {"runId": "{run}", "key": "a", "value": "b"}),
    ("POST", f"{API}/runs/delete", {"run_id": "{run}"}),
    ("PUT", f"{FILES}/{{experiment}}/{{run}}/artifacts/spec.json", None),
    ("DELETE", f"{FILES}/{{experiment}}/{{run}}/artifacts/spec.json", None),
    ("POST", f"{API}/logged-models", {"experiment_id": "{experiment}", "source_run_id": "{run}"}),
    ("PATCH", f"{API}/logged-models/m-{{run}}", {"status": 2}),
    ("POST", f"{API}/registered-models/create", {"name": "{project}.new"}),
    ("POST", f"{API}/registered-models/alias", {"name": "{project}.cancer", "alias": "champion", "version": "1"}),
    ("DELETE", f"{API}/registered-models/alias", {"name": "{project}.cancer", "alias": "champion"}),
    (
        "POST",
        f"{API}/model-versions/create",
        {"name": "{project}.cancer", "source": "models:/m-{run}", "run_id": "{run}"},
    ),
]
MINE = {"project": "default", "experiment": "1", "run": "mine"}
THEIRS = {"project": "other", "experiment": "2", "run": "theirs"}


WAYS_AROUND: list[tuple[str, str, Any]] = [
    ("GET", f"{API}/runs/get?run_id=mine&run_uuid=theirs", None),
    ("GET", f"{API}/runs/get?run_id=mine&run_id=theirs", None),
    ("GET", f"{API}/runs/get?run_id=mine&runId=theirs", None),
    ("POST", f"{API}/runs/set-tag", {"run_id": "mine", "run_uuid": "theirs"}),
    ("POST", f"{API}/runs/set-tag", {"run_id": "mine", "runId": "theirs"}),
    ("POST", f"{API}/runs/search", {"experiment_ids": ["1", "2"]}),
    ("POST", f"{API}/runs/search", {"experiment_ids": ["1"], "experimentIds": ["2"]}),
    ("POST", f"{API}/runs/log-batch", {"run_id": "mine", "metrics": [{"model_id": "m-theirs"}]}),
    ("POST", f"{API}/runs/log-batch", {"run_id": "mine", "metrics": [{"modelId": "m-theirs"}]}),
    ("POST", f"{API}/runs/outputs", {"run_id": "mine", "models": [{"model_id": "m-theirs"}]}),
    ("POST", f"{API}/experiments/update", {"experiment_id": "1", "new_name": "other"}),
    ("POST", f"{API}/experiments/create", {"name": "default/x", "artifact_location": "file:///etc"}),
    ("POST", f"{API}/registered-models/rename", {"name": "default.cancer", "new_name": "other.mine"}),
    ("POST", f"{API}/model-versions/create", {"name": "default.cancer", "source": "models:/m-theirs"}),
    ("POST", f"{API}/model-versions/create", {"name": "default.cancer", "source": "runs:/theirs/model"}),
    ("POST", f"{API}/model-versions/create", {"name": "default.cancer", "source": "file:///etc"}),
    ("POST", f"{API}/model-versions/create", {"name": "default.cancer", "source": "mlflow-artifacts:/2/theirs/a"}),
    ("PATCH", f"{API}/logged-models/m-mine", {"model_id": "m-theirs"}),
    ("GET", f"{API}/logged-models/..%2Fruns%2Fget", None),
    ("GET", f"{FILES}/1/mine/artifacts/..%2F..%2F..%2F2%2Ftheirs%2Fartifacts%2Fa", None),
    ("GET", f"{FILES}/1/theirs/artifacts/a", None),
    ("GET", f"{FILES}/2/mine/artifacts/a", None),
    ("GET", f"{FILES}?path=1/mine/../../2", None),
    ("GET", f"{FILES}/1/%252e%252e/2/theirs/artifacts/a", None),
    ("GET", f"{API}/runs/get", None),
    ("POST", f"{API}/runs/search", {}),
    ("POST", f"{API}/runs/search", ["experiment_ids", "2"]),
    ("GET", "/mlflow/api/2.0/mlflow/webhooks", None),
    ("POST", "/mlflow/api/3.0/mlflow/gateway/secrets/create", {}),
]
QUERIES: list[tuple[str, Any]] = [
    ('{ mlflowGetRun(input: {runId: "theirs"}) { run } }', None),
    ("query($a: I) { mlflowSearchRuns(input: {}) { runs } }", {"a": {"runId": "mine"}}),
    ("query($a: I) { mlflowSearchRuns(input #\n: {}) { runs } }", {"a": {"runId": "mine"}}),
    ("query($a: I) { mlflowSearchRuns(input\ufeff: {}) { runs } }", {"a": {"runId": "mine"}}),
    ("query($a: I) { mlflowSearchRuns { runs } x: mlflowGetRun(input: $a) { run } }", {"a": {"runId": "mine"}}),
    ("query($a: I) { mlflowSearchModelVersions(input: $a) { x } }", {"a": {"runId": "mine"}}),
    ("query($a: I, $b: I = {}) { mlflowGetRun(input: $a) x: mlflowSearchRuns(input: $b) }", {"a": {"runId": "mine"}}),
    (
        "query($a: I, $b: I) { mlflowGetRun(input: $a) x: mlflowSearchRuns(input: $b) }",
        {"a": {"runId": "mine"}, "b": {"filter": ""}},
    ),
    ("query($a: I) { mlflowSearchRuns(input: $a) }", {"a": {"experimentIds": ["1", "2"]}}),
    ("mutation($a: I) { testMutation(input: $a) }", {"a": {"runId": "mine"}}),
]


def filled(value: Any, names: dict[str, str]) -> Any:
    if isinstance(value, str):
        for name, text in names.items():
            value = value.replace("{" + name + "}", text)
        return value
    if isinstance(value, dict):
        return {key: filled(each, names) for key, each in value.items()}
    return [filled(each, names) for each in value] if isinstance(value, list) else value


def ask(api: Any, who: str, call: tuple[str, str, Any], names: dict[str, str]) -> Any:
    method, path, body = call
    content = {"json": filled(body, names)} if body is not None else {"content": b"x"} if method == "PUT" else {}
    return api.http.request(method, filled(path, names), headers=api.headers(who), **content)


def test_a_viewer_sees_the_project_and_no_other(api: Any, mlflow: Any) -> None:
    for call in READS:
        mlflow.seen.clear()
        assert ask(api, "viewer", call, MINE).status_code == 200, call
        assert len(mlflow.seen) == 1, call
        refused = ask(api, "viewer", call, THEIRS)
        assert (refused.status_code, refused.json()["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST"), call
        assert ask(api, "predictor", call, MINE).status_code == 403, call
        assert api.http.request(call[0], filled(call[1], MINE), json=call[2]).status_code == 401, call
        assert len(mlflow.seen) == 1, call


def test_an_editor_changes_the_project_and_no_other(api: Any, mlflow: Any) -> None:
    for call in WRITES:
        mlflow.seen.clear()
        for who in ("viewer", "reader"):
            assert ask(api, who, call, MINE).status_code == 403, call
        assert ask(api, "editor", call, THEIRS).status_code == 404, call
        assert mlflow.seen == [], call
        assert ask(api, "editor", call, MINE).status_code == 200, call
        assert len(mlflow.seen) == 1, call
        assert ask(api, "admin", call, THEIRS).status_code == 200, call


def test_no_second_name_and_no_way_around_leads_to_another_project(api: Any, mlflow: Any) -> None:
    queries = [("POST", "/mlflow/graphql", {"query": query, "variables": given}) for query, given in QUERIES]
    for method, path, body in [*WAYS_AROUND, *queries]:
        answer = api.http.request(method, path, json=body, headers=api.headers("project_admin"))
        assert answer.status_code in (400, 403, 404), (path, body, answer.text)
        assert mlflow.seen == [], (path, body)


def test_lists_hold_what_is_of_the_caller_alone(api: Any, mlflow: Any) -> None:
    def names(who: str, path: str, key: str) -> list[str]:
        answer = api.http.get(f"{API}/{path}", headers=api.headers(who))
        assert answer.status_code == 200
        return [each["name"] for each in answer.json()[key]]

    assert names("viewer", "experiments/search", "experiments") == ["default", "default/side"]
    assert names("stranger", "experiments/search", "experiments") == ["other"]
    assert names("viewer", "registered-models/search", "registered_models") == ["default.cancer"]
    assert names("viewer", "model-versions/search", "model_versions") == ["default.cancer"]
    assert len(names("admin", "experiments/search", "experiments")) == 4


def test_only_what_was_judged_is_sent_on(api: Any, mlflow: Any) -> None:
    """MLflow reads a GET's body where it has no query, and nothing of a POST's query: neither is sent on."""
    api.http.request("POST", f"{API}/runs/get?run_id=theirs", json={"run_id": "mine"}, headers=api.headers("editor"))
    api.http.post(f"{API}/runs/set-tag?run_id=theirs", json={"run_id": "mine"}, headers=api.headers("editor"))
    assert mlflow.seen == [("POST", "/api/2.0/mlflow/runs/set-tag", {"run_id": "mine"})]


def test_a_file_that_is_a_page_runs_nothing_here(api: Any, mlflow: Any) -> None:
    for who in ("viewer", "admin"):
        answer = api.http.get(f"{FILES}/1/mine/artifacts/page.html", headers=api.headers(who))
        assert answer.headers["Content-Security-Policy"] == "sandbox"


@pytest.mark.parametrize(("change", "breaks"), [({"role": "editor"}, False), ({"project": "other"}, True)])
def test_a_download_breaks_off_when_who_asked_may_do_less(
    api: Any, mlflow: Any, monkeypatch: pytest.MonkeyPatch, change: dict[str, str], breaks: bool
) -> None:
    """A clean end would pass for the whole. A wider role changes nothing."""

    async def parts(_: Any) -> AsyncIterator[bytes]:
        yield b"one "
        with api.sessions() as session:
            mine = select(Account.id).where(Account.name == "viewer").scalar_subquery()
            session.execute(update(Membership).where(Membership.account_id == mine).values(**change))
            changed(session)
            session.commit()
        yield b"two"

    monkeypatch.setattr(routes, "_body", parts)
    address, headers = f"{FILES}/1/mine/artifacts/model.bin", api.headers("viewer")
    if breaks:
        with pytest.raises(RuntimeError):
            api.http.get(address, headers=headers)
    else:
        assert api.http.get(address, headers=headers).text == "one two"


def test_every_rule_is_about_a_call_that_mlflow_has() -> None:
    """Else a renamed address would be closed, or worse, mean something else."""
    from mlflow.server import app
    from mlflow.server.handlers import get_endpoints

    from ratchet.tracking import rules

    there = {(method, path) for path, _, methods in get_endpoints() for method in methods}
    there |= {(method, str(rule)) for rule in app.url_map.iter_rules() for method in rule.methods or ()}
    known = {f"{method} {normal(path)}" for method, path in there}
    own = {"GET mlflow/server-info", "GET mlflow/ui-telemetry"}  # of FastAPI's part of it
    assert {shape(key) for key in rules.KNOWN} - own <= {shape(key) for key in known}


def normal(path: str) -> str:
    from ratchet.tracking.rules import _VERSION

    return _VERSION.sub("", path.lstrip("/").replace("2.0mlflow", "2.0/mlflow"), count=1)


def shape(key: str) -> str:
    """With every value in the path as `*`."""
    import re

    return re.sub(r"\{\w+\}|<[^>]+>", "*", key)
