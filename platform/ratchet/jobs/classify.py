"""What a job that failed on Ray failed of: the triage. Whether it is tried again is `retry`'s to say."""

from __future__ import annotations

import re
import signal
from dataclasses import dataclass

from ratchet.clients.ports import JobInfo
from ratchet.jobs.status import Reason
from ratchet.logs import masked
from ratchet_pipelines.notes import FailureNote
from ratchet_pipelines.spec import ExitCode

MAX_MESSAGE_CHARACTERS = 1_000
TAIL_LINES = 20
TAIL_CHARACTERS = 4_000
DRIVER_ENDED = "JOB_ENTRYPOINT_COMMAND_ERROR"
"""The one `JobErrorType` of Ray that says the driver ran and ended badly; all others are Ray's own failures."""
ENVIRONMENT = {"RUNTIME_ENV_SETUP_FAILURE", "JOB_ENTRYPOINT_COMMAND_START_ERROR"}

REASONS = {
    ExitCode.USER_ERROR: Reason.USER_ERROR,
    ExitCode.DATA_ERROR: Reason.DATA_ERROR,
    ExitCode.NODE_LOST: Reason.NODE_LOST,
    ExitCode.OUT_OF_MEMORY: Reason.OUT_OF_MEMORY,
    ExitCode.ENVIRONMENT_ERROR: Reason.ENVIRONMENT_ERROR,
    126: Reason.ENVIRONMENT_ERROR,  # the shell's: it is there and can't be run
    127: Reason.ENVIRONMENT_ERROR,  # the shell's: there is no such program
}
CRASHES = {signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGILL, signal.SIGFPE}
"""The signals that a process brings upon itself; any other came from outside."""

EXCEPTION = re.compile(r"^(?:\[rank\d+\]: ?)?((?:[\w.]+\.)?\w*(?:Error|Exception|Interrupt|Exit)\b.*)")
NOISE = re.compile(r"^\s*$|^\s|^(?:Failed|Stopped): |^(?:\d{4}-\d\d-\d\d |\(|\[|Traceback )")
RANK = re.compile(r"^\[rank(\d+)\]: |^On rank (\d+)\.$", re.MULTILINE)
OUT_OF_MEMORY = re.compile(
    r"\b(?:MemoryError|OutOfMemoryError|std::bad_alloc)\b|CUDA out of memory|running low on memory|OOM-?killed",
    re.IGNORECASE,
)
NO_PACKAGE = re.compile(r"^(?:ModuleNotFoundError|ImportError)\b")


@dataclass(frozen=True)
class Failure:
    reason: Reason
    message: str
    """For a person: what is wrong and what to change."""
    error: str = ""
    """The last line of the traceback, where there is one."""
    rank: int | None = None
    """The worker that failed first, where it was one of several."""
    exit_code: int | None = None
    """Of the driver; null when it never ran, or went with its supervisor."""
    log_tail: str = ""


def classify(info: JobInfo, note: FailureNote | None, log: str) -> Failure:
    """`note` is what the attempt said of its failure, if it could; `log` is its driver's."""
    if info.error_type is not None and info.error_type != DRIVER_ENDED:
        reason = Reason.ENVIRONMENT_ERROR if info.error_type in ENVIRONMENT else Reason.ENGINE_ERROR
        message = f"Ray could not run it ({info.error_type}): {info.message}"
        return Failure(reason, _short(message), exit_code=info.exit_code, log_tail=tail(log))
    code = info.exit_code
    if code is None:
        message = f"Ray lost the job: {info.message or 'it gave no cause'}"
        return Failure(Reason.ENGINE_LOST, _short(message), log_tail=tail(log))
    error = note.error if note is not None else last_error(log)
    rank = note.rank if note is not None else _rank(log)
    if code < 0 or code > 128:
        reason, message = _of_signal(-code if code < 0 else code - 128, log)
    else:
        reason = REASONS.get(code) or _of_error(error)
        message = note.message if note is not None else ""
        message = message or last_line(log) or last_line(info.message) or f"The job ended with exit status {code}."
    return Failure(reason, _short(message), _short(error), rank, code, tail(log))


def _of_signal(number: int, log: str) -> tuple[Reason, str]:
    if OUT_OF_MEMORY.search(tail(log)):
        return Reason.OUT_OF_MEMORY, f"The job's driver was killed by signal {number}: it ran out of memory."
    if number in CRASHES:
        return Reason.INTERNAL, f"The job's driver crashed ({signal.Signals(number).name})."
    return Reason.ENGINE_LOST, f"The job's driver was killed by signal {number}."


def _of_error(error: str) -> Reason:
    """For an exit status that says nothing, such as Python's 1."""
    if OUT_OF_MEMORY.search(error):
        return Reason.OUT_OF_MEMORY
    return Reason.ENVIRONMENT_ERROR if NO_PACKAGE.match(error) else Reason.INTERNAL


def last_line(log: str) -> str:
    """The line of a log that says most of why it ended: the last exception, else the last line that is not noise."""
    lines = reversed(log.splitlines())
    return last_error(log) or next((line.strip() for line in lines if not NOISE.match(line)), "")


def last_error(log: str) -> str:
    """The last line of a log's last traceback; empty when there is none."""
    found = (EXCEPTION.match(line) for line in reversed(log.splitlines()))
    return next((match.group(1).strip() for match in found if match), "")


def tail(log: str) -> str:
    """The end of a log, in whole lines."""
    lines = masked(log[-TAIL_CHARACTERS:]).splitlines()
    return "\n".join(lines[-TAIL_LINES:] if len(log) <= TAIL_CHARACTERS else lines[1:][-TAIL_LINES:])


def _rank(log: str) -> int | None:
    """As torchrun marks a line, or as our own traceback says it."""
    found = RANK.search(log)
    return int(found.group(1) or found.group(2)) if found else None


def _short(message: str) -> str:
    text = masked(message.strip())
    return text if len(text) <= MAX_MESSAGE_CHARACTERS else text[:MAX_MESSAGE_CHARACTERS] + "…"


ADVICE = {
    Reason.USER_ERROR: "Change what the message names, then clone the job with the change.",
    Reason.DATA_ERROR: "Check that the address of the data is right, that the cluster may read it, and its columns.",
    Reason.OUT_OF_MEMORY: "Use smaller batches, or ask for more workers or memory per worker.",
    Reason.ENGINE_LOST: "Nothing of the job's own is at fault. Retry it: training goes on from its last checkpoint.",
    Reason.NODE_LOST: "Nothing of the job's own is at fault. Retry it: training goes on from its last checkpoint.",
    Reason.ENGINE_ERROR: "See in Ray's dashboard whether its head has room and its nodes are well, then retry the job.",
    Reason.ENVIRONMENT_ERROR: "Check the names of its packages, code and image, and that the cluster may fetch them.",
    Reason.DEADLINE_EXCEEDED: "Raise deadline_s, or give it more workers. A retry goes on from the last checkpoint.",
    Reason.PENDING_DEADLINE_EXCEEDED: "Raise pending_deadline_s or the priority, or ask for less at once.",
    Reason.INTERNAL: "Look at the end of the log. If the cause is none of the job's own, retry it.",
}
GPU_MEMORY = "Use smaller batches or bf16, or shard the model over more GPUs: it was a GPU's memory that ran out."


def advice(reason: Reason, error: str) -> str:
    """What to do about a failure, in a sentence; empty where there is nothing to do."""
    if reason is Reason.OUT_OF_MEMORY and ("CUDA" in error or "torch" in error):
        return GPU_MEMORY
    return ADVICE.get(reason, "")
