"""Specs from files: what is sent, and where a mistake is."""

from __future__ import annotations

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


def write(tmp_path: Path, text: str) -> str:
    path = tmp_path / "spec.yaml"
    path.write_text(text)
    return str(path)


def test_a_job_is_planned_and_then_submitted(ratchet: Any, api: Any, tmp_path: Path) -> None:
    api.will("POST", "/jobs:plan", {"kind": "train", "cpus": 2, "gpus": 0, "starts_now": True, "message": "It starts."})
    api.will("POST", "/jobs", JOB, 202)
    result = ratchet("apply", "-f", write(tmp_path, TRAIN))
    assert result.exit_code == 0, result.output
    assert [path for _, path, _ in api.sent] == ["/jobs:plan", "/jobs"]
    assert api.body("POST", "/jobs")["params"] == {"epocs": 20, "learning_rate": 0.003}
    assert "2 CPUs" in result.stderr


def test_a_dry_run_starts_nothing(ratchet: Any, api: Any, tmp_path: Path) -> None:
    api.will("POST", "/jobs:plan", {"kind": "train"})
    assert ratchet("apply", "-f", write(tmp_path, TRAIN), "--dry-run").exit_code == 0
    assert [path for _, path, _ in api.sent] == ["/jobs:plan"]


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


def test_a_misspelt_kind_is_recognised_and_nothing_is_sent(ratchet: Any, api: Any, tmp_path: Path) -> None:
    result = ratchet("apply", "-f", write(tmp_path, "name: x\nkind: endpont\n"))
    assert result.exit_code == 2
    assert "spec.yaml:2: there is no kind 'endpont'. Did you mean 'endpoint'?" in result.stderr
    assert api.sent == []


def test_an_endpoint_that_exists_is_changed(ratchet: Any, api: Any, tmp_path: Path) -> None:
    text = "kind: endpoint\nname: e\nvariants:\n  - {name: a, model: bc, version: 2, weight: 1}\n"
    old = {"name": "a", "model": "bc", "version": 1, "weight": 1}
    api.will("GET", "/endpoints/e", {"name": "e", "variants": [old]})
    api.will("POST", "/endpoints", {"detail": "There is an endpoint 'e' already."}, 409)
    api.will("PUT", "/endpoints/e", {"name": "e", "status": "updating"}, 202)
    result = ratchet("apply", "-f", write(tmp_path, text))
    assert result.exit_code == 0, result.output
    assert "a  bc:1 100 % → bc:2 100 %" in result.stderr
    assert api.body("PUT", "/endpoints/e") == {"variants": [{"name": "a", "model": "bc", "version": 2, "weight": 1}]}


def test_several_documents_are_done_in_order(ratchet: Any, api: Any) -> None:
    api.will("POST", "/monitors", {"name": "m"}, 201)
    api.will("POST", "/abtests", {"id": "ab-1", "name": "t"}, 201)
    text = "kind: monitor\nname: m\nendpoint: e\n---\nkind: abtest\nname: t\nendpoint: e\n"
    result = ratchet("apply", "-f", "-", "--yes", input=text)
    assert result.exit_code == 0, result.output
    assert [(path, body) for _, path, body in api.sent] == [
        ("/monitors", {"name": "m", "endpoint": "e"}),
        ("/abtests", {"name": "t", "endpoint": "e"}),
    ]


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
