"""Specs from files: what is sent, and where a mistake is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ratchet.cli import files
from ratchet.cli.errors import UsageError

JOB = {"id": "job-1", "kind": "train", "status": "queued"}
TRAIN = """\
kind: train
data:
  uri: sklearn://digits
params:
  epocs: 20
  learning_rate: 3e-3
"""


@pytest.fixture(autouse=True)
def kinds(api: Any) -> None:
    jobs = {"train": True, "endpoint": False, "monitor": False}
    api.will("GET", "/schemas", [{"kind": kind, "job": job} for kind, job in jobs.items()])
    api.will("GET", "/schemas/train.json", {"properties": {"resources": {}}})


def write(tmp_path: Path, text: str) -> str:
    path = tmp_path / "spec.yaml"
    path.write_text(text)
    return str(path)


def test_a_job_is_planned_and_then_submitted(ratchet: Any, api: Any, tmp_path: Path) -> None:
    api.will("POST", "/jobs:plan", {"kind": "train", "cpus": 2, "gpus": 0, "starts_now": True, "message": "It starts."})
    api.will("POST", "/jobs", JOB, 202)
    result = ratchet("apply", "-f", write(tmp_path, TRAIN))
    assert result.exit_code == 0, result.output
    assert [path for _, path, _ in api.sent] == ["/schemas", "/jobs:plan", "/jobs"]
    assert api.body("POST", "/jobs")["params"] == {"epocs": 20, "learning_rate": 0.003}
    assert "2 CPUs" in result.stderr


def test_a_dry_run_starts_nothing(ratchet: Any, api: Any, tmp_path: Path) -> None:
    api.will("POST", "/jobs:plan", {"kind": "train"})
    assert ratchet("apply", "-f", write(tmp_path, TRAIN), "--dry-run").exit_code == 0
    assert [path for _, path, _ in api.sent] == ["/schemas", "/jobs:plan"]


def test_a_refusal_has_the_line_of_each_field(ratchet: Any, api: Any, tmp_path: Path) -> None:
    wrong = {"pointer": "/params/epocs", "message": "There is no parameter 'epocs'. Did you mean 'epochs'?"}
    api.will("POST", "/jobs:plan", {"detail": "1 field is wrong.", "errors": [wrong]}, 422)
    result = ratchet("apply", "-f", write(tmp_path, TRAIN))
    assert result.exit_code == 2
    assert "params.epocs: There is no parameter 'epocs'. Did you mean 'epochs'? (line 5)" in result.stderr


def test_a_field_that_is_unknown_gets_a_suggestion(ratchet: Any, api: Any, tmp_path: Path) -> None:
    wrong = {"pointer": "/resource", "message": "There is no such field."}
    api.will("POST", "/jobs:plan", {"detail": "1 field is wrong.", "errors": [wrong]}, 422)
    result = ratchet("apply", "-f", write(tmp_path, TRAIN + "resource: {workers: 2}\n"))
    assert "There is no such field. Did you mean 'resources'? (line 7)" in result.stderr


def test_a_misspelt_kind_is_recognised_and_nothing_is_planned(ratchet: Any, api: Any, tmp_path: Path) -> None:
    result = ratchet("apply", "-f", write(tmp_path, TRAIN + "---\nname: x\nkind: endpont\n"))
    assert result.exit_code == 2
    assert "spec.yaml:9: there is no kind 'endpont'. Did you mean 'endpoint'?" in result.stderr
    assert [path for _, path, _ in api.sent] == ["/schemas"]


ENDPOINT = "kind: endpoint\nname: e\nvariants:\n  - {name: a, model: bc, version: 2, weight: 1}\n"
MONITOR = "kind: monitor\nname: m\nendpoint: e\n"


def planned(kind: str, name: str, action: str, *differences: dict[str, Any]) -> dict[str, Any]:
    method, path = ("PUT", f"/{kind}s/{name}") if action == "update" else ("POST", f"/{kind}s")
    request = {"method": method, "path": f"/api/v1/projects/default{path}", "body": {"name": name}}
    plan = {"kind": kind, "name": name, "action": action, "differences": list(differences)}
    return {**plan, "request": None if action == "none" else request}


def test_what_would_change_is_shown_before_it_is_done(ratchet: Any, api: Any, tmp_path: Path) -> None:
    change = {"field": "variants.a.version", "before": 1, "after": 2}
    api.will("POST", "/documents:plan", {"items": [planned("endpoint", "e", "update", change)]})
    api.will("PUT", "/endpoints/e", {"name": "e", "status": "updating"}, 202)
    file = write(tmp_path, ENDPOINT)
    dry = ratchet("apply", "-f", file, "--dry-run")
    assert "~ change endpoint e\n    variants.a.version  1 → 2\n" in dry.stdout
    assert [path for _, path, _ in api.sent] == ["/schemas", "/documents:plan"]
    result = ratchet("apply", "-f", file)
    assert result.exit_code == 0, result.output
    assert "variants.a.version  1 → 2" in result.stderr
    assert api.body("PUT", "/endpoints/e") == {"name": "e"}


def test_what_is_as_it_should_be_is_left_alone(ratchet: Any, api: Any, tmp_path: Path) -> None:
    api.will("POST", "/documents:plan", {"items": [planned("endpoint", "e", "none")]})
    result = ratchet("apply", "-f", write(tmp_path, ENDPOINT), "--json")
    assert (result.exit_code, json.loads(result.stdout)) == (0, [])
    assert [path for _, path, _ in api.sent] == ["/schemas", "/documents:plan"]


def test_beside_what_changes_the_rest_is_left_alone(ratchet: Any, api: Any) -> None:
    api.will(
        "POST", "/documents:plan", {"items": [planned("endpoint", "e", "none"), planned("monitor", "m", "create")]}
    )
    api.will("POST", "/monitors", {"name": "m"}, 201)
    result = ratchet("apply", "-f", "-", "--yes", "--json", input=f"{ENDPOINT}---\n{MONITOR}")
    assert [one["name"] for one in json.loads(result.stdout)] == ["m"]


def test_several_documents_are_planned_together_and_done_in_order(ratchet: Any, api: Any) -> None:
    api.will(
        "POST", "/documents:plan", {"items": [planned("endpoint", "e", "create"), planned("monitor", "m", "create")]}
    )
    api.will("POST", "/jobs:plan", {"kind": "train"})
    api.will("POST", "/endpoints", {"name": "e"}, 202)
    api.will("POST", "/jobs", JOB, 202)
    api.will("POST", "/monitors", {"name": "m"}, 201)
    result = ratchet("apply", "-f", "-", "--yes", "--json", input=f"{ENDPOINT}---\n{TRAIN}---\n{MONITOR}")
    assert result.exit_code == 0, result.output
    assert len(api.body("POST", "/documents:plan")["documents"]) == 2
    assert [path for _, path, _ in api.sent][-3:] == ["/endpoints", "/jobs", "/monitors"]
    assert [one.get("id") or one["name"] for one in json.loads(result.stdout)] == ["e", "job-1", "m"]


def test_the_first_that_fails_ends_it_with_its_status(ratchet: Any, api: Any) -> None:
    failed = {**JOB, "status": "failed", "message": "no data"}
    api.will("POST", "/documents:plan", {"items": [planned("monitor", "m", "create")]})
    api.will("POST", "/jobs:plan", {"kind": "train"})
    api.will("POST", "/jobs", JOB, 202)
    api.will("GET", "/jobs/job-1", failed)
    result = ratchet("apply", "-f", "-", "-y", "--wait", "--json", input=f"{TRAIN}---\n{MONITOR}")
    assert result.exit_code == 7
    assert [one["id"] for one in json.loads(result.stdout)] == ["job-1"]
    assert ("POST", "/monitors") not in [(method, path) for method, path, _ in api.sent]


def test_a_refusal_of_the_second_document_has_its_line(ratchet: Any, api: Any) -> None:
    wrong = {"pointer": "/documents/1/alpa", "message": "There is no such field."}
    api.will("POST", "/documents:plan", {"detail": "1 field is wrong.", "errors": [wrong]}, 422)
    schema = {"properties": {"alpha": {}}, "definitions": {}}
    api.will("GET", "/schemas/monitor.json", schema)
    result = ratchet("apply", "-f", "-", "-y", input=f"{ENDPOINT}---\n{MONITOR}alpa: 1\n")
    assert result.exit_code == 2
    assert "stdin:6: 1 field is wrong." in result.stderr
    assert "alpa: There is no such field. Did you mean 'alpha'? (line 9)" in result.stderr


def test_a_conflict_has_the_line_of_its_document(ratchet: Any, api: Any) -> None:
    whole = {"pointer": "/documents/1", "message": "It runs."}
    api.will("POST", "/documents:plan", {"detail": "It runs.", "errors": [whole]}, 409)
    result = ratchet("apply", "-f", "-", "-y", input=f"{ENDPOINT}---\n{MONITOR}")
    assert result.exit_code == 5
    assert result.stderr == "Error: stdin:6: It runs.\n"


def test_init_writes_a_file_and_never_over_another(ratchet: Any, tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    assert ratchet("init", "endpoint", "-o", str(path)).exit_code == 0
    first, second = path.read_text().splitlines()[:2]
    assert first == "# yaml-language-server: $schema=http://127.0.0.1:8470/schemas/endpoint.json"
    assert second == "kind: endpoint"
    again = ratchet("init", "train", "-o", str(path))
    assert again.exit_code == 2
    assert "--force" in again.stderr
    assert path.read_text().splitlines()[1] == "kind: endpoint"
    assert ratchet("init", "train", "-o", str(path), "--force").exit_code == 0
    assert "kind: train" in path.read_text()
    assert ratchet("init", "-o", "-").stdout == path.read_text()
    assert "Did you mean 'sweep'?" in ratchet("init", "swep").stderr


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1, 2\n", r"f:2:1: .*expected"),
        ("kind: train\nkind: sweep\n", r"f:2: 'kind' is given twice; the first is in line 1"),
        ("- kind: train\n", r"f:1: a spec is a mapping"),
        ("", r"f is empty"),
        ("a: !!python/object/apply:os.system [id]\n", r"f:1: could not determine a constructor"),
    ],
)
def test_what_is_no_spec_is_told_with_its_line(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        files.parse(text, "f")


def test_a_file_that_is_missing_is_told(ratchet: Any) -> None:
    result = ratchet("apply", "-f", "/none.yaml")
    assert result.exit_code == 2
    assert "/none.yaml cannot be read: No such file or directory" in result.stderr


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3e-3", 0.003),
        ("20", 20),
        ("-1.5", -1.5),
        ("true", True),
        ("no", "no"),
        ("2026-11-01T00:00:00Z", "2026-11-01T00:00:00Z"),
        ("1:30", "1:30"),
        ("[64, 64]", [64, 64]),
        ("s3://b/x.parquet", "s3://b/x.parquet"),
        ("", None),
        (".inf", float("inf")),
        ("0o17", "0o17"),
    ],
)
def test_values_are_read_as_yaml_1_2(text: str, value: Any) -> None:
    found = files.value(text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("text", ["epochs", "=3", "a=[1"])
def test_what_is_no_assignment_is_told(text: str) -> None:
    with pytest.raises(UsageError):
        files.assignments([text], "-p")
