"""What documents would change, and that finding out changes nothing."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session, sessionmaker

from ratchet.documents import service
from ratchet.documents.schemas import Document
from ratchet.errors import Conflict, Invalid, NotFound
from ratchet.events import Event
from ratchet.settings import Settings

ENDPOINT = {
    "kind": "endpoint",
    "name": "cancer",
    "variants": [
        {"name": "a", "model": "cancer", "version": 1, "weight": 0.5},
        {"name": "b", "model": "cancer", "alias": "champion", "weight": 0.5},
    ],
}
TRAIN = {"kind": "train", "data": {"uri": "sklearn://breast_cancer"}, "model": "cancer"}
PIPELINE = {
    "kind": "pipeline",
    "name": "retrain",
    "train": TRAIN,
    "gate": {"metric": "accuracy", "data": {"uri": "sklearn://breast_cancer"}},
    "endpoint": "cancer",
}
MONITOR = {"kind": "monitor", "name": "drift", "endpoint": "cancer", "pipeline": "retrain"}
ABTEST = {"kind": "abtest", "name": "t", "endpoint": "cancer", "control": "a", "treatment": "b"}
ALL = [ENDPOINT, PIPELINE, MONITOR, ABTEST]


def plans(session: Session, *documents: dict[str, Any]) -> list[Any]:
    found = [Document.model_validate(document) for document in documents]
    return service.plan(session, project="default", documents=found, actor="test", settings=Settings())


def events(session: Session) -> int:
    return session.scalar(select(func.count()).select_from(Event)) or 0


def test_each_document_sees_the_ones_before_and_nothing_is_kept(sessions: sessionmaker[Session]) -> None:
    with sessions() as session:
        before = events(session)
        found = plans(session, *ALL)
        assert [(plan.kind, plan.action) for plan in found] == [(document["kind"], "create") for document in ALL]
        session.commit()
    with sessions() as session:
        assert events(session) == before
        with pytest.raises(NotFound, match="endpoint"):
            plans(session, MONITOR)


def test_pointers_begin_at_their_document(sessions: sessionmaker[Session]) -> None:
    with sessions() as session:
        with pytest.raises(Invalid) as caught:
            plans(session, ENDPOINT, {**MONITOR, "alpa": 1})
        assert [error.pointer for error in caught.value.errors] == ["/documents/1/alpa"]
        with pytest.raises(NotFound) as missing:
            plans(session, ENDPOINT, MONITOR)
        assert [error.pointer for error in missing.value.errors] == ["/documents/1"]


@pytest.mark.parametrize(("kind", "message"), [("train", "kind of job"), ("endpont", "Did you mean 'endpoint'?")])
def test_other_kinds_are_refused(sessions: sessionmaker[Session], kind: str, message: str) -> None:
    with sessions() as session, pytest.raises(Invalid) as caught:
        plans(session, {"kind": kind})
    assert caught.value.errors[0].pointer == "/documents/0/kind"
    assert message in caught.value.errors[0].message


def sent(api: Any, request: Any, who: str) -> Any:
    tag = {"If-Match": request["if_match"]} if request["if_match"] else {}
    headers = {**api.headers(who), **tag}
    return api.http.request(request["method"], request["path"], json=request["body"], headers=headers)


def send(api: Any, request: Any, who: str = "writer") -> Any:
    answer = sent(api, request, who)
    assert answer.is_success, answer.text
    return answer.json()


def ask(api: Any, *documents: dict[str, Any], who: str = "writer") -> Any:
    address = "/api/v1/projects/default/documents:plan"
    return api.http.post(address, json={"documents": list(documents)}, headers=api.headers(who))


def planned(api: Any, *documents: dict[str, Any]) -> list[Any]:
    answer = ask(api, *documents)
    assert answer.is_success, answer.text
    items: list[Any] = answer.json()["items"]
    return items


CHANGES = [
    (ENDPOINT, {"replicas": 2}, [("replicas", 1, 2)]),
    (
        ENDPOINT,
        {"variants": [{"name": "a", "model": "cancer", "version": 2}]},
        [
            ("variants.a.version", 1, 2),
            ("variants.a.weight", 0.5, 1.0),
            ("variants.b", {"name": "b", "model": "cancer", "version": None, "alias": "champion", "weight": 0.5}, None),
        ],
    ),
    (PIPELINE, {"schedule": "0 3 * * *"}, [("schedule", None, "0 3 * * *")]),
    (PIPELINE, {"train": {**TRAIN, "params": {"epochs": 5}}}, [("train.params.epochs", None, 5)]),
    (MONITOR, {"pipeline": None, "alpha": 0.1}, [("alpha", 0.01, 0.1), ("pipeline", "retrain", None)]),
]


@pytest.mark.parametrize(("document", "change", "differences"), CHANGES)
def test_the_request_of_a_plan_brings_it_about(
    api: Any, document: dict[str, Any], change: dict[str, Any], differences: list[Any]
) -> None:
    for plan in planned(api, ENDPOINT, PIPELINE, MONITOR):
        send(api, plan["request"])
    assert [plan["action"] for plan in planned(api, ENDPOINT, PIPELINE, MONITOR)] == ["none"] * 3
    wanted = {**document, **change}
    (plan,) = planned(api, wanted)
    assert plan["action"] == "update"
    found = [(one["field"], one["before"], one["after"]) for one in plan["differences"]]
    assert sorted(found, key=str) == sorted(differences, key=str)
    send(api, plan["request"])
    assert planned(api, wanted)[0]["action"] == "none"
    send(api, planned(api, document)[0]["request"])
    assert planned(api, document)[0]["request"] is None


@pytest.mark.parametrize("document", [ENDPOINT, MONITOR, PIPELINE])
def test_what_was_changed_after_it_was_planned_is_left_alone(api: Any, document: dict[str, Any]) -> None:
    changes = {"endpoint": {"replicas": 2}, "monitor": {"alpha": 0.1}, "pipeline": {"challenger_weight": 0.1}}
    for plan in planned(api, ENDPOINT, PIPELINE, MONITOR):
        send(api, plan["request"])
    (plan,) = planned(api, {**document, **changes[document["kind"]]})
    send(api, plan["request"])
    late = sent(api, plan["request"], "writer")
    assert (late.status_code, late.json()["code"]) == (412, "precondition_failed")


def test_a_quota_is_there_always_and_set_by_administrators(api: Any) -> None:
    (plan,) = planned(api, {"kind": "quota", "gpus": 2})
    assert (plan["action"], plan["name"], plan["request"]["method"]) == ("update", "", "PUT")
    assert [(one["field"], one["before"], one["after"]) for one in plan["differences"]] == [("gpus", None, 2.0)]
    assert sent(api, plan["request"], "writer").status_code == 403
    assert send(api, plan["request"], "admin")["gpus"] == 2
    assert planned(api, {"kind": "quota", "gpus": 2})[0]["action"] == "none"


def test_a_webhook_is_changed_in_part_and_its_secret_is_shown_once(api: Any) -> None:
    webhook = {"kind": "webhook", "name": "w", "url": "https://hooks.example.com/x", "events": ["job.*"]}
    made = send(api, planned(api, webhook)[0]["request"], "admin")
    assert made["secret"].startswith("whsec_")
    (plan,) = planned(api, {**webhook, "enabled": False})
    assert (plan["request"]["method"], plan["differences"][0]["field"]) == ("PATCH", "enabled")
    assert send(api, plan["request"], "admin")["enabled"] is False
    assert sent(api, plan["request"], "admin").status_code == 412


def test_viewers_plan_nothing(api: Any) -> None:
    assert ask(api, ENDPOINT, who="reader").status_code == 403


def test_what_can_not_be_changed_is_said_at_once(api: Any) -> None:
    for plan in planned(api, ENDPOINT, ABTEST):
        send(api, plan["request"])
    assert planned(api, ABTEST)[0]["action"] == "none"
    for document, field in ((ABTEST, {"alpha": 0.2}), (ENDPOINT, {"cpus_per_replica": 2})):
        answer = ask(api, {**document, **field})
        assert (answer.status_code, answer.json()["code"]) == (409, "conflict")


def test_a_plan_is_refused_where_the_request_would_be(sessions: sessionmaker[Session]) -> None:
    with sessions() as session, pytest.raises((Conflict, Invalid), match="weight"):
        plans(session, {**ENDPOINT, "variants": [{"name": "a", "model": "m", "version": 1, "weight": 0.3}]})


def test_schemas_are_open_and_unknown_ones_are_not_found(api: Any) -> None:
    listed = api.http.get("/schemas")
    assert {kind["kind"]: kind["job"] for kind in listed.json()} == {
        **dict.fromkeys(["train", "sweep", "evaluate", "drift_check", "batch_prediction", "custom"], True),
        **dict.fromkeys(["endpoint", "abtest", "monitor", "pipeline", "webhook", "quota"], False),
    }
    for kind in listed.json():
        found = api.http.get(kind["schema_url"])
        assert found.json()["properties"]["kind"] == {"const": kind["kind"]}
        assert kind["summary"], kind
    assert "definitions" in api.http.get("/schemas/any.json").json()
    missing = api.http.get("/schemas/trian.json")
    assert (missing.status_code, missing.json()["code"]) == (404, "not_found")
    assert "Did you mean 'train'?" in missing.json()["detail"]
