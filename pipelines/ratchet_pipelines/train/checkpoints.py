"""What a run needs to go on where it was, and its file. Loaded without pickle's freedom to run code."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ratchet_pipelines.archives import digest_of
from ratchet_pipelines.errors import EngineError

FILE = "state.pt"
DIGEST = "state.pt.sha256"
"""Written last: without it the file is not whole."""
PLACE = re.compile(r"/attempt-(\d{1,9})/epoch-(\d{1,9})$")
Weights = dict[str, Tensor]


@dataclass
class State:
    """A run after `epoch` epochs; what follows from seed and epoch (order of rows, dropout) is not in it."""

    epoch: int
    net: Weights
    optimizer: dict[str, Any]
    schedule: dict[str, Any]
    best: Best
    finished: bool = False


@dataclass
class Best:
    """The best epoch so far by the monitored metric."""

    epoch: int = 0
    value: float | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    weights: Weights = field(default_factory=dict)

    def improves(self, value: float, mode: str) -> bool:
        return self.value is None or (value < self.value if mode == "min" else value > self.value)


def name_of(epoch: int) -> str:
    """Of a checkpoint's folder."""
    return f"epoch-{epoch}"


def place_of(path: str) -> tuple[int, int] | None:
    """The attempt and the epoch of the checkpoint in this folder; None when it holds none of a job."""
    found = PLACE.search(path)
    return (int(found[1]), int(found[2])) if found else None


def save(state: State, folder: Path) -> None:
    # not `asdict`: it would copy every tensor
    content = vars(state) | {"best": vars(state.best)}
    torch.save(content, folder / FILE)
    (folder / DIGEST).write_text(digest_of(folder / FILE))


def check(folder: Path) -> None:
    """Raises `EngineError` when what is in `folder` is not what was saved there."""
    try:
        expected, found = (folder / DIGEST).read_text(), digest_of(folder / FILE)
    except OSError as error:
        raise EngineError(f"The checkpoint is not whole: {error.strerror}: {error.filename}.") from error
    if found != expected:
        raise EngineError(f"The checkpoint is not what was saved: the digest of {FILE} is {found}, not {expected}.")


def load(folder: Path) -> State:
    """The state in `folder`, on the CPU; `EngineError` as `check` raises it."""
    check(folder)
    content = torch.load(folder / FILE, map_location="cpu", weights_only=True)
    return State(**content | {"best": Best(**content["best"])})
