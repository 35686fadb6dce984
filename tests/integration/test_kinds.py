"""A program of the user's own from each source of code, and the predictions of a table, on a real Ray and MLflow."""

from __future__ import annotations

import io
import os
import signal
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest
from dulwich import porcelain
from tests.integration.private_ray import await_value
from tests.integration.test_jobs import SPECS, Platform, running_platform

from ratchet.bundles import receive
from ratchet.jobs import live, service
from ratchet.jobs.live import Subject
from ratchet.jobs.logfiles import Cursor
from ratchet.jobs.logfilter import LogFilter
from ratchet.jobs.tables import Job
from ratchet_pipelines import archives
from ratchet_pipelines.spec import RunTag

pytestmark = pytest.mark.real

PODMAN = f"""#!{sys.executable}
# What Ray does with podman, without a container: the image's Python is this one.
import os, sys
arguments, shared, environment = sys.argv[2:], "", dict(os.environ)
while arguments[0].startswith("-"):
    option = arguments.pop(0)
    if option in ("-v", "--env", "--entrypoint"):
        value = arguments.pop(0)
        if option == "-v" and ":/shared" in value:
            shared = value.split(":")[0]
        if option == "--env":
            name, _, content = value.partition("=")
            environment[name] = content
image, *command = arguments
environment["TEST_IMAGE"] = image
environment["PATH"] = os.path.dirname({sys.executable!r}) + os.pathsep + environment["PATH"]
command = [word.replace("/shared", shared) for word in command[1:]] if shared else command
os.execve({sys.executable!r}, [{sys.executable!r}, *command], environment)
"""


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    folder = tmp_path_factory.mktemp("kinds")
    (folder / "bin").mkdir()
    (folder / "bin" / "podman").write_text(PODMAN)
    (folder / "bin" / "podman").chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}")
        with running_platform(folder, allow_file_git=True) as platform:
            yield platform


def submit(platform: Platform, **spec: Any) -> str:
    with platform.sessions() as session:
        row = service.submit(session, project="default", spec=SPECS.validate_python(spec), actor="ann")
        session.commit()
        return row.id


def bundle(platform: Platform, folder: Path, **files: str) -> dict[str, str]:
    """Code of these Python files, uploaded."""
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    packed = io.BytesIO()
    archives.pack(folder, [f"{name}.py" for name in files], packed)
    path = folder / "packed"
    path.write_bytes(packed.getvalue())
    received = receive.Received(path, archives.digest_of(path), path.stat().st_size)
    storage, sessions = platform.clients.storage, platform.sessions
    view, _ = receive.keep(received, sessions=sessions, storage=storage, project="default", actor="ann")
    return {"kind": "archive", "digest": view.digest}


def log_of(platform: Platform, job: Job) -> str:
    log = live.log(platform.clients, Subject.of(job, datetime.now(UTC)), Cursor(), LogFilter(), 1_000)
    return "\n".join(entry.text for entry in log.entries)


TRAIN = """
import os, sys
import mlflow
from helper import MODEL

print("arguments", sys.argv[1:], "seed", os.environ["RATCHET_SEED"], flush=True)
for step in range(3):
    mlflow.log_metric("loss", 1 / (step + 1), step=step)
mlflow.pyfunc.log_model(name="model", python_model=MODEL, pip_requirements=[])
"""
HELPER = """
import mlflow.pyfunc

class Model(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input: list[str]) -> list[str]:
        return model_input

MODEL = Model()
"""


def test_a_program_from_an_archive_logs_into_the_run_and_its_model_is_registered(platform, tmp_path):
    code = bundle(platform, tmp_path, train=TRAIN, helper=HELPER)
    entrypoint = ["python", "train.py", "--name", "it's; a $(test)"]
    job = platform.ended(submit(platform, kind="custom", code=code, entrypoint=entrypoint, model="mine", seed=7))
    assert job.status == "succeeded", (job.message, log_of(platform, job))
    assert (job.model_name, job.model_version) == ("default.mine", 1)
    assert job.metrics["loss"] == pytest.approx(1 / 3)
    assert "arguments ['--name', \"it's; a $(test)\"] seed 7" in log_of(platform, job)
    run = platform.clients.mlflow.get_run(job.run_id or "")
    assert run is not None
    assert (run.status, run.params["ratchet.code.digest"]) == ("FINISHED", code["digest"])
    assert len(platform.clients.mlflow.metric_history(run.run_id, "loss")) == 3


def test_a_program_from_a_commit_fails_with_its_own_last_line_and_is_not_tried_again(platform, tmp_path):
    porcelain.init(str(tmp_path))
    (tmp_path / "main.py").write_text("raise ValueError('the rate is negative')")
    porcelain.add(str(tmp_path), [str(tmp_path / "main.py")])
    commit = porcelain.commit(str(tmp_path), message=b"x", author=b"a <a@b.c>", committer=b"a <a@b.c>").decode()
    (tmp_path / "main.py").write_text("print('this is not the commit')")
    code = {"kind": "git", "url": tmp_path.as_uri(), "commit": commit}
    job = platform.ended(submit(platform, kind="custom", code=code, entrypoint=["python", "main.py"]))
    assert (job.status, job.reason, len(job.attempts)) == ("failed", "user_error", 1)
    assert "ended with exit status 1: ValueError: the rate is negative" in job.message


STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGINT, signal.SIG_IGN)
sleep = [sys.executable, "-c", "import signal, time; signal.signal(2, signal.SIG_IGN); time.sleep(600)"]
children = [subprocess.Popen(sleep, start_new_session=own) for own in (False, True)]
print("pids", *(child.pid for child in children), flush=True)
time.sleep(600)
"""


def test_a_program_that_heeds_no_signal_is_stopped_with_all_that_it_started(platform, tmp_path):
    code = bundle(platform, tmp_path, main=STUBBORN)
    job_id = submit(platform, kind="custom", code=code, entrypoint=["python", "main.py"])

    def pids() -> list[int] | None:
        lines = (platform.clients.jobs.logs(f"{job_id}-1") or "").splitlines()
        found = next((line for line in lines if line.startswith("pids ")), None)
        return None if found is None else [int(pid) for pid in found.split()[1:]]

    started = await_value(pids, 90)
    platform.cancel(job_id)
    asked = time.monotonic()
    job = platform.ended(job_id)
    print(f"cancelled after {time.monotonic() - asked:.1f} s")
    assert job.status == "cancelled"
    await_value(lambda: True if not any(psutil.pid_exists(pid) for pid in started) else None, 30)
    run = platform.clients.mlflow.get_run(job.run_id or "")
    assert run is not None
    assert run.status == "KILLED"


def test_a_program_in_an_image_is_started_by_ray_with_that_image(platform):
    code = {"kind": "image", "uri": "registry.example.com/team/train:v1"}
    program = "import os, sys; print(os.environ['TEST_IMAGE'], os.environ['NOTE'], sys.argv[1])"
    spec = {"entrypoint": ["python", "-c", program, "it's"], "env": {"NOTE": "$HOME 'x'"}}
    job = platform.ended(submit(platform, kind="custom", code=code, working_dir="/tmp", **spec))
    assert job.status == "succeeded", (job.message, log_of(platform, job))
    assert "registry.example.com/team/train:v1 $HOME 'x' it's" in log_of(platform, job)


@pytest.fixture(scope="module")
def trained(platform: Platform) -> str:
    """The registered model `cancer`, version 1, under `candidate`."""
    job = platform.ended(
        submit(platform, kind="train", data={"uri": "sklearn://breast_cancer"}, params={"epochs": 3}, model="cancer")
    )
    assert job.model_version == 1, (job.message, log_of(platform, job))
    return "cancer"


def test_a_table_is_predicted_by_two_workers(platform, trained, tmp_path):
    half = {"workers": 2, "cpus_per_worker": 0.5}
    model = {"name": trained, "alias": "candidate"}
    spec = {"model": model, "input": "sklearn://breast_cancer", "chunk_rows": 100, "resources": half}
    output = (tmp_path / "answers").as_uri()
    job = platform.ended(submit(platform, kind="batch_prediction", output=output, **spec))
    assert job.status == "succeeded", (job.message, log_of(platform, job))
    assert job.result is not None
    assert (job.result["output"], job.result["predicted_by"]) == (output, "models:/default.cancer/1")
    assert job.metrics["batch/rows"] == 569
    assert job.metrics["batch/seconds"] > 0
    found = pd.read_parquet(tmp_path / "answers")
    assert len(found) == 569
    assert {"mean radius", "target", "prediction", "probability_0", "probability_1"} <= set(found.columns)
    assert (found["prediction"].astype(int) == found["target"]).mean() > 0.8
    assert len(list((tmp_path / "answers").glob("part-*.parquet"))) == 6
    assert job.model_name is None


def test_a_batch_prediction_whose_driver_was_killed_goes_on_where_it_was(platform, trained, tmp_path):
    answers = tmp_path / "answers"
    spec = {"model": {"name": trained, "version": 1}, "input": "sklearn://breast_cancer", "chunk_rows": 1}
    job_id = submit(platform, kind="batch_prediction", output=answers.as_uri(), **spec)
    await_value(lambda: True if len(list(answers.glob("part-*"))) > 20 else None, 90)
    driver = next(process for process in psutil.process_iter() if _drives(process, job_id))
    os.kill(driver.pid, signal.SIGKILL)
    job = platform.ended(job_id)
    assert job.status == "succeeded", (job.message, log_of(platform, job))
    assert len(job.attempts) == 2
    assert "569 rows are predicted already" in log_of(platform, job)
    found = pd.read_parquet(answers)
    assert len(found) == 569
    expected = pd.DataFrame(found).sort_values(list(found.columns))["target"].sum()
    assert found["target"].sum() == expected == 357
    assert platform.clients.mlflow.get_run(job.run_id or "").tags[RunTag.OUTPUT] == answers.as_uri()


def _drives(process: psutil.Process, job_id: str) -> bool:
    try:
        command = process.cmdline()
        return "ratchet_pipelines.run" in command and job_id in process.environ().get("RATCHET_JOB", "")
    except psutil.Error:
        return False
