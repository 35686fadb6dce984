from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

BASE = "/api/v1/projects/default/endpoints"
VARIANTS = [
    {"name": "a", "model": "cancer", "version": 1, "weight": 0.9},
    {"name": "b", "model": "cancer", "alias": "candidate", "weight": 0.1},
]


def create(api, name: str = "cancer", **headers: str):
    body = {"name": name, "variants": VARIANTS}
    return api.http.post(BASE, json=body, headers={**api.headers("writer"), **headers})


def test_an_endpoint_from_its_creation_to_its_end(api) -> None:
    answer = create(api, **{"Idempotency-Key": "k1"})
    assert answer.status_code == 202
    made = answer.json()
    assert create(api, **{"Idempotency-Key": "k1"}).json()["id"] == made["id"]
    assert create(api).status_code == 409
    assert (made["status"], made["generation"], made["observed_generation"]) == ("deploying", 1, 0)
    assert made["url"] == f"{api.settings.serving}/default/cancer"
    assert [(each["name"], each["version"], each["alias"]) for each in made["variants"]] == [
        ("a", 1, None),
        ("b", None, "candidate"),
    ]
    shown = api.http.get(answer.headers["location"], headers=api.headers("reader")).json()
    assert shown == made
    changed = api.http.put(
        f"{BASE}/cancer", json={"variants": [{**VARIANTS[0], "weight": 1}]}, headers=api.headers()
    ).json()
    assert (changed["generation"], [each["weight"] for each in changed["variants"]]) == (2, [1.0])
    assert api.http.get(BASE, headers=api.headers("reader")).json()["items"] == [changed]
    assert api.http.delete(f"{BASE}/cancer", headers=api.headers()).json()["status"] == "deleting"


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"variants": [{**VARIANTS[0], "weight": 0.5}]}, "/variants"),
        ({"variants": []}, "/variants"),
        ({"name": "../etc"}, "/name"),
        ({"name": "x" * 3_000}, "/name"),
        ({"replicas": 0}, "/replicas"),
        ({"variants": [{**VARIANTS[0], "alias": "champion"}]}, "/variants/0"),
        ({"variants": [{**VARIANTS[0], "wieght": 1}]}, "/variants/0/wieght"),
    ],
)
def test_a_wrong_field_is_named(api, change, pointer) -> None:
    body = {"name": "cancer", "variants": VARIANTS, **change}
    answer = api.http.post(BASE, json=body, headers=api.headers("writer"))
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == pointer


def test_outcomes_are_counted_and_one_that_differs_is_a_conflict(api) -> None:
    create(api)
    body = {"outcomes": [{"request_id": "r1", "value": 1}, {"request_id": "r2", "row": 3, "value": "benign"}]}
    send = [api.http.post(f"{BASE}/cancer/outcomes", json=body, headers=api.headers("writer")) for _ in range(2)]
    assert [answer.json() for answer in send] == [
        {"accepted": 2, "duplicates": 0},
        {"accepted": 0, "duplicates": 2},
    ]
    body["outcomes"][0]["value"] = 0
    answer = api.http.post(f"{BASE}/cancer/outcomes", json=body, headers=api.headers("writer"))
    assert (answer.status_code, answer.json()["code"]) == (409, "outcome_differs")
    assert answer.json()["errors"][0]["pointer"] == "/outcomes/0/value"


def test_predictions_come_with_their_outcomes_and_traffic_by_minute(api) -> None:
    create(api)
    now = datetime.now(UTC)
    folder = Path(api.settings.storage.removeprefix("file://")) / f"predictions/default/cancer/date={now:%Y-%m-%d}"
    folder.mkdir(parents=True)
    table = pa.table(
        {
            "request_id": ["r1", "r2"],
            "row": pa.array([0, 0], pa.int32()),
            "timestamp": pa.array([now - timedelta(seconds=1), now], pa.timestamp("us", tz="UTC")),
            "variant": ["a", "b"],
            "model": ["default.cancer"] * 2,
            "model_version": [1, 2],
            "prediction": ["1", "0"],
        }
    )
    pq.write_table(table, folder / f"{now + timedelta(seconds=1):%Y%m%dT%H%M%S%fZ}-r-0.parquet")
    body = {"outcomes": [{"request_id": "r2", "value": 1}]}
    api.http.post(f"{BASE}/cancer/outcomes", json=body, headers=api.headers("writer"))
    rows = api.http.get(f"{BASE}/cancer/predictions?limit=5", headers=api.headers("reader")).json()["items"]
    assert [(each["request_id"], each["outcome"]) for each in rows] == [("r2", 1.0), ("r1", None)]
    traffic = api.http.get(f"{BASE}/cancer/traffic", headers=api.headers("reader")).json()
    assert sorted((point["variant"], point["count"]) for point in traffic["items"]) == [("a", 1), ("b", 1)]
    assert traffic["truncated"] is False
    assert api.http.get(f"{BASE}/none/traffic", headers=api.headers("reader")).status_code == 404


@pytest.mark.parametrize(("who", "status"), [("reader", 403), ("predictor", 403), ("stranger", 404)])
def test_who_may_not_write_changes_nothing(api, who, status) -> None:
    create(api)
    headers = api.headers(who)
    assert api.http.delete(f"{BASE}/cancer", headers=headers).status_code == status
    outcomes = {"outcomes": [{"request_id": "r1", "value": 1}]}
    assert api.http.post(f"{BASE}/cancer/outcomes", json=outcomes, headers=headers).status_code == status
