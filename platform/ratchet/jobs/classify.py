"""What a job that failed on Ray failed of, and whether trying again could help."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ratchet.clients.ports import JobInfo
from ratchet.jobs.status import Reason
from ratchet.logs import masked
from ratchet_pipelines.spec import ExitCode

MAX_MESSAGE_CHARACTERS = 1_000
DRIVER_ENDED = "JOB_ENTRYPOINT_COMMAND_ERROR"
"""The one `JobErrorType` of Ray that says the driver ran and ended badly; all others are Ray's own failures."""

REASONS = {
    ExitCode.USER_ERROR: Reason.USER_ERROR,
    ExitCode.DATA_ERROR: Reason.DATA_ERROR,
    ExitCode.OUT_OF_MEMORY: Reason.OUT_OF_MEMORY,
    ExitCode.INTERNAL: Reason.INTERNAL,
}

EXCEPTION = re.compile(r"^(?:[\w.]+\.)?\w*(?:Error|Exception|Interrupt|Exit)\b")
NOISE = re.compile(r"^\s*$|^\s|^(?:Failed|Stopped): |^(?:\d{4}-\d\d-\d\d |\(|\[|Traceback )")


@dataclass(frozen=True)
class Failure:
    reason: Reason
    message: str
    retry: bool
    """Whether the cluster failed the job, rather than the job itself."""


def classify(info: JobInfo, told: str | None, log: str) -> Failure:
    """`told` is what the job said of its failure in its MLflow run, if it could; `log` is its driver's."""
    if info.error_type is not None and info.error_type != DRIVER_ENDED:
        return Failure(Reason.ENGINE_ERROR, _short(f"Ray could not run it ({info.error_type}): {info.message}"), True)
    code = info.exit_code
    if code is None:
        return Failure(Reason.ENGINE_LOST, _short(f"Ray lost the job: {info.message or 'it gave no cause'}"), True)
    if code < 0 or code > 128:
        number = -code if code < 0 else code - 128
        return Failure(Reason.ENGINE_LOST, f"The job's driver was killed by signal {number}.", True)
    reason = REASONS.get(ExitCode(code), Reason.INTERNAL) if code in set(ExitCode) else Reason.INTERNAL
    message = told or last_line(log) or last_line(info.message) or f"The job ended with exit status {code}."
    return Failure(reason, _short(message), False)


def last_line(log: str) -> str:
    """The line of a log that says most of why it ended: the last exception, else the last line that is not noise."""
    lines = log.splitlines()
    for line in reversed(lines):
        if EXCEPTION.match(line):
            return line.strip()
    return next((line.strip() for line in reversed(lines) if not NOISE.match(line)), "")


def _short(message: str) -> str:
    text = masked(message.strip())
    return text if len(text) <= MAX_MESSAGE_CHARACTERS else text[:MAX_MESSAGE_CHARACTERS] + "…"
