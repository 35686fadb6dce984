"""What the contract takes and refuses of the kinds that run a user's own code and predict tables."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from ratchet_pipelines.spec import JobSpec

SPECS: TypeAdapter[JobSpec] = TypeAdapter(JobSpec)
COMMIT = "0123456789abcdef0123456789abcdef01234567"
CUSTOM = {
    "kind": "custom",
    "code": {"kind": "archive", "digest": f"sha256:{'a' * 64}"},
    "entrypoint": ["python", "train.py"],
}
BATCH = {"kind": "batch_prediction", "model": {"name": "cancer", "version": 1}, "input": "sklearn://breast_cancer"}


def refusal(spec: dict[str, Any]) -> str:
    with pytest.raises(ValidationError) as error:
        SPECS.validate_python(spec)
    return str(error.value)


@pytest.mark.parametrize(
    "code",
    [
        {"kind": "archive", "digest": f"sha256:{'0f' * 32}"},
        {"kind": "git", "url": "https://example.com:8443/team/code.git", "commit": COMMIT},
        {"kind": "git", "url": "ssh://git@example.com/team/code", "commit": COMMIT},
        {"kind": "git", "url": "file:///srv/code.git", "commit": COMMIT},
        {"kind": "image", "uri": "registry.example.com:5000/team/train:v1"},
        {"kind": "image", "uri": f"train@sha256:{'a' * 64}"},
    ],
)
def test_code_comes_from_an_archive_a_commit_or_an_image(code: dict[str, str]) -> None:
    SPECS.validate_python({**CUSTOM, "code": code})


@pytest.mark.parametrize(
    "code",
    [
        {"kind": "archive", "digest": "a" * 64},
        {"kind": "archive", "digest": f"sha256:{'A' * 64}"},
        {"kind": "archive", "digest": f"sha256:{'a' * 64}/../b"},
        {"kind": "git", "url": "https://example.com/code", "commit": "main"},
        {"kind": "git", "url": "https://example.com/code", "commit": COMMIT[:12]},
        {"kind": "git", "url": "http://example.com/code", "commit": COMMIT},
        {"kind": "git", "url": "https://user:secret@example.com/code", "commit": COMMIT},
        {"kind": "git", "url": "ssh://-oProxyCommand=id/code", "commit": COMMIT},
        {"kind": "git", "url": "ssh://git@-oProxyCommand=id/code", "commit": COMMIT},
        {"kind": "git", "url": "ext::sh -c id", "commit": COMMIT},
        {"kind": "git", "url": "https://example.com/$(id)", "commit": COMMIT},
        {"kind": "image", "uri": "train; id"},
        {"kind": "image", "uri": "--privileged"},
        {"kind": "image", "uri": "train:$(id)"},
    ],
)
def test_code_that_is_not_one_thing_for_ever_or_that_a_shell_could_run_is_refused(code: dict[str, str]) -> None:
    refusal({**CUSTOM, "code": code})


@pytest.mark.parametrize("folder", ["/app", "..", "src/../..", "a\0b"])
def test_the_working_dir_is_a_folder_of_the_code(folder: str) -> None:
    assert "working_dir" in refusal({**CUSTOM, "working_dir": folder})
    SPECS.validate_python({**CUSTOM, "working_dir": "src/train..er"})


def test_the_working_dir_of_an_image_is_a_full_path() -> None:
    image = {**CUSTOM, "code": {"kind": "image", "uri": "train:v1"}}
    SPECS.validate_python({**image, "working_dir": "/app"})
    assert "full path" in refusal({**image, "working_dir": "app"})


@pytest.mark.parametrize(
    ("env", "says"),
    [
        ({"HF_TOKEN": "x"}, "looks like a secret"),
        ({"AWS_SECRET_ACCESS_KEY": "x"}, "looks like a secret"),
        ({"db_password": "x"}, "looks like a secret"),
        ({"RATCHET_JOB": "x"}, "set by the platform"),
        ({"MLFLOW_RUN_ID": "x"}, "set by the platform"),
        ({"1X": "x"}, "pattern"),
        ({"X": "a\0b"}, "pattern"),
        ({f"X{i}": "x" * 8000 for i in range(5)}, "longer than"),
    ],
)
def test_variables_hold_no_secrets_and_have_an_end(env: dict[str, str], says: str) -> None:
    assert says in refusal({**CUSTOM, "env": env})


def test_what_only_resembles_a_secret_is_taken() -> None:
    env = {"TOKENIZERS_PARALLELISM": "false", "MAX_TOKENS": "9", "KEYBOARD": "x", "MLFLOW_ENABLE_ASYNC_LOGGING": "true"}
    SPECS.validate_python({**CUSTOM, "env": env})


@pytest.mark.parametrize("entrypoint", [[], [""], [" ", "x"], ["a\0b"], "python train.py"])
def test_the_entrypoint_is_a_program_and_its_arguments(entrypoint: Any) -> None:
    refusal({**CUSTOM, "entrypoint": entrypoint})


@pytest.mark.parametrize(
    "model",
    [{"name": "cancer"}, {"name": "cancer", "version": 1, "alias": "champion"}, {"name": "cancer", "alias": "v3"}],
)
def test_a_batch_prediction_names_one_version(model: dict[str, Any]) -> None:
    refusal({**BATCH, "model": model})
    SPECS.validate_python({**BATCH, "model": {"name": "cancer", "alias": "champion"}})


@pytest.mark.parametrize("output", ["/tmp/x", "sklearn://iris", "http://example.com/x", "file://"])
def test_a_batch_prediction_writes_where_files_can_be_written(output: str) -> None:
    refusal({**BATCH, "output": output})
