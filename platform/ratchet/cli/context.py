"""The options that every command has, and the client that they describe."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ratchet.sdk.client import Client


@dataclass
class Options:
    json: bool = False
    quiet: bool = False
    project: str | None = None
    url: str | None = None
    token_file: Path | None = None


options = Options()
"""Of the command that runs; set before its function is called."""


def make_client(chosen: Options, **limits: Any) -> Client:
    """`limits` are the client's own: `attempts`, `timeout`."""
    from ratchet.sdk.client import Client

    return Client(chosen.url, project=chosen.project, token_file=chosen.token_file, **limits)


def client() -> Client:
    """The client of the command that runs."""
    return make_client(options)
