"""A program and everything that it starts: its output passed on, nothing of it left."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from ratchet_pipelines.custom import process

STUBBORN = "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"


def run(tmp_path: Path, *command: str, **options):
    return process.run(command, folder=tmp_path, env=os.environ, **{"grace_s": 5, **options})


def python(tmp_path: Path, code: str, **options):
    return run(tmp_path, sys.executable, "-c", code, **options)


def gone(pid: int) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        psutil.Process(pid).wait(10)
    return not psutil.pid_exists(pid)


def test_output_is_passed_on_and_its_end_kept(tmp_path, capsys):
    ended = python(tmp_path, "import sys; print('ä' * 100_000); sys.stdout.flush(); print('last', file=sys.stderr)")
    assert (ended.status, ended.asked) == (0, False)
    assert ended.tail.endswith("ä\nlast\n")
    assert len(ended.tail) == process.TAIL_CHARACTERS
    assert capsys.readouterr().out == "ä" * 100_000 + "\nlast\n"


def test_it_runs_in_its_folder_without_input(tmp_path, capsys):
    python(tmp_path, "import os, sys; print(os.getcwd(), repr(sys.stdin.read()))")
    assert capsys.readouterr().out == f"{tmp_path} ''\n"


@pytest.mark.parametrize(("code", "status"), [("raise SystemExit(3)", 3), ("import os; os.kill(os.getpid(), 11)", -11)])
def test_how_it_ended(tmp_path, code, status):
    assert python(tmp_path, code).status == status


@pytest.mark.parametrize("session", [False, True], ids=["in its group", "in a session of its own"])
def test_what_it_leaves_running_is_ended(tmp_path, session):
    child = f"subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], start_new_session={session})"
    ended = python(tmp_path, f"import subprocess, sys; print({child}.pid)")
    assert ended.status == 0
    assert gone(int(ended.tail))


def test_asked_to_stop_it_is_interrupted_once(tmp_path):
    code = """
import signal, sys, time
count = 0
def stop(*_):
    global count
    count += 1
    time.sleep(0.3)
    print(count)
    sys.exit(5)
signal.signal(signal.SIGINT, stop)
open('up', 'w').close()
while True: time.sleep(1)
"""
    ended = python(tmp_path, code, stop=(tmp_path / "up").exists, stop_grace_s=10)
    assert (ended.status, ended.tail, ended.asked) == (5, "1\n", True)


def test_what_does_not_heed_the_interrupt_is_killed(tmp_path):
    ended = python(tmp_path, STUBBORN, stop=lambda: True, stop_grace_s=0.1)
    assert ended.status in (-signal.SIGKILL, -signal.SIGINT)  # the latter when it had not begun to ignore it


def test_on_the_interrupt_of_a_job_it_waits_and_then_kills(tmp_path, monkeypatch):
    """As Ray stops a job: this process and the program get the signal; the program does not end."""
    looks = []
    real = process._ended

    def interrupted(pid: int, patience_s: float) -> bool:
        looks.append((pid, patience_s))
        if len(looks) == 2:
            raise KeyboardInterrupt
        return real(pid, patience_s)

    monkeypatch.setattr(process, "_ended", interrupted)
    with pytest.raises(KeyboardInterrupt):
        python(tmp_path, STUBBORN, grace_s=0.1)
    assert looks[-1][1] == 0.1
    assert gone(looks[0][0])


def test_a_program_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError):
        run(tmp_path, "no-such-program")


def test_the_program_ends_with_a_driver_that_was_killed(tmp_path):
    """Nothing of the driver's own can run then: the guard does it."""
    code = (
        "import os, sys; from pathlib import Path; from ratchet_pipelines.custom import process\n"
        f"process.run([sys.executable, '-c', 'import os, time; print(os.getpid(), flush=True); time.sleep(600)'],"
        f" folder=Path({str(tmp_path)!r}), env=os.environ, grace_s=1)"
    )
    driver = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, start_new_session=True)
    assert driver.stdout is not None
    pid = int(driver.stdout.readline())
    driver.kill()
    driver.wait()
    driver.stdout.close()
    assert gone(pid)


def test_a_flood_of_output_does_not_fill_the_memory(tmp_path, capsys):
    started = threading.active_count()
    ended = python(tmp_path, "import sys; sys.stdout.write('x' * 5_000_000)")
    assert len(ended.tail) == process.TAIL_CHARACTERS
    assert len(capsys.readouterr().out) == 5_000_000
    assert threading.active_count() == started


def test_waiting_for_an_end_has_an_end():
    sleeper = subprocess.Popen(["sleep", "600"])
    began = time.monotonic()
    assert process._ended(sleeper.pid, 0) is False
    assert time.monotonic() - began < 10
    sleeper.kill()
    assert process._ended(sleeper.pid, 10) is True
    assert sleeper.wait() == -9
