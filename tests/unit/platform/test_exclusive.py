"""Two of a kind on one SQLite file: the second is refused clearly; on Postgres there may be any number."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ratchet import exclusive


@pytest.mark.parametrize(("part", "module"), [("API", "ratchet.serve_api"), ("reconciler", "ratchet.reconciler")])
def test_a_second_process_on_a_sqlite_file_is_refused_and_told_what_to_do(
    part: str, module: str, sqlite_database: str, tmp_path: Path
) -> None:
    with exclusive.hold(sqlite_database, part):
        second = subprocess.run(
            [sys.executable, "-m", module],
            env={"PYTHONPATH": ":".join(sys.path), "RATCHET_DATABASE_URL": sqlite_database},
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert second.returncode == 1
    assert f"Another {part} (process " in second.stderr
    assert "RATCHET_DATABASE_URL" in second.stderr
    assert "Traceback" not in second.stderr


def test_the_parts_do_not_exclude_each_other_and_a_part_that_left_may_come_again(sqlite_database: str) -> None:
    with exclusive.hold(sqlite_database, "API"), exclusive.hold(sqlite_database, "reconciler"):
        pass
    with exclusive.hold(sqlite_database, "API"):
        pass


@pytest.mark.parametrize("url", ["postgresql://ratchet@localhost/ratchet", "sqlite://"])
def test_other_databases_take_any_number(url: str) -> None:
    with exclusive.hold(url, "API"), exclusive.hold(url, "API"):
        pass
