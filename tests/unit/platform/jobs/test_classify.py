from __future__ import annotations

import pytest

from ratchet.clients.ports import JobInfo, RayStatus
from ratchet.jobs.classify import ADVICE, GPU_MEMORY, advice, classify, last_line, tail
from ratchet.jobs.status import Reason
from ratchet_pipelines.notes import FailureNote
from ratchet_pipelines.spec import ExitCode, Retriable

LOG = """2026-11-26 10:00:00,000 INFO job_manager.py:568 -- Runtime env is setting up.
epoch 1 val/loss=0.5
Traceback (most recent call last):
  File "run.py", line 3, in <module>
    main()
ratchet_pipelines.errors.DataError: file:///x.csv can't be read.
Failed: file:///x.csv can't be read.
"""


def failed(**changes) -> JobInfo:
    fields = {"exit_code": 70, "error_type": "JOB_ENTRYPOINT_COMMAND_ERROR", "message": "", **changes}
    return JobInfo("job-1-1", RayStatus.FAILED, **fields)


def test_the_last_exception_of_a_log_says_most():
    assert last_line(LOG) == "ratchet_pipelines.errors.DataError: file:///x.csv can't be read."


def test_without_an_exception_the_last_line_that_is_no_noise_does():
    assert last_line("epoch 1\nout of disk\n  at x\n2026-11-26 INFO y\n\n") == "out of disk"
    assert last_line("") == ""


@pytest.mark.parametrize("code", [code for code in ExitCode if code is not ExitCode.OK])
def test_what_the_job_told_itself_comes_first(code):
    note = FailureNote(message="Use column 'y'.", error="UserError: Use column 'y'.", rank=3)
    failure = classify(failed(exit_code=int(code)), note, LOG)
    assert (failure.message, failure.error, failure.rank) == ("Use column 'y'.", "UserError: Use column 'y'.", 3)
    assert failure.exit_code == code
    assert failure.log_tail.endswith("Failed: file:///x.csv can't be read.")


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (1, "internal"),
        (64, "user_error"),
        (65, "data_error"),
        (69, "node_lost"),
        (70, "internal"),
        (71, "out_of_memory"),
        (78, "environment_error"),
        (127, "environment_error"),
        (-9, "engine_lost"),
        (137, "engine_lost"),
        (143, "engine_lost"),
        (139, "internal"),
        (None, "engine_lost"),
    ],
)
def test_each_exit_status_has_its_reason(code, reason):
    assert classify(failed(exit_code=code), None, LOG).reason == reason


@pytest.mark.parametrize(
    ("error_type", "reason"),
    [
        ("RUNTIME_ENV_SETUP_FAILURE", "environment_error"),
        ("JOB_ENTRYPOINT_COMMAND_START_ERROR", "environment_error"),
        ("JOB_SUPERVISOR_ACTOR_DIED", "engine_error"),
        ("JOB_SUPERVISOR_ACTOR_START_TIMEOUT", "engine_error"),
    ],
)
def test_what_ray_itself_failed_at(error_type, reason):
    assert classify(failed(exit_code=None, error_type=error_type), None, "").reason == reason


@pytest.mark.parametrize(
    ("line", "code", "reason"),
    [
        ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.", 1, "out_of_memory"),
        ("MemoryError: Unable to allocate 8.00 GiB", 1, "out_of_memory"),
        ("ModuleNotFoundError: No module named 'ratchet_pipelines'", 1, "environment_error"),
        ("KeyError: 'memory'", 1, "internal"),
        ("terminate called after throwing an instance of 'std::bad_alloc'", 134, "out_of_memory"),
        ("epoch 3", 134, "internal"),
    ],
)
def test_where_the_exit_status_says_nothing_the_log_does(line, code, reason):
    assert classify(failed(exit_code=code), None, f"epoch 1\n{line}\n").reason == reason


def test_the_rank_is_read_from_the_log_where_the_job_told_nothing():
    log = "[rank2]: Traceback (most recent call last):\n[rank2]:   File 'x.py'\n[rank2]: KeyError: 'x'\n"
    failure = classify(failed(exit_code=1), None, log)
    assert (failure.rank, failure.error) == (2, "KeyError: 'x'")


def test_a_gpu_that_ran_out_of_memory_is_told_apart_from_a_host():
    assert advice(Reason.OUT_OF_MEMORY, "torch.OutOfMemoryError: CUDA out of memory.") == GPU_MEMORY
    assert advice(Reason.OUT_OF_MEMORY, "MemoryError") == ADVICE[Reason.OUT_OF_MEMORY]


def test_whatever_a_job_can_be_tried_again_for_is_a_reason_and_has_advice():
    assert {Reason(each) for each in Retriable} <= set(ADVICE)


def test_the_end_of_a_long_log_is_whole_lines_and_masked():
    log = "".join(f"line {i}\n" for i in range(2_000)) + "token rt_" + "a" * 43 + "\n"
    lines = tail(log).splitlines()
    assert (lines[0], lines[-1], len(lines)) == ("line 1981", "token ***", 20)


def test_a_secret_in_a_message_is_masked():
    assert "rt_" not in classify(failed(exit_code=64), None, "ValueError: token rt_" + "a" * 43).message
