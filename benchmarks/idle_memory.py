"""What the whole stack takes of the machine while idle, part by part, against its budget of 1.5 GB.

    python -m benchmarks.idle_memory [--home HOME]

Measures the stack in HOME if one runs there, else starts one in a temporary folder. Proportional set size
(/proc/<pid>/smaps_rollup): shared pages are counted once. Exits with 1 when over budget.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from ratchet.local import down, memory, state, up

BUDGET_BYTES = 1_500_000_000
SETTLE_S = 20.0
"""What start-up allocated is given back by then, and Ray's agents have reported a few times."""


@contextmanager
def running(home: Path | None) -> Iterator[Path]:
    if home and state(home):
        yield home
        return
    with tempfile.TemporaryDirectory(prefix="rb-") as folder:  # short: all of the stack's sockets fit into it
        fresh = Path(folder)
        try:
            up(fresh, port=None, detach=True, console=Console())
            time.sleep(SETTLE_S)
            yield fresh
        finally:
            down(fresh)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path)
    with running(parser.parse_args().home) as home:
        parts = memory(home)
    total = sum(part.bytes for part in parts)
    for part in parts:
        print(f"{part.bytes / 1e6:8.0f} MB  {part.processes:3} processes  {part.part}")
    print(f"{total / 1e6:8.0f} MB  in all, idle; budget {BUDGET_BYTES / 1e6:.0f} MB, ratio {total / BUDGET_BYTES:.2f}")
    raise SystemExit(total > BUDGET_BYTES)


if __name__ == "__main__":
    main()
