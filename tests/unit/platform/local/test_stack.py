"""The supervisor with real processes in place of Ray, MLflow and the API."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from rich.console import Console

from ratchet.local import StackError, control, down, memory, processes, state, status, up
from ratchet.local.control import Launch
from ratchet.local.layout import Layout
from ratchet.local.statefile import State

pytestmark = pytest.mark.slow
LAUNCH = Launch((sys.executable, str(Path(__file__).with_name("dummy_stack.py"))))
WAIT_S = 30.0


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stack's processes import this source tree, whatever is installed."""
    root = Path(__file__).parents[4]
    monkeypatch.setenv("PYTHONPATH", f"{root / 'platform'}{os.pathsep}{root / 'pipelines'}")
    monkeypatch.delenv(processes.MARK, raising=False)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "home"
    yield folder
    down(folder)


def start(home: Path, console: Console | None = None) -> State:
    return up(home, port=None, detach=True, console=console or Console(quiet=True), launch=LAUNCH)


def everyone(home: Path) -> dict[processes.Process, str]:
    return processes.of_stack(Layout.at(home).stack)


def until(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not what():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def pid_of(home: Path, name: str) -> int:
    found = state(home)
    service = found.service(name) if found else None
    assert service is not None
    assert service.pid is not None
    return service.pid


def test_up_says_each_part_and_down_leaves_nothing(home: Path, tmp_path: Path) -> None:
    said = tmp_path / "said"
    with said.open("w") as file:
        started = start(home, Console(file=file))
    assert started.ready
    assert {"✓ Web", "✓ Fleeting", "✓ Stubborn"} <= {line[:10].strip() for line in said.read_text().splitlines()} | {
        line[:5] for line in said.read_text().splitlines()
    }
    living = set(everyone(home))
    commands = " ".join(processes.command(process.pid) for process in living)
    assert "# dummy-daemon" in commands
    assert "# dummy-unmarked" in commands
    assert len(living) == 6  # guard, supervisor, web, daemon, stubborn and its child
    assert down(home)
    assert [process for process in living if process.alive()] == []
    assert state(home) is None
    assert not Layout.at(home).ray.exists()
    assert not down(home)


def test_the_home_is_private_and_keeps_its_secrets(home: Path) -> None:
    start(home)
    token = (home / "token").read_text()
    assert token.startswith("rt_")
    assert len(token) == len("rt_") + 43
    assert home.stat().st_mode & 0o777 == 0o700
    assert {(home / name).stat().st_mode & 0o777 for name in ("token", "ray.token", "state.json")} == {0o600}
    ports = (home / "ports.json").read_text()
    down(home)
    start(home)
    assert (home / "token").read_text() == token
    assert (home / "ports.json").read_text() == ports


def test_a_part_stands_back_as_far_as_its_plan_says(home: Path) -> None:
    started = start(home)
    for name, nice in (("stubborn", 5), ("web", 0)):
        service = started.service(name)
        assert service is not None
        assert service.pid is not None
        assert os.getpriority(os.PRIO_PROCESS, service.pid) == nice
        autogroup = Path(f"/proc/{service.pid}/autogroup")
        if autogroup.exists():
            assert autogroup.read_text().split()[-2:] == ["nice", str(nice)]


def test_no_secret_is_on_a_command_line(home: Path) -> None:
    start(home)
    secrets = [(home / name).read_text() for name in ("token", "ray.token")]
    lines = [processes.command(process.pid) for process in everyone(home)]
    assert not [line for line in lines for secret in secrets if secret in line]


@pytest.mark.parametrize("victim", ["supervisor", "guard", "both"])
def test_a_crash_above_leaves_nothing_behind(home: Path, victim: str) -> None:
    started = start(home)
    living = set(everyone(home))
    if victim == "both":
        # Stopped first, so that neither can react to the other's end: then nobody is left to tidy up.
        for process in (started.guard, started.supervisor):
            process.signal(signal.SIGSTOP)
    for process in {"supervisor": [started.supervisor], "guard": [started.guard]}.get(
        victim, [started.guard, started.supervisor]
    ):
        process.signal(signal.SIGKILL)
    if victim == "both":
        until(lambda: not started.guard.alive() and not started.supervisor.alive())
        assert down(home)
    until(lambda: not any(process.alive() for process in living))
    assert start(home).ready


def test_a_second_up_finds_the_first(home: Path, tmp_path: Path) -> None:
    first = start(home)
    said = tmp_path / "said"
    with said.open("w") as file:
        second = start(home, Console(file=file))
    assert second.supervisor == first.supervisor
    assert "Already up" in said.read_text()


def test_two_ups_at_once_start_one_stack(home: Path) -> None:
    found: list[State] = []
    threads = [threading.Thread(target=lambda: found.append(start(home))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)
    assert len(found) == 2
    assert found[0].supervisor == found[1].supervisor
    assert len(everyone(home)) == 6


@pytest.mark.parametrize("name", ["web", "fleeting", "stubborn"])
def test_a_service_that_is_killed_comes_back(home: Path, name: str) -> None:
    start(home)
    first = pid_of(home, name)
    victim = processes.identify(first)
    assert victim is not None
    victim.signal(signal.SIGKILL)
    until(lambda: not victim.alive())
    healed = start(home)
    assert healed.ready
    assert pid_of(home, name) != first
    service = healed.service(name)
    assert service is not None
    assert service.restarts == 1
    assert len(everyone(home)) == 6  # the whole of it, and nothing of its last life


def test_a_part_that_does_not_start_is_named_with_its_log(home: Path) -> None:
    home.mkdir()
    (home / "broken").touch()
    with pytest.raises(StackError, match=r"Broken did not start: Broken ended with exit code 3") as caught:
        start(home)
    assert "no such luck" in caught.value.log
    assert "broken.log" in caught.value.hint
    assert everyone(home) == {}


def test_foreground_stops_with_whoever_started_it(home: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from rich.console import Console\n"
        "from ratchet.local import up; from ratchet.local.control import Launch\n"
        f"up(Path({str(home)!r}), port=None, detach=False, console=Console(), launch=Launch({LAUNCH.command!r}))"
    )
    for number in (signal.SIGINT, signal.SIGKILL):
        foreground = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
        assert foreground.stdout is not None
        while "Ctrl-C" not in foreground.stdout.readline():
            assert foreground.poll() is None
        living = set(everyone(home))
        assert len(living) == 6
        foreground.send_signal(number)
        foreground.wait(WAIT_S)
        foreground.stdout.close()
        until(lambda living=living: not any(process.alive() for process in living))  # type: ignore[misc]


def test_what_is_not_its_own_goes_on(home: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    title = "import time  # raylet gcs_server dummy-daemon\nwhile True: time.sleep(1)"
    stranger = subprocess.Popen([sys.executable, "-c", title])
    try:
        start(home)
        start(other)
        down(home)
        assert stranger.poll() is None
        assert len(everyone(other)) == 6
        neighbour = state(other)
        assert neighbour is not None
        assert neighbour.ready
    finally:
        stranger.kill()
        stranger.wait()
        down(other)


def test_a_taken_port_is_said_and_another_one_used(home: Path, tmp_path: Path) -> None:
    import socket

    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        taken = holder.getsockname()[1]
        with pytest.raises(StackError, match=f"port {taken} is taken"):
            up(home, port=taken, detach=True, console=Console(quiet=True), launch=LAUNCH)
        Layout.at(home).ports.write_text(f'{{"api": {taken}, "serve": {taken + 1}, "base": 20000}}')
        said = tmp_path / "said"
        with said.open("w") as file:
            start(home, Console(file=file, width=200))
        assert f"Port {taken} is taken" in said.read_text()


def test_status_and_memory_count_every_process(home: Path) -> None:
    assert status(home).state is None
    start(home)
    now = status(home)
    assert now.healthy
    assert {part.part for part in now.memory} == {"Supervisor", "web", "fleeting", "stubborn"}
    assert sum(part.processes for part in memory(home)) == 6
    assert all(part.bytes > 500_000 for part in now.memory)
    os.kill(pid_of(home, "stubborn"), signal.SIGSTOP)  # a process that hangs is there still
    assert sum(part.processes for part in memory(home)) == 6


def test_a_reused_pid_is_not_the_process(home: Path) -> None:
    me = processes.identify(os.getpid())
    assert me is not None
    stranger = processes.Process(me.pid, me.start + 1)
    assert me.alive()
    assert not stranger.alive()
    stranger.signal(signal.SIGKILL)  # would end this test run


def test_sessions_of_ray_are_pruned(tmp_path: Path) -> None:
    for hour in range(5):
        (tmp_path / f"session_2026-01-01_0{hour}-00-00_1").mkdir()
    (tmp_path / "session_latest").symlink_to(tmp_path / "session_2026-01-01_04-00-00_1")
    control.prune_sessions(tmp_path, keep=2)
    assert sorted(path.name[:21] for path in tmp_path.glob("session_2*")) == [
        "session_2026-01-01_03",
        "session_2026-01-01_04",
    ]
