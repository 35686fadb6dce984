"""The chain of hashes: each link is SHA-256 of the link before and one event, in a form that is always the same.

Whoever keeps a link elsewhere (an anchor) can tell later whether anything up to it was changed, taken out or put in.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

GENESIS = "0" * 64
"""What stands before the first link."""


@dataclass(frozen=True)
class Anchor:
    """A link of the chain: its number, and its hash in hex. Written `<seq>:<hash>`."""

    seq: int = 0
    hash: str = GENESIS

    @classmethod
    def parse(cls, text: str) -> Anchor:
        """`ValueError` when it is no anchor."""
        seq, _, link = text.partition(":")
        if not (seq.isascii() and seq.isdigit() and len(seq) <= 18) or len(link) != 64:
            raise ValueError(f"{text[:100]!r} is no anchor: it is written <number>:<64 hexadecimal digits>")
        return cls(int(seq), link.lower())

    def __str__(self) -> str:
        return f"{self.seq}:{self.hash}"


def link(before: str, event: dict[str, Any]) -> str:
    """The hash, in hex, of the link that seals `event` after the link `before`."""
    return hashlib.sha256(before.encode() + canonical(event)).hexdigest()


def canonical(event: dict[str, Any]) -> bytes:
    """JSON with sorted keys, no spaces, and ASCII alone; a time is in UTC, with microseconds."""
    return json.dumps(event, sort_keys=True, separators=(",", ":"), default=_plain).encode()


def _plain(value: Any) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds")
    raise TypeError(f"{value!r} has no form in the chain")
