"""One thing of each kind, over the API: what tests of all its routes ask of."""

from __future__ import annotations

import io
import zipfile
from typing import Any

import fsspec
import pytest

from ratchet.monitors.tables import Check

BASE = "/api/v1/projects/default"
DATA = {"uri": "sklearn://breast_cancer"}
TRAIN = {"kind": "train", "data": DATA, "model": "cancer"}
GATE = {"metric": "accuracy", "data": DATA}


@pytest.fixture
def known(api: Any) -> dict[str, str]:
    """Path parameters that name what there is: one of each kind."""

    def made(path: str, **body: Any) -> dict[str, Any]:
        answer = api.http.post(BASE + path, json=body, headers=api.headers())
        assert answer.is_success, answer.text
        found: dict[str, Any] = answer.json()
        return found

    mlflow = api.clients.mlflow
    mlflow.ensure_registered_model("default.cancer")
    run = mlflow.create_run(mlflow.ensure_experiment("default"), "one", {})
    mlflow.create_version("default.cancer", source="models:/m-1", run_id=run.run_id, tags={})
    variants = [
        {"name": "a", "model": "cancer", "version": 1, "weight": 0.5},
        {"name": "b", "model": "cancer", "alias": "challenger", "weight": 0.5},
    ]
    made("/endpoints", name="cancer", variants=variants)
    made("/pipelines", name="retrain", train=TRAIN, gate=GATE, endpoint="cancer", schedule="0 3 * * *")
    made("/monitors", name="drift", endpoint="cancer", pipeline="retrain")
    made("/abtests", name="first", endpoint="cancer", control="a", treatment="b")
    check = made("/monitors/drift:check")["id"]
    moved = api.http.put(f"{BASE}/models/cancer/aliases/challenger", json={"version": 1}, headers=api.headers())
    assert moved.is_success, moved.text
    made("/webhooks", name="chat", url="https://hooks.example.com/x")
    with api.sessions() as session, fsspec.open(session.get_one(Check, check).report, "wb", auto_mkdir=True) as file:
        file.write(b"<html></html>")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("train.py", "print(1)")
    bundle = api.http.post(f"{BASE}/bundles", content=packed.getvalue(), headers=api.headers()).json()
    return {
        "project": "default",
        "digest": bundle["digest"],
        "job_id": made("/jobs", **TRAIN)["id"],
        "model": "cancer",
        "promotion": made("/models/cancer/promotions", version=1, gate=GATE)["id"],
        "alias": "challenger",
        "endpoint": "cancer",
        "abtest": "first",
        "monitor": "drift",
        "check": check,
        "pipeline": "retrain",
        "kind": "train",
        "webhook": "chat",
        "delivery": made("/webhooks/chat:test")["id"],
        "run": made("/pipelines/retrain:run")["id"],
        "token_id": made("/tokens", name="mine", scope="read")["id"],
        "account_id": made("/service-accounts", name="shop")["id"],
        "user_id": api.http.post("/api/v1/users", json={"name": "ann"}, headers=api.headers()).json()["id"],
    }
