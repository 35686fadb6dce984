"""What a process prints is in storage: while it runs, when it ends, when it is killed, when the storage is silent."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from ratchet_pipelines.logs import ship
from ratchet_pipelines.logs.entries import Entry, parse
from ratchet_pipelines.logs.redact import Redactor
from ratchet_pipelines.logs.ship import Chunks, Shipper

ROOT = Path(__file__).parents[4]


def run(tmp_path: Path, body: str, **environment: str) -> subprocess.Popen[str]:
    """A program whose output is captured as that of a job's driver."""
    program = (
        "import os, subprocess, sys, time\n"
        "from ratchet_pipelines.logs.capture import captured\n"
        f"with captured('driver', echo=True):\n    {body}\n"
    )
    job = {"storage": tmp_path.as_uri(), "job": "job-1", "attempt": 2}
    return subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / "pipelines"), "RATCHET_JOB": json.dumps(job), **environment},
    )


def stored(tmp_path: Path) -> list[Entry]:
    folder = tmp_path / "jobs/job-1/logs/2/driver"
    return [entry for file in sorted(folder.glob("*.jsonl")) for entry in parse(file.read_bytes())]


def ended(tmp_path: Path) -> bool:
    files = sorted((tmp_path / "jobs/job-1/logs/2/driver").glob("*.jsonl"))
    return bool(files) and files[-1].read_bytes().endswith(ship.ENDED)


def await_that(condition: Any, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.02)


def test_all_that_a_process_and_its_children_print_is_stored_when_it_ends(tmp_path: Path) -> None:
    body = "print('token', os.environ['A_TOKEN']); subprocess.run(['sh', '-c', 'echo out; echo err >&2']); 1 / 0"
    process = run(tmp_path, body, A_TOKEN="hunter2-hunter2")
    shown, _ = process.communicate(timeout=30)
    assert process.returncode == 1
    assert [entry.text for entry in stored(tmp_path)] == ["token ***", "out", "err"]
    assert ended(tmp_path)
    assert shown.startswith("token ***\nout\nerr\n")  # and Ray's own log of it holds no secret either


def test_lines_are_stored_while_it_runs_and_the_last_word_of_one_that_was_killed(tmp_path: Path) -> None:
    process = run(tmp_path, "print('on my way', flush=True); sys.stdin.read(1); print('never')")
    await_that(lambda: [entry.text for entry in stored(tmp_path)] == ["on my way"])
    assert not ended(tmp_path)
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=10)
    await_that(lambda: ended(tmp_path))
    process.communicate(timeout=10)
    assert [entry.text for entry in stored(tmp_path)] == ["on my way"]


def test_nothing_is_captured_outside_a_job(tmp_path: Path) -> None:
    program = "from ratchet_pipelines.logs.capture import captured\nwith captured('driver', echo=True): print('hi')"
    environment = {key: value for key, value in os.environ.items() if key != "RATCHET_JOB"}
    environment["PYTHONPATH"] = str(ROOT / "pipelines")
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "hi\n"


class FakeStore:
    flush_s = 0.1

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.down = False

    def write(self, name: str, data: bytes) -> None:
        if self.down:
            raise OSError("no way there")
        self.files[name] = data

    def delete(self, name: str) -> None:
        del self.files[name]

    def numbers(self) -> list[int]:
        return [entry.number for name in sorted(self.files) for entry in parse(self.files[name])]


def filled(store: FakeStore, count: int, size: int = 1_000) -> Chunks:
    chunks = Chunks(store, 1.0)  # type: ignore[arg-type]
    for number in range(count):
        chunks.add(Entry(number, 0.0, "info", "x" * size))
        chunks.write()
    return chunks


def test_of_a_log_that_is_too_long_its_beginning_and_its_end_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ship, "CHUNK_BYTES", 10_000)
    monkeypatch.setattr(ship, "CAP_BYTES", 100_000)
    store = FakeStore()
    filled(store, 1_000)
    numbers = store.numbers()
    assert (numbers[0], numbers[-1]) == (0, 999)
    gaps = [(one, other) for one, other in pairwise(numbers) if other != one + 1]
    assert len(gaps) == 1
    assert 80_000 < sum(map(len, store.files.values())) < 130_000


def test_what_a_silent_storage_did_not_take_is_kept_and_the_newest_of_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ship, "CHUNK_BYTES", 10_000)
    monkeypatch.setattr(ship, "UNSENT_BYTES", 50_000)
    store = FakeStore()
    store.down = True
    chunks = Chunks(store, 1.0)  # type: ignore[arg-type]
    for number in range(30):
        chunks.add(Entry(number, 0.0, "info", "x" * 1_000))
    with pytest.raises(OSError, match="no way"):
        chunks.write()
    store.down = False
    chunks.write()
    assert store.numbers() == list(range(30))
    store.down = True
    for number in range(30, 230):
        chunks.add(Entry(number, 0.0, "info", "x" * 1_000))
    store.down = False
    chunks.write()
    assert store.numbers()[-1] == 229
    assert len(store.numbers()) < 120


def test_of_what_comes_faster_than_is_stored_the_newest_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ship, "BURST_BYTES", 10_000)
    store = FakeStore()
    shipper = Shipper(store, Redactor(set()), None)  # type: ignore[arg-type]
    shipper.take(b"".join(b"%04d " % number + b"x" * 100 + b"\n" for number in range(1_000)))
    shipper.flush()
    assert store.numbers()[-1] == 999
    assert store.numbers()[0] > 800


def test_half_a_line_half_a_letter_and_a_progress_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    store = FakeStore()
    shipper = Shipper(store, Redactor(set()), None)  # type: ignore[arg-type]
    for part in (b"caf\xc3", b"\xa9 au", b" lait\nhalf"):
        shipper.take(part)
    shipper.flush()
    assert [entry.text for data in store.files.values() for entry in parse(data)] == ["café au lait"]
    shipper.take(b"".join(b"\r%d%%" % percent for percent in range(101)) + b"\n", final=False)
    shipper.take(b"end", final=True)
    shipper.insist()
    assert [entry.text for data in store.files.values() for entry in parse(data)] == ["café au lait", "100%", "end"]


def test_a_traceback_is_waited_for_but_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    store = FakeStore()
    shipper = Shipper(store, Redactor(set()), None)  # type: ignore[arg-type]
    shipper.take(b"Traceback (most recent call last):\n  File x\n")
    shipper.flush()
    assert store.numbers() == []
    assert shipper.waits
    monkeypatch.setattr(ship, "HOLD_S", -1.0)
    shipper.flush()
    assert store.numbers() == [0]
    assert not shipper.waits
