from __future__ import annotations

import pytest

from ratchet.clients.ports import JobInfo, RayStatus
from ratchet.jobs.classify import classify, last_line
from ratchet_pipelines.spec import ExitCode

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
def test_what_the_job_told_itself_comes_first_and_is_not_tried_again(code):
    failure = classify(failed(exit_code=int(code)), "Use column 'y'.", LOG)
    assert (failure.message, failure.retry) == ("Use column 'y'.", False)


def test_each_exit_status_has_its_reason():
    reasons = {code: classify(failed(exit_code=code), None, LOG).reason for code in (1, 64, 65, 70, 71)}
    assert reasons == {1: "internal", 64: "user_error", 65: "data_error", 70: "internal", 71: "out_of_memory"}


@pytest.mark.parametrize("code", [-9, 137, 139, None])
def test_a_driver_that_was_killed_is_tried_again(code):
    assert classify(failed(exit_code=code), None, LOG).retry


def test_a_secret_in_a_message_is_masked():
    assert "rt_" not in classify(failed(exit_code=64), "token rt_" + "a" * 43, "").message
