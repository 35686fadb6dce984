"""What runs of a local stack, since when, where, and what it weighs."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from ratchet.local.control import healthy
from ratchet.local.statefile import State, read
from ratchet.local.weight import PartMemory, memory


@dataclass(frozen=True)
class Status:
    """`state` is `None` when nothing runs; `memory` may still list what a crash left behind."""

    state: State | None
    healthy: bool
    uptime_s: float
    memory: list[PartMemory]

    @property
    def memory_bytes(self) -> int:
        return sum(part.bytes for part in self.memory)


def status(home: Path) -> Status:
    state = read(home)
    return Status(
        state=state,
        healthy=state is not None and healthy(state),
        uptime_s=time.time() - state.started_at if state else 0.0,
        memory=memory(home),
    )
