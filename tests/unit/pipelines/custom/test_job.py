"""A custom job: what its program finds, and what its end is taken for."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ratchet_pipelines import archives, notes
from ratchet_pipelines.custom import job
from ratchet_pipelines.errors import OutOfMemoryError, PreemptedJobError, UserError, rank_of
from ratchet_pipelines.spec import ENVELOPE_VARIABLE, Envelope
from ratchet_pipelines.usercode import bundle_path


class FakeMlflow:
    def __init__(self) -> None:
        self.tags: dict[str, str] = {}
        self.params: dict[str, str] = {}
        self.texts: dict[str, str] = {}
        self.models: list[str] = []

    def log_batch(self, run_id: str, params: Any, tags: Any) -> None:
        self.params |= {param.key: param.value for param in params}
        self.tags |= {tag.key: tag.value for tag in tags}

    def log_text(self, run_id: str, text: str, name: str) -> None:
        self.texts[name] = text

    def set_tag(self, run_id: str, name: str, value: str) -> None:
        self.tags[name] = value

    def get_run(self, run_id: str) -> Any:
        outputs = [SimpleNamespace(model_id=model) for model in self.models]
        return SimpleNamespace(outputs=SimpleNamespace(model_outputs=outputs))


@pytest.fixture
def mlflow(monkeypatch: pytest.MonkeyPatch) -> FakeMlflow:
    fake = FakeMlflow()
    monkeypatch.setattr(job, "client", lambda: fake)
    return fake


@pytest.fixture
def run(tmp_path: Path, mlflow: FakeMlflow):
    """Runs `code` as main.py of an uploaded archive."""

    def run(code: str = "", **changes: Any) -> str:
        source = tmp_path / "source"
        (source / "pkg").mkdir(parents=True)
        (source / "main.py").write_text(code)
        (source / "pkg" / "main.py").write_text("import os; print('in', os.path.basename(os.getcwd()))")
        packed = io.BytesIO()
        archives.pack(source, ["main.py", "pkg/main.py"], packed)
        (tmp_path / "packed").write_bytes(packed.getvalue())
        digest = archives.digest_of(tmp_path / "packed")
        target = tmp_path / "storage" / bundle_path("p", digest)
        target.parent.mkdir(parents=True)
        (tmp_path / "packed").rename(target)
        spec = {
            "kind": "custom",
            "code": {"kind": "archive", "digest": digest},
            "entrypoint": ["python", "main.py"],
            **changes,
        }
        return job.custom(envelope(tmp_path, spec))

    return run


def envelope(tmp_path: Path, spec: dict[str, Any]) -> Envelope:
    storage = (tmp_path / "storage").as_uri()
    return Envelope.model_validate(
        {"job": "job-1", "attempt": 2, "project": "p", "run_id": "r", "storage": storage, "spec": spec}
    )


def test_the_program_runs_in_its_code_and_its_origin_is_noted(run, mlflow, capsys):
    assert run("print('hello')") == "`python main.py` ended well."
    assert capsys.readouterr().out == "hello\n"
    assert mlflow.params["ratchet.code.digest"].startswith("sha256:")
    assert mlflow.tags["mlflow.source.name"] == "python main.py"
    assert '"entrypoint"' in mlflow.texts["spec.json"]


def test_it_may_start_in_a_folder_of_its_code(run, capsys):
    run(working_dir="pkg")
    assert capsys.readouterr().out == "in pkg\n"


def test_what_it_finds_in_its_environment(tmp_path):
    spec = {
        "kind": "custom",
        "code": {"kind": "image", "uri": "train:v1"},
        "entrypoint": ["train"],
        "env": {"LR": "0.1", "PATH": "/mine"},
        "resources": {"workers": 3},
    }
    own = {ENVELOPE_VARIABLE: "{}", "PATH": "/bin", "MLFLOW_TRACKING_URI": "http://m", "MLFLOW_RUN_ID": "other"}
    found = job.environment(envelope(tmp_path, spec), own)
    assert ENVELOPE_VARIABLE not in found
    assert (found["LR"], found["PATH"], found["MLFLOW_TRACKING_URI"]) == ("0.1", "/mine", "http://m")
    assert (found["MLFLOW_RUN_ID"], found["RATCHET_JOB_ID"], found["RATCHET_ATTEMPT"]) == ("r", "job-1", "2")
    assert found["RATCHET_FOLDER"] == f"{tmp_path.as_uri()}/storage/jobs/job-1/files"
    assert found["RATCHET_WORKERS"] == "3"


def test_asked_to_make_room_the_program_is_interrupted_and_the_job_goes_on_later(run, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("ratchet_pipelines.train.preemption.LOOK_EVERY_S", 0.01)
    marker = tmp_path / "storage" / notes.preempt_path("job-1", 2)
    code = f"""
import pathlib, time
try:
    marker = pathlib.Path({str(marker)!r})
    marker.parent.mkdir(parents=True)
    marker.touch()
    time.sleep(60)
except KeyboardInterrupt:
    print("saved")
"""
    with pytest.raises(PreemptedJobError):
        run(code)
    assert capsys.readouterr().out == "saved\n"


def test_a_job_that_retries_another_finds_its_files(tmp_path):
    spec = {"kind": "custom", "code": {"kind": "image", "uri": "train:v1"}, "entrypoint": ["train"]}
    retry = envelope(tmp_path, spec).model_copy(update={"resume_from": ["job-0b", "job-0a"]})
    assert job.environment(retry, {})["RATCHET_FOLDER"].endswith("/jobs/job-0a/files")


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("raise SystemExit(3)", "`python main.py` ended with exit status 3."),
        ("raise KeyError('x')", "`python main.py` ended with exit status 1: KeyError: 'x'"),
        ("import os; os.kill(os.getpid(), 11)", "`python main.py` ended with signal SIGSEGV."),
    ],
)
def test_a_program_that_fails_is_the_users_error_with_its_last_line(run, code, says):
    with pytest.raises(UserError) as error:
        run(code)
    assert str(error.value) == says


def test_the_rank_that_failed_is_told(run):
    with pytest.raises(UserError, match="ValueError: bad") as error:
        run("print('[rank3]: ValueError: bad'); print('torch.distributed ended'); raise SystemExit(1)")
    assert rank_of(error.value) == 3


@pytest.mark.parametrize(
    "code",
    [
        "import os; os.kill(os.getpid(), 9)",
        "print('torch.OutOfMemoryError: CUDA out of memory.'); raise SystemExit(1)",
    ],
)
def test_memory_that_ran_out(run, code):
    with pytest.raises(OutOfMemoryError):
        run(code)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"entrypoint": ["no-such-program"]}, "can't be started: No such file"),
        ({"entrypoint": ["./main.py"]}, "can't be started: Permission denied"),
        ({"working_dir": "nowhere"}, "no folder 'nowhere'"),
    ],
)
def test_a_program_that_is_not_there(run, changes, says):
    with pytest.raises(UserError, match=says):
        run(**changes)


def test_the_last_model_that_it_logged_is_the_one_to_register(run, mlflow):
    mlflow.models = ["m-1", "m-2"]
    run(model="cancer")
    assert mlflow.tags["ratchet.model_uri"] == "models:/m-2"


def test_a_model_that_was_promised_must_be_logged(run):
    with pytest.raises(UserError, match="logged no model"):
        run(model="cancer")
