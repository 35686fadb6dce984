"""Both clients and the command line against a server in a process of its own."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.integration.private_ray import free_ports

from ratchet.sdk import AsyncClient, Client, Conflict, Invalid, JobFailed, NotFound, ServerUnavailable, Unauthorized

pytestmark = pytest.mark.slow
TRAIN = {"kind": "train", "data": {"uri": "sklearn://breast_cancer"}, "params": {"epochs": 3}, "model": "cancer"}
TOKEN = "rt_" + "t" * 43


@dataclass
class Server:
    url: str
    home: Path
    process: subprocess.Popen[bytes]


@pytest.fixture(scope="module")
def server(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The API as it is started in earnest, on a database of its own. No Ray and no MLflow is behind it."""
    home = tmp_path_factory.mktemp("server")
    (home / "ratchet.db").write_bytes(sqlite_template.read_bytes())
    (home / "token").write_text(TOKEN)
    (port,) = free_ports(1)
    environ = {**os.environ, "RATCHET_HOME": str(home), "RATCHET_PORT": str(port)}
    environ |= {"RATCHET_BOOTSTRAP_TOKEN_FILE": str(home / "token"), "RATCHET_LOG_FORMAT": "text"}
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "ratchet.serve_api"], env=environ, stdout=log, stderr=log, start_new_session=True
        )
    found = Server(f"http://127.0.0.1:{port}", home, process)
    try:
        with Client(found.url, TOKEN, attempts=9) as client:
            client.info()
        yield found
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(10)


def test_the_async_client_does_all_that_the_blocking_one_does(server: Server) -> None:
    async def main() -> None:
        async with AsyncClient(server.url, TOKEN) as ratchet:
            info, me = await asyncio.gather(ratchet.info(), ratchet.me())
            assert info.version
            assert me.actor
            jobs = await asyncio.gather(*(ratchet.jobs.submit({**TRAIN, "seed": seed}) for seed in range(5)))
            listed = [job.id async for job in ratchet.jobs.list(limit=5)]
            assert set(listed) == {job.id for job in jobs}
            with pytest.raises(Invalid, match="epocs"):
                await ratchet.jobs.submit({**TRAIN, "params": {"epocs": 3}})
            with pytest.raises(NotFound):
                await ratchet.jobs.get("job-none")
            with pytest.raises(JobFailed, match="cancelled"):
                await asyncio.gather(ratchet.jobs.wait(jobs[0]), ratchet.jobs.cancel(jobs[0]))
        async with AsyncClient(server.url, "rt_wrong") as stranger:
            with pytest.raises(Unauthorized):
                await stranger.info()

    asyncio.run(main())


def test_many_are_followed_at_once_over_one_client(server: Server) -> None:
    async def main() -> list[str]:
        async with AsyncClient(server.url, TOKEN) as ratchet:
            jobs = [await ratchet.jobs.submit({**TRAIN, "seed": seed}) for seed in range(4)]

            async def last(job: Any) -> str:
                statuses = [update.job.status async for update in ratchet.jobs.follow(job) if update.job]
                return statuses[-1]

            followed = [asyncio.create_task(last(job)) for job in jobs]
            for job in jobs:
                await ratchet.jobs.cancel(job)
            return await asyncio.gather(*followed)

    assert asyncio.run(main()) == ["cancelled"] * 4


def test_a_wait_for_a_server_that_is_away_can_be_cancelled() -> None:
    (port,) = free_ports(1)

    async def main() -> None:
        async with AsyncClient(f"http://127.0.0.1:{port}", "t", attempts=100) as ratchet:
            task = asyncio.create_task(ratchet.info())
            await asyncio.sleep(0.05)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(main())
    with pytest.raises(ServerUnavailable), Client(f"http://127.0.0.1:{port}", "t", attempts=1) as blocking:
        blocking.info()


Ratchet = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def ratchet(server: Server, tmp_path: Path) -> Ratchet:
    """The command line as a program of its own."""

    def run(*arguments: str, input: str = "", **environ: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "ratchet.cli.main", *arguments],
            env=environment(server, tmp_path, **environ),
            input=input,
            capture_output=True,
            text=True,
            timeout=60,
        )

    return run


def environment(server: Server, home: Path, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("RATCHET_", "NO_COLOR"))}
    found = {"RATCHET_URL": server.url, "RATCHET_TOKEN": TOKEN, "RATCHET_HOME": str(home)}
    return {**kept, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **found, **more}


def test_exit_statuses(ratchet: Ratchet) -> None:
    job = ratchet("train", "-d", "sklearn://digits", "--quiet")
    assert (job.returncode, job.stderr) == (0, "")
    id = job.stdout.strip()
    (free,) = free_ports(1)
    assert ratchet("jobs", "cancel", id, "-q").stdout == f"{id}\n"
    assert ratchet("jobs", "lst").returncode == 2
    assert ratchet("train", "-d", "sklearn://digits", "-p", "epocs=1").returncode == 2
    assert ratchet("info", RATCHET_TOKEN="rt_wrong").returncode == 3
    assert ratchet("jobs", "show", "job-none").returncode == 4
    assert ratchet("projects", "create", "default").returncode == 5
    assert ratchet("info", RATCHET_URL=f"http://127.0.0.1:{free}").returncode == 6
    assert ratchet("jobs", "wait", id).returncode == 7


def test_every_error_is_json_on_stderr_with_json(ratchet: Ratchet) -> None:
    for arguments, status in ((["jobs", "lst"], 2), (["jobs", "show", "job-none"], 4)):
        ended = ratchet(*arguments, "--json")
        assert ended.stdout == ""
        assert json.loads(ended.stderr)["exit_status"] == ended.returncode == status


def test_an_interrupted_wait_ends_with_130_and_leaves_the_job(server: Server, ratchet: Ratchet, tmp_path: Path) -> None:
    id = ratchet("train", "-d", "sklearn://digits", "-q").stdout.strip()
    process = subprocess.Popen(
        [sys.executable, "-m", "ratchet.cli.main", "jobs", "follow", id],
        env=environment(server, tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stderr is not None
    process.stderr.readline()  # its first state: the stream is open
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=20)
    assert process.returncode == 130
    assert f"ratchet jobs cancel {id}" in told.decode()
    assert json.loads(ratchet("jobs", "show", id, "--json").stdout)["status"] == "queued"
    ratchet("jobs", "cancel", id)


def on_a_terminal(command: list[str], env: dict[str, str]) -> str:
    """What a program writes to a terminal."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(command, env=env, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True)
    os.close(theirs)
    written = b""
    while select.select([ours], [], [], 30)[0]:
        try:
            part = os.read(ours, 65_536)
        except OSError:  # the last process has closed it
            break
        written += part
    os.close(ours)
    process.wait(10)
    return written.decode()


@pytest.mark.parametrize("command", [["--help"], ["jobs", "list"], ["jobs", "show", "job-none"]])
def test_colours_are_for_terminals_that_want_them(server: Server, tmp_path: Path, command: list[str]) -> None:
    program = [sys.executable, "-m", "ratchet.cli.main", *command]
    with_colour = on_a_terminal(program, environment(server, tmp_path, TERM="xterm-256color"))
    assert "\x1b[" in with_colour
    for variable, value in (("NO_COLOR", "1"), ("TERM", "dumb")):
        plain = on_a_terminal(program, environment(server, tmp_path, **{"TERM": "xterm", variable: value}))
        assert "\x1b[" not in plain, (variable, plain)
        assert len(plain) > 20


def test_a_shell_completes_commands_options_and_what_there_is(server: Server, ratchet: Ratchet) -> None:
    id = ratchet("train", "-d", "sklearn://digits", "-q").stdout.strip()

    def completed(line: str) -> list[str]:
        words = {"COMP_WORDS": line, "COMP_CWORD": str(len(line.split(" ")) - 1)}
        return ratchet(_RATCHET_COMPLETE="complete_bash", **words).stdout.split()

    assert "jobs" in completed("ratchet jo")
    assert "--follow" in completed("ratchet train --fo")
    assert id in completed("ratchet jobs show job-")
    assert ratchet("jobs", "cancel", id).returncode == 0


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_completion_script_of_each_shell(ratchet: Ratchet, shell: str) -> None:
    script = ratchet("completion", shell)
    assert script.returncode == 0
    assert f"complete_{shell}" in script.stdout
    if shell == "bash":
        assert subprocess.run(["bash", "-n"], input=script.stdout, text=True).returncode == 0


def test_the_reader_of_a_pipe_may_leave(server: Server, tmp_path: Path) -> None:
    command = f"{sys.executable} -m ratchet.cli.main jobs list --json | head -1"
    ended = subprocess.run(
        ["bash", "-c", command], env=environment(server, tmp_path), capture_output=True, text=True, timeout=60
    )
    assert ended.stderr == ""


def test_a_name_that_is_taken_is_a_conflict_in_both(server: Server) -> None:
    with Client(server.url, TOKEN) as blocking, pytest.raises(Conflict):
        blocking.projects.create("default")
