"""Whether the platform can serve, and what it tells Prometheus."""

from __future__ import annotations

import re
from typing import Any

import pytest
from sqlalchemy import text

from ratchet.reconciler.tables import Instance

JOBS = "/api/v1/projects/default/jobs"
TRAIN: dict[str, Any] = {"kind": "train", "data": {"uri": "sklearn://iris"}}


def test_without_a_reconciler_it_is_degraded_and_says_so(api: Any) -> None:
    answer = api.http.get("/readyz")
    assert (answer.status_code, answer.json()["status"]) == (200, "degraded")
    checks = {check["name"]: check for check in answer.json()["checks"]}
    assert (checks["schema"]["ok"], checks["reconciler"]["ok"]) == (True, False)
    with api.sessions() as session:
        session.add(Instance(id="rec-1", host="here", pid=1, version="1"))
        session.commit()
    assert api.http.get("/readyz").json()["status"] == "ok"


@pytest.mark.parametrize(("revision", "status"), [("0001", 503), ("9999", 200)])
def test_a_schema_that_is_behind_is_not_ready_and_one_that_is_ahead_is(api: Any, revision: str, status: int) -> None:
    with api.sessions() as session:
        session.execute(text("UPDATE alembic_version SET version_num = :revision"), {"revision": revision})
        session.commit()
    answer = api.http.get("/readyz")
    assert answer.status_code == status
    if status == 503:
        assert "The schema is at 0001, this version needs" in answer.json()["detail"]


def test_prometheus_is_told_of_the_queue_and_the_reconcilers(api: Any) -> None:
    for _ in range(3):
        api.http.post(JOBS, json=TRAIN, headers=api.headers())
    found = dict(re.findall(r"^(ratchet_\S+) ([0-9.e+-]+)$", api.http.get("/metrics").text, re.MULTILINE))
    assert float(found["ratchet_queue_length"]) == 3
    assert float(found['ratchet_jobs{status="queued"}']) == 3
    assert float(found['ratchet_jobs{status="running"}']) == 0
    assert float(found["ratchet_reconcilers"]) == 0
    assert float(found['ratchet_reconciler_lag_seconds{table="jobs"}']) >= 0
    assert any(name.startswith("ratchet_build_info{version=") for name in found)
