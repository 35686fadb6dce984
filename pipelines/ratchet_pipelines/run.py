"""The entrypoint of every job on the cluster: `python -m ratchet_pipelines.run`.

Reads the `Envelope`, does what its spec says, and tells how it ended: by the exit status and a note in storage for the
platform, by the MLflow run for whoever looks there, by the last line of the log for a person.
"""

from __future__ import annotations

import atexit
import logging
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from importlib import import_module
from typing import cast

from pydantic import ValidationError

from ratchet_pipelines import notes, tracing
from ratchet_pipelines.errors import CancelledJobError, DataError, JobError, PreemptedJobError, UserError, rank_of
from ratchet_pipelines.logs.capture import captured
from ratchet_pipelines.logs.redact import Redactor
from ratchet_pipelines.notes import FailureNote
from ratchet_pipelines.spec import ENVELOPE_VARIABLE, Envelope, ExitCode, RunTag
from ratchet_pipelines.train.tracking import client, patiently

CANCELLED = 128 + signal.SIGINT
"""The exit status of a job that was asked to stop, as a shell gives it."""
Job = Callable[[Envelope], str | None]
"""Does what an envelope says, and returns a line that says how it went."""


def main() -> int:
    """Runs the job in the environment; returns the exit status."""
    started = time.monotonic()
    logging.basicConfig(format="%(message)s", stream=sys.stdout)
    logging.getLogger("ratchet_pipelines").setLevel(logging.INFO)
    try:
        envelope = Envelope.model_validate_json(os.environ[ENVELOPE_VARIABLE])
    except (KeyError, ValidationError) as error:
        _say(f"The variable {ENVELOPE_VARIABLE} holds no job: {error}")
        return ExitCode.USER_ERROR
    try:
        if notes.exists(f"{envelope.storage}/{notes.bar_path(envelope.job, envelope.attempt)}"):
            _say("It was stopped before it began.")
            return CANCELLED
        with tracing.span(envelope):
            message = _job(envelope)(envelope)
    except (CancelledJobError, KeyboardInterrupt):
        _end(envelope, "KILLED", "The job was stopped.")
        _say(f"Stopped: {envelope.job}.")
        return CANCELLED
    except PreemptedJobError as preempted:
        _say(f"Preempted: {preempted}")
        return ExitCode.PREEMPTED  # its MLflow run stays open: the next attempt goes on in it
    except Exception as error:
        return _failed(envelope, error)
    _end(envelope, "FINISHED")
    _say(f"Done in {time.monotonic() - started:.1f} s: {message or envelope.spec.kind}")
    return ExitCode.OK


def _job(envelope: Envelope) -> Job:
    """What to call; imported only now, since each kind of job needs other heavy packages."""
    module, function = {
        "train": ("train.job", "train"),
        "sweep": ("sweep", "sweep"),
        "evaluate": ("evaluate", "evaluate"),
        "drift_check": ("monitoring.drift", "check"),
        "batch_prediction": ("batch.job", "predict"),
        "custom": ("custom.job", "custom"),
    }[envelope.spec.kind]
    return cast(Job, getattr(import_module(f"ratchet_pipelines.{module}"), function))


def _failed(envelope: Envelope, error: Exception) -> int:
    if isinstance(error, UserError | DataError):
        _say(f"{type(error).__name__}: {error}")
    else:
        traceback.print_exception(error)
    note = _note(error)
    path = notes.failure_path(envelope.job, envelope.attempt)
    _try("the storage", lambda: notes.write(envelope.storage, path, note))
    _try("MLflow", lambda: _end(envelope, "FAILED", note.message))
    _say(f"Failed: {note.message.splitlines()[0] if note.message else type(error).__name__}")
    return _code_of(error)


def _try(where: str, tell: Callable[[], None]) -> None:
    try:
        tell()
    except Exception as unreachable:
        _say(f"The failure could not be noted in {where}: {unreachable}")


def _note(error: Exception) -> FailureNote:
    redactor = Redactor.of_process()
    last = redactor.text(f"{type(error).__name__}: {error}")
    message = redactor.text(str(error)) if isinstance(error, JobError) else last
    limit = notes.MAX_CHARACTERS
    return FailureNote(message=message[:limit], error=last[:limit], rank=rank_of(error))


def _code_of(error: Exception) -> ExitCode:
    match error:
        case JobError():
            return error.exit_code
        case MemoryError():
            return ExitCode.OUT_OF_MEMORY
        case ImportError():
            return ExitCode.ENVIRONMENT_ERROR
    return ExitCode.INTERNAL


def _end(envelope: Envelope, status: str, message: str | None = None) -> None:
    def end() -> None:
        if message is not None:
            client().set_tag(envelope.run_id, RunTag.MESSAGE, message)
        client().set_terminated(envelope.run_id, status)

    patiently(end)


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - the log of a job is its standard output


def _leave(code: int) -> None:
    """Ends the process without taking the interpreter apart, which with torch loaded takes two seconds."""
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    with captured("driver", echo=True):
        code = main()
    _leave(code)
