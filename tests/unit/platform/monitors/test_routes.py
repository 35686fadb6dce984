from __future__ import annotations

from typing import Any

import fsspec
import pytest
from sqlalchemy import update

from ratchet.monitors.tables import Check

BASE = "/api/v1/projects/default"
MONITORS = f"{BASE}/monitors"
NEW = {"name": "drift", "endpoint": "cancer", "schedule": "0 * * * *"}


@pytest.fixture
def api_with_endpoint(api: Any) -> Any:
    variants = [{"name": "a", "model": "cancer", "version": 1}]
    answer = api.http.post(f"{BASE}/endpoints", json={"name": "cancer", "variants": variants}, headers=api.headers())
    assert answer.status_code == 202, answer.text
    return api


def post(api: Any, path: str, body: dict[str, Any] | None = None) -> Any:
    return api.http.post(f"{MONITORS}{path}", json=body, headers=api.headers("writer"))


def get(api: Any, path: str) -> Any:
    return api.http.get(f"{BASE}{path}", headers=api.headers("reader"))


def test_a_monitor_is_made_paused_resumed_and_checked(api_with_endpoint: Any) -> None:
    api = api_with_endpoint
    made = post(api, "", NEW)
    assert made.status_code == 201, made.text
    assert (made.json()["status"], made.json()["last_check"]) == ("active", None)
    assert made.json()["next_check_at"].endswith(":00:00Z")
    assert post(api, "", NEW).status_code == 409
    assert post(api, "/drift:pause").json()["next_check_at"] is None
    assert post(api, "/drift:resume").json()["next_check_at"] == made.json()["next_check_at"]
    check = post(api, "/drift:check")
    assert check.status_code == 202
    assert check.headers["Location"] == f"{BASE}/checks/{check.json()['id']}"
    assert get(api, f"/checks/{check.json()['id']}").json() == check.json()
    assert get(api, "/monitors/drift/checks").json()["items"] == [check.json()]
    assert get(api, "/monitors/drift").json()["last_check"] == check.json()
    assert get(api, "/monitors").json()["items"] == [get(api, "/monitors/drift").json()]
    assert get(api, "/monitors/drift/alerts").json()["items"] == []


@pytest.mark.parametrize(
    "schedule", ["every hour", "61 * * * *", "0 0 30 2 *", "* * * *", "", "@hourly", "* * * * * *", "² * * * *"]
)
def test_a_schedule_that_is_none_is_named(api_with_endpoint: Any, schedule: str) -> None:
    answer = post(api_with_endpoint, "", {**NEW, "schedule": schedule})
    assert answer.status_code == 422
    [error] = answer.json()["errors"]
    assert (error["pointer"], error["value"]) == ("/schedule", schedule)
    assert error["message"].startswith(f"{schedule!r} is not a cron expression")
    assert "minute hour day month weekday" in error["message"]


@pytest.mark.parametrize(
    ("change", "status", "says"),
    [
        ({"endpoint": "cancre"}, 404, "no endpoint 'cancre'"),
        ({"pipeline": "retrain"}, 404, "no pipeline 'retrain'"),
        ({"alpha": 0}, 422, "/alpha"),
        ({"window_s": 1}, 422, "/window_s"),
        ({"windows": 1}, 422, "/windows"),
    ],
)
def test_a_bad_request_says_what_is_wrong(
    api_with_endpoint: Any, change: dict[str, Any], status: int, says: str
) -> None:
    answer = post(api_with_endpoint, "", {**NEW, **change})
    assert answer.status_code == status
    assert says in answer.json()["detail"]
    assert get(api_with_endpoint, "/monitors").json()["items"] == []


def test_a_report_is_shown_in_a_sandbox(api_with_endpoint: Any) -> None:
    api = api_with_endpoint
    post(api, "", NEW)
    check = post(api, "/drift:check").json()["id"]
    missing = get(api, f"/checks/{check}/report")
    assert (missing.status_code, missing.json()["detail"]) == (404, f"Check '{check}' has no report: pending.")
    assert get(api, f"/checks/{check}").json()["report_url"] is None
    with api.sessions() as session:
        session.execute(update(Check).values(status="succeeded", verdict="drift"))
        session.commit()
        row = session.get_one(Check, check)
    with fsspec.open(row.report, "wb", auto_mkdir=True) as file:
        file.write(b"<script>steal(document.cookie)</script>")
    url = get(api, f"/checks/{check}").json()["report_url"]
    report = api.http.get(url, headers=api.headers("reader"))
    assert report.content == b"<script>steal(document.cookie)</script>"
    assert report.headers["Content-Type"].startswith("text/html")
    assert report.headers["Content-Security-Policy"] == "sandbox allow-scripts"
    assert report.headers["X-Content-Type-Options"] == "nosniff"


def test_what_is_unknown_is_404(api: Any) -> None:
    for path in ("/monitors/x", "/monitors/x/checks", "/monitors/x/alerts", "/checks/chk-x", "/checks/chk-x/report"):
        answer = get(api, path)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), path
    for path in ("/x:check", "/x:pause", "/x:resume"):
        assert post(api, path).status_code == 404


def test_a_check_of_another_project_does_not_exist(api_with_endpoint: Any) -> None:
    api = api_with_endpoint
    post(api, "", NEW)
    check = post(api, "/drift:check").json()["id"]
    for path in (f"/checks/{check}", f"/checks/{check}/report"):
        answer = api.http.get(f"/api/v1/projects/other{path}", headers=api.headers("admin"))
        assert answer.status_code == 404
