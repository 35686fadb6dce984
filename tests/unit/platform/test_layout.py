"""What holds the two source roots together."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_platform_is_no_package() -> None:
    """With an `__init__.py` it would hide the standard library's `platform`, and Python would not start."""
    assert not (ROOT / "platform" / "__init__.py").exists()


def test_importing_ratchet_loads_nothing_heavy() -> None:
    code = "import sys, ratchet, ratchet.sdk; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "ray", "mlflow", "pandas", "sklearn", "sqlalchemy", "fastapi"} & set(loaded)


def test_the_reconciler_knows_every_table_that_its_rows_refer_to() -> None:
    code = "import ratchet.reconciler.__main__; from ratchet.db import Base; print(len(Base.metadata.sorted_tables))"
    assert int(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout) > 10


def test_the_api_and_the_reconciler_load_no_compute_library() -> None:
    code = "import sys, ratchet.app, ratchet.reconciler.__main__; print(*{n.partition('.')[0] for n in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "ray", "mlflow", "pandas", "sklearn", "evidently"} & set(loaded)
