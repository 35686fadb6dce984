"""Which variant answers a key: a pure function of the salt, the key and the weights."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from hashlib import sha256
from itertools import accumulate

from ratchet_pipelines.spec import Variant


def position(salt: str, key: str) -> float:
    """Where a key stands in [0, 1]: uniform over keys, the same for ever under one salt."""
    return int.from_bytes(sha256(f"{salt}\0{key}".encode()).digest()[:8], "big") / 2**64


class Assignment:
    """The interval [0, 1) cut into one piece per variant, in the order of the configuration, as wide as its weight.

    A caller's key stays with its variant as long as the cut that it stands beside does not move past it: a change of
    weights from 0.1 to 0.2 moves a tenth of all keys and no other. A variant of weight 0 is never assigned.
    """

    def __init__(self, salt: str, variants: Sequence[Variant]) -> None:
        self._salt = salt
        self._indices = [index for index, variant in enumerate(variants) if variant.weight > 0]
        # Without the last cut (1, but for rounding): whatever lies beyond the one before it is the last variant's.
        self._cuts = list(accumulate(variants[index].weight for index in self._indices))[:-1]

    def index(self, key: str) -> int:
        """The index of the variant that answers `key`; `LookupError` when no variant has a weight."""
        if not self._indices:
            raise LookupError("no variant has a weight")
        return self._indices[bisect_right(self._cuts, position(self._salt, key))]
