"""`ratchet logs`, over an API of prepared answers."""

from __future__ import annotations

import json
from typing import Any

ENTRIES = [
    {"source": "driver", "level": "info", "text": "hello", "time": "2026-01-02T03:04:05Z"},
    {"source": "rank-1", "level": "error", "text": "Traceback\nValueError: x", "time": "2026-01-02T03:04:06Z"},
]
PAGE = {"entries": ENTRIES, "cursor": "c", "complete": True}


def test_each_line_says_whose_it_is(ratchet: Any, api: Any) -> None:
    api.will("GET", "/jobs/job-1/logs", PAGE)
    result = ratchet("logs", "job-1")
    assert result.exit_code == 0, result.output
    assert result.output == "driver | hello\nrank-1 | Traceback\n         ValueError: x\n"
    assert ratchet("jobs", "logs", "job-1").output == result.output


def test_one_source_needs_no_name_and_times_are_shown_on_demand(ratchet: Any, api: Any) -> None:
    api.will("GET", "/jobs/job-1/logs", {**PAGE, "entries": ENTRIES[:1]})
    result = ratchet("logs", "job-1", "--source", "driver", "--times")
    assert result.output == "2026-01-02 03:04:05 hello\n"


def test_json_is_a_line_for_each_entry(ratchet: Any, api: Any) -> None:
    api.will("GET", "/jobs/job-1/logs", PAGE)
    lines = ratchet("logs", "job-1", "--json").output.splitlines()
    assert [json.loads(line)["source"] for line in lines] == ["driver", "rank-1"]
