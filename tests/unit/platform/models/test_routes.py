from __future__ import annotations

import math

import pytest

from ratchet.models.reconcile import PromotionReconciler
from ratchet.reconciler.loop import claim, step

BASE = "/api/v1/projects/default/models"
GATE = {"metric": "accuracy", "minimum": 0.9, "data": {"uri": "sklearn://breast_cancer"}}


@pytest.fixture
def cancer(api):
    """Two versions, the first of them champion."""
    mlflow = api.clients.mlflow
    for name in ("default.cancer", "other.secret"):
        mlflow.ensure_registered_model(name)
    for number in range(2):
        run = mlflow.create_run("1", "train", {"ratchet.job": f"job-{number}"})
        mlflow.log(run.run_id, {"test/accuracy": [0.9 + number / 100], "val/loss": [math.nan]})
        mlflow.create_version("default.cancer", source=f"models:/m-{number}", run_id=run.run_id, tags={})
    mlflow.set_alias("default.cancer", "champion", 1)
    return api


def test_models_are_those_of_the_project_as_mlflow_has_them(cancer) -> None:
    listed = cancer.http.get(BASE, headers=cancer.headers("reader")).json()
    assert listed["items"] == [{"name": "cancer", "latest_version": 2, "aliases": {"champion": 1}, "description": None}]
    model = cancer.http.get(f"{BASE}/cancer", headers=cancer.headers("reader")).json()
    assert [(each["version"], each["aliases"], each["job"]) for each in model["versions"]] == [
        (2, [], "job-1"),
        (1, ["champion"], "job-0"),
    ]
    assert model["versions"][0]["metrics"] == {"test/accuracy": 0.91, "val/loss": None}


def test_a_model_that_is_not_there_is_named_with_one_that_is(cancer) -> None:
    answer = cancer.http.get(f"{BASE}/cancr", headers=cancer.headers("reader"))
    assert answer.status_code == 404
    assert "Did you mean 'cancer'" in answer.json()["detail"]
    assert cancer.http.get(f"{BASE}/secret", headers=cancer.headers("reader")).status_code == 404
    assert cancer.http.get(f"{BASE}/..%2Fx", headers=cancer.headers("reader")).status_code in (404, 422)


def test_while_mlflow_is_away_reads_are_503_and_promotions_are_taken(cancer) -> None:
    cancer.clients.faults.down.add("mlflow")
    answer = cancer.http.get(BASE, headers=cancer.headers("reader"))
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert answer.headers["retry-after"]
    body = {"version": 2, "gate": GATE}
    assert cancer.http.post(f"{BASE}/cancer/promotions", json=body, headers=cancer.headers()).status_code == 202


def test_a_promotion_is_asked_for_once_under_one_key(cancer) -> None:
    body = {"version": 2, "gate": GATE}
    headers = {**cancer.headers("writer"), "Idempotency-Key": "k1"}
    answers = [cancer.http.post(f"{BASE}/cancer/promotions", json=body, headers=headers) for _ in range(2)]
    first, second = (answer.json() for answer in answers)
    assert [answer.status_code for answer in answers] == [202, 202]
    assert first["id"] == second["id"]
    assert (first["status"], first["alias"], first["actor"], first["gate"]["minimum"]) == (
        *("pending", "champion", "writer", 0.9),
    )
    shown = cancer.http.get(answers[0].headers["location"], headers=cancer.headers("reader")).json()
    assert shown["id"] == first["id"]
    listed = cancer.http.get(f"{BASE}/cancer/promotions", headers=cancer.headers("reader")).json()
    assert [each["id"] for each in listed["items"]] == [first["id"]]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"version": 0, "gate": GATE}, "/version"),
        ({"version": 1}, "/gate"),
        ({"version": 1, "gate": {**GATE, "metric": "acuracy"}}, "/gate/metric"),
        ({"version": 1, "gate": {**GATE, "max_regression": -1}}, "/gate/max_regression"),
        ({"version": 1, "alias": "v1", "gate": GATE}, "/alias"),
        ({"version": 1, "gate": GATE, "force": True}, "/force"),
    ],
)
def test_a_wrong_field_is_named(cancer, body, pointer) -> None:
    answer = cancer.http.post(f"{BASE}/cancer/promotions", json=body, headers=cancer.headers("writer"))
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]


def test_champion_is_not_set_directly_and_others_are(cancer) -> None:
    refused = cancer.http.put(f"{BASE}/cancer/aliases/champion", json={"version": 2}, headers=cancer.headers())
    assert (refused.status_code, refused.json()["code"]) == (409, "gate_required")
    taken = cancer.http.put(f"{BASE}/cancer/aliases/shadow", json={"version": 2}, headers=cancer.headers())
    assert taken.status_code == 202
    reconciler = PromotionReconciler(cancer.clients)
    for _ in range(3):
        with cancer.sessions() as session:
            claimed = claim(session, reconciler, 10)
        for row_id, lease in claimed:
            step(cancer.sessions, reconciler, row_id, lease)
    moves = cancer.http.get(f"{BASE}/cancer/alias-moves", headers=cancer.headers("reader")).json()["items"]
    assert [(each["alias"], each["from_version"], each["to_version"], each["actor"]) for each in moves] == [
        ("shadow", None, 2, "admin")
    ]
    assert cancer.clients.mlflow.models["default.cancer"].aliases == {"champion": 1, "shadow": 2}


@pytest.mark.parametrize(("who", "status"), [("reader", 403), ("predictor", 403), ("stranger", 404)])
def test_who_may_not_write_asks_in_vain(cancer, who, status) -> None:
    body = {"version": 2, "gate": GATE}
    answer = cancer.http.post(f"{BASE}/cancer/promotions", json=body, headers=cancer.headers(who))
    assert answer.status_code == status
