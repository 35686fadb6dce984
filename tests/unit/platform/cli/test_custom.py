"""`run` and `batch`: what they upload and submit."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter

from ratchet_pipelines.spec import JobSpec

JOB = {"id": "job-1", "kind": "custom", "status": "queued", "name": "n"}
BUNDLE = {"id": "bun-1", "digest": "sha256:" + "a" * 64, "files": 2, "size_bytes": 300}
COMMIT = "0123456789abcdef0123456789abcdef01234567"
SPECS: TypeAdapter[Any] = TypeAdapter(JobSpec)


def submitted(api: Any) -> dict[str, Any]:
    spec: dict[str, Any] = api.body("POST", "/jobs")
    SPECS.validate_python(spec)
    return spec


def test_a_folder_is_uploaded_and_its_program_submitted(ratchet, api, tmp_path):
    (tmp_path / "train.py").write_text("print(1)")
    api.will("POST", "/bundles", BUNDLE, 201)
    api.will("POST", "/jobs", JOB, 202)
    flags = ["--dir", ".", "-e", "LR=0.1", "-e", "EMPTY=", "--model", "cancer", "--memory", "2", "--gpus", "1"]
    result = ratchet("run", "--code", str(tmp_path), *flags, "--", "python", "train.py", "--lr", "0.1", "-f")
    assert result.exit_code == 0, result.output
    assert "2 files" in result.output
    assert submitted(api) == {
        "kind": "custom",
        "code": {"kind": "archive", "digest": BUNDLE["digest"]},
        "entrypoint": ["python", "train.py", "--lr", "0.1", "-f"],
        "working_dir": ".",
        "env": {"LR": "0.1", "EMPTY": ""},
        "model": "cancer",
        "resources": {"workers": 1, "gpus_per_worker": 1, "memory_gib_per_worker": 2},
    }


@pytest.mark.parametrize(
    ("flags", "code"),
    [
        (
            ["--git", f"ssh://git@example.com/code@{COMMIT}"],
            {"kind": "git", "url": "ssh://git@example.com/code", "commit": COMMIT},
        ),
        (["--image", "train:v1"], {"kind": "image", "uri": "train:v1"}),
    ],
)
def test_code_from_elsewhere_is_named_and_not_uploaded(ratchet, api, flags, code):
    api.will("POST", "/jobs", JOB, 202)
    result = ratchet("run", *flags, "--", "train")
    assert result.exit_code == 0, result.output
    assert submitted(api)["code"] == code
    assert [path for _, path, _ in api.sent] == ["/jobs"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--", "python"], "where the code is"),
        (["--code", ".", "--image", "x", "--", "python"], "where the code is"),
        (["--git", "https://example.com/code@main", "--", "python"], "in full"),
        (["--image", "x", "-e", "LR", "--", "python"], "NAME=VALUE"),
        (["--code", "/nowhere/at/all", "--", "python"], "no folder"),
        (["--image", "x"], "Missing argument"),
    ],
)
def test_what_is_missing_is_a_usage_error(ratchet, api, arguments, says):
    result = ratchet("run", *arguments)
    assert result.exit_code == 2, result.output
    assert says in result.output
    assert not [path for _, path, _ in api.sent if path == "/jobs"]


def test_a_dry_run_starts_nothing(ratchet, api, tmp_path):
    (tmp_path / "train.py").write_text("print(1)")
    api.will("POST", "/bundles", BUNDLE, 201)
    api.will("POST", "/jobs:plan", {"kind": "custom", "cpus": 1, "gpus": 0, "starts_now": True, "message": ""})
    result = ratchet("run", "--code", str(tmp_path), "--dry-run", "--", "python", "train.py")
    assert result.exit_code == 0, result.output
    assert api.body("POST", "/jobs:plan")["code"]["digest"] == BUNDLE["digest"]


def test_batch_says_the_version_or_the_alias(ratchet, api):
    api.will("POST", "/jobs", {**JOB, "kind": "batch_prediction"}, 202)
    flags = "--input s3://b/rows --output s3://b/answers --chunk-rows 500 --prefix m_ --workers 4 --name n"
    result = ratchet("batch", "cancer:champion", *flags.split())
    assert result.exit_code == 0, result.output
    assert submitted(api) == {
        "kind": "batch_prediction",
        "model": {"name": "cancer", "alias": "champion"},
        "input": "s3://b/rows",
        "output": "s3://b/answers",
        "chunk_rows": 500,
        "prefix": "m_",
        "name": "n",
        "resources": {"workers": 4},
    }
    assert ratchet("batch", "cancer:3", "-i", "sklearn://iris").exit_code == 0
    assert submitted(api)["model"] == {"name": "cancer", "version": 3}
    assert ratchet("batch", "cancer", "-i", "sklearn://iris").exit_code == 2
