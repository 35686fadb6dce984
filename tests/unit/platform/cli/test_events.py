"""`ratchet events`, over an API of prepared answers."""

from __future__ import annotations

from typing import Any

EVENT = {"id": 1, "project": "fraud", "actor": "ann", "action": "job.submitted", "target": {"kind": "job", "id": "j"}}
GOOD = {"ok": True, "broken": None, "checked": 2, "anchor": f"2:{'a' * 64}", "complete": True, "pending": 1}


def test_the_log_of_a_project_and_of_all(ratchet: Any, api: Any) -> None:
    api.will("GET", "/events", {"items": [EVENT], "next_page_token": ""})
    for arguments in (["events", "list"], ["events", "list", "--all"]):
        result = ratchet(*arguments)
        assert result.exit_code == 0, result.output
        assert "job.submitted" in result.output
        assert ("fraud" in result.output) == ("--all" in arguments)


def test_a_whole_log_is_said_with_its_anchor(ratchet: Any, api: Any) -> None:
    api.will("GET", "/events:verify", GOOD)
    result = ratchet("events", "verify")
    assert result.exit_code == 0, result.output
    assert GOOD["anchor"] in result.output


def test_a_broken_log_is_named_and_fails_the_command(ratchet: Any, api: Any) -> None:
    broken = {"kind": "altered", "seq": 2, "event_id": 7, "message": "The event 7 is not what was sealed."}
    api.will("GET", "/events:verify", {**GOOD, "ok": False, "complete": False, "broken": broken})
    result = ratchet("events", "verify")
    assert result.exit_code == 7
    assert "entry 2 (altered)" in result.output
