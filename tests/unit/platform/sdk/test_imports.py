"""What importing loads: a laptop's command line must start at once."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

HEAVY = {"torch", "ray", "mlflow", "fastapi", "sqlalchemy", "numpy", "pandas", "pyarrow"}


def loaded_by(statement: str) -> set[str]:
    code = f"{statement}\nimport sys\nprint(*sys.modules)"
    env = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PATH": os.environ["PATH"]}
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60, env=env
    )
    return {name.partition(".")[0] for name in ended.stdout.split()}


@pytest.mark.parametrize("module", ["ratchet", "ratchet.sdk", "ratchet.cli.main"])
def test_importing_loads_neither_server_nor_http_client(module: str) -> None:
    assert loaded_by(f"import {module}") & (HEAVY | {"httpx2", "pydantic"}) == set()


def test_help_is_printed_without_what_draws_tables() -> None:
    statement = "from ratchet.cli.main import app\ntry: app(['--help'])\nexcept SystemExit: pass"
    assert loaded_by(statement) & {"rich", "httpx2", "pydantic", "yaml"} == set()


def test_the_client_loads_nothing_of_the_server() -> None:
    assert loaded_by("from ratchet.sdk import Client, JobFailed, resources; resources.Job") & HEAVY == set()
