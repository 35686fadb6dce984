"""A custom job, from its spec to the end of the user's program."""

from __future__ import annotations

import os
import re
import signal
import sys
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path

from ratchet_pipelines import notes
from ratchet_pipelines.custom.fetch import fetch
from ratchet_pipelines.custom.process import Ended, run
from ratchet_pipelines.errors import OutOfMemoryError, PreemptedJobError, UserError, on_rank
from ratchet_pipelines.spec import ENVELOPE_VARIABLE, Custom, Envelope, RunTag
from ratchet_pipelines.train import preemption
from ratchet_pipelines.train.tracking import client, patiently
from ratchet_pipelines.usercode import Archive, Git, Image

RAY_STOP_WAIT_VARIABLE = "RAY_JOB_STOP_WAIT_TIME_S"
OWN_LAST_WORDS_S = 3.0
"""Of the time that Ray gives a job to stop, what is kept for this process to end the program and its MLflow run."""
PREEMPTION_GRACE_S = 100.0
"""For the program to save where it is when it is asked to make room. After 120 s the platform stops the job."""
LAST_ERROR = re.compile(r"^(?:\[rank(\d+)\]:\s*)?((?:\w+\.)*\w*(?:Error|Exception|Interrupt)\b.*)$", re.MULTILINE)


def custom(envelope: Envelope) -> str:
    """Fetches the code, runs the program; returns a line that says how it ended.

    Raises:
        PreemptedJobError: It was asked to make room, and has ended on the SIGINT that told it so.
        UserError: The program can't be started, or ended with an exit status other than 0; its code can't be used.
        OutOfMemoryError: It ran out of memory, or was killed as Linux kills what takes too much.
        BadEnvironmentError: The code can't be had now.
    """
    spec = envelope.spec
    assert isinstance(spec, Custom)
    noted = threading.Thread(target=_note_origin, args=(envelope, spec), daemon=True)
    noted.start()
    with tempfile.TemporaryDirectory(prefix="ratchet-code-", ignore_cleanup_errors=True) as name:
        root = Path.cwd()
        if isinstance(spec.code, Archive | Git):
            root = Path(name) / "code"
            root.mkdir()
            fetch(spec.code, storage=envelope.storage, project=envelope.project, folder=root)
        folder = root / spec.working_dir  # of an image a full path, which it is then
        if not folder.is_dir():
            raise UserError(f"There is no folder {spec.working_dir!r} in the code to start in.")
        try:
            preempt_uri = f"{envelope.storage}/{notes.preempt_path(envelope.job, envelope.attempt)}"
            with preemption.watch(preempt_uri) as asked:
                ended = run(
                    spec.entrypoint,
                    folder=folder,
                    env=environment(envelope, os.environ),
                    grace_s=_grace_s(),
                    stop=asked,
                    stop_grace_s=PREEMPTION_GRACE_S,
                )
        except OSError as error:
            raise UserError(
                f"{spec.entrypoint[0]!r} can't be started: {error.strerror}. Name a program that is there where the "
                "job runs; a file of the code as './program', which must be executable."
            ) from error
    if ended.asked:
        raise PreemptedJobError("Its program was interrupted; its next attempt starts it again.")
    _require_success(spec, ended)
    if spec.model is not None:
        _name_model(envelope)
    noted.join()
    return f"{_shown(spec)} ended well."


def environment(envelope: Envelope, own: Mapping[str, str]) -> dict[str, str]:
    """What the program finds: this process's own variables, the job's, and where to log and to keep files."""
    spec = envelope.spec
    assert isinstance(spec, Custom)
    first = envelope.resume_from[-1] if envelope.resume_from else envelope.job
    here = {name: value for name, value in own.items() if name != ENVELOPE_VARIABLE}
    return {
        **here,
        # `python` is this Python, with the packages of the cluster.
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{own.get('PATH', os.defpath)}",
        **spec.env,
        "MLFLOW_RUN_ID": envelope.run_id,
        "RATCHET_JOB_ID": envelope.job,
        "RATCHET_ATTEMPT": str(envelope.attempt),
        "RATCHET_PROJECT": envelope.project,
        "RATCHET_FOLDER": f"{envelope.storage}/jobs/{first}/files",
        "RATCHET_WORKERS": str(spec.resources.workers),
        "RATCHET_SEED": str(spec.seed),
    }


def _grace_s() -> float:
    return max(1.0, float(os.environ.get(RAY_STOP_WAIT_VARIABLE, "3")) - OWN_LAST_WORDS_S)


def _require_success(spec: Custom, ended: Ended) -> None:
    if ended.status == 0:
        return
    shown = _shown(spec)
    last = None
    for last in LAST_ERROR.finditer(ended.tail):  # noqa: B007 - the last one is wanted
        pass
    said = f": {last[2].strip()}" if last else "."
    if ended.status == -signal.SIGKILL:
        raise OutOfMemoryError(
            f"{shown} was killed (SIGKILL): so Linux ends a process that takes more memory than there is. "
            "Give it less data at once, or a node with more memory."
        )
    how = f"exit status {ended.status}" if ended.status > 0 else f"signal {signal.Signals(-ended.status).name}"
    error: Exception
    if last is not None and "OutOfMemoryError" in last[2]:
        error = OutOfMemoryError(f"{shown} ended with {how}{said}")
    else:
        error = UserError(f"{shown} ended with {how}{said}")
    raise on_rank(error, int(last[1])) if last is not None and last[1] is not None else error


def _shown(spec: Custom) -> str:
    line = " ".join(spec.entrypoint)
    return f"`{line if len(line) <= 100 else line[:99] + '…'}`"


def _name_model(envelope: Envelope) -> None:
    """Tell the platform which model to register: the last that was logged to the run."""
    run = patiently(lambda: client().get_run(envelope.run_id))
    logged = run.outputs.model_outputs if run.outputs is not None else []
    if not logged:
        raise UserError(
            "The program ended well but logged no model to its MLflow run: there is nothing to register. Log one with "
            "`mlflow.<flavor>.log_model(...)`, or leave `model` out."
        )
    uri = f"models:/{logged[-1].model_id}"
    patiently(lambda: client().set_tag(envelope.run_id, RunTag.MODEL_URI, uri))


def _note_origin(envelope: Envelope, spec: Custom) -> None:
    """Logs in the run what is run: the code, the program, and the spec to run it again."""
    from mlflow.entities import Param  # here, since MLflow takes longer to import than many programs run
    from mlflow.entities import RunTag as Tag

    code = spec.code
    match code:
        case Archive():
            origin = {"code.digest": code.digest}
        case Git():
            origin = {"code.url": code.url, "code.commit": code.commit}
        case Image():
            origin = {"code.image": code.uri}
    tags = {
        RunTag.JOB: envelope.job,
        RunTag.PROJECT: envelope.project,
        "mlflow.source.type": "JOB",
        "mlflow.source.name": _shown(spec).strip("`"),
    }
    if isinstance(code, Git):
        tags["mlflow.source.git.commit"], tags["mlflow.source.git.repoURL"] = code.commit, code.url
    patiently(
        lambda: client().log_batch(
            envelope.run_id,
            params=[Param(f"ratchet.{name}", value) for name, value in origin.items()],
            tags=[Tag(str(name), value) for name, value in tags.items()],
        )
    )
    patiently(lambda: client().log_text(envelope.run_id, spec.model_dump_json(indent=1), "spec.json"))
