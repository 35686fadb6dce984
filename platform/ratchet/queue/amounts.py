"""What a job takes and a limit allows, counted in five ways at once."""

from __future__ import annotations

import math
from typing import NamedTuple

EPSILON = 1e-9
"""Sums of tenths of a CPU are not exact."""
GIB = 2**30
HOUR_S = 3600
UNITS = ("CPUs", "GPUs", "GiB of memory", "jobs", "GPU-hours a month")
UNIT = ("CPU", "GPU", "GiB of memory", "job", "GPU-hour a month")
SCALES = (1, 1, GIB, 1, HOUR_S)


class Amount(NamedTuple):
    """Of a job: what it holds from its start to its end. Of a limit: what may be held at once, infinite where free."""

    cpus: float = 0
    gpus: float = 0
    memory_bytes: float = 0
    jobs: float = 0
    """Places among the jobs that may be alive at once: 1 for a job."""
    gpu_s: float = 0
    """GPU-seconds in the calendar month. A job takes its GPUs for its whole deadline until it has ended, and then what
    it used: whoever starts can then run to its deadline without the month's limit being passed."""

    def plus(self, other: Amount) -> Amount:
        return Amount(*[mine + theirs for mine, theirs in zip(self, other, strict=True)])

    def minus(self, other: Amount) -> Amount:
        return Amount(*[mine - theirs for mine, theirs in zip(self, other, strict=True)])

    def fits(self, room: Amount) -> bool:
        """Whether there is room for it. What it does not need does not matter, even where less than none is left."""
        return (
            (self[0] <= room[0] + EPSILON or not self[0])
            and (self[1] <= room[1] + EPSILON or not self[1])
            and (self[2] <= room[2] + EPSILON or not self[2])
            and (self[3] <= room[3] + EPSILON or not self[3])
            and (self[4] <= room[4] + EPSILON or not self[4])
        )

    def lacking(self, room: Amount) -> int:
        """The first of the five of which there is too little."""
        return next(i for i, (need, left) in enumerate(zip(self, room, strict=True)) if need and need > left + EPSILON)


NOTHING = Amount()
UNLIMITED = Amount(*[math.inf] * 5)


def said(amount: Amount, which: int) -> str:
    """One of the five for a person, with its unit: `2 CPUs`, `1.5 GiB of memory`."""
    many = number(amount, which)
    return f"{many} {UNIT[which] if many == '1' else UNITS[which]}"


def number(amount: Amount, which: int) -> str:
    return f"{round(max(amount[which], 0) / SCALES[which], 2):g}"
