"""Ports of a local stack: chosen once, then kept, so that addresses outlive a restart."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

FIRST_BLOCK, LAST_BLOCK = 20_000, 32_000
"""Blocks lie here: above the well-known services, below the ephemeral ports of Linux (32768)."""
BLOCK = 600
WORKERS = (100, 399)
"""Each Ray worker process listens on one port of this part of the block."""
INGRESS = (400, 499)
"""Each Serve replica listens on one port here for HTTP, and on one of the hundred above for gRPC."""
DEFAULT_PORT = 8470


@dataclass(frozen=True)
class Ports:
    """`api` and `serve` are for people and clients; everything internal lies in one block from `base`."""

    api: int
    serve: int
    base: int

    def inner(self, offset: int) -> int:
        if not 0 <= offset < BLOCK:
            raise ValueError(f"offset {offset} lies outside the block of {BLOCK} ports")
        return self.base + offset

    @property
    def ray_dashboard(self) -> int:
        return self.inner(1)

    @property
    def mlflow(self) -> int:
        return self.inner(50)


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a server could listen on `port` now, on `host` and on every address of the machine.

    `SO_REUSEADDR`, as servers set it: a port whose last connections linger in TIME_WAIT is free.
    """
    for address in {host, "0.0.0.0"}:  # noqa: S104 - tried, never listened on
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, port))
                probe.listen(1)
            except OSError:
                return False
    return True


def next_free(first: int, *, apart_from: frozenset[int] = frozenset()) -> int:
    """The first free port from `first` on. Raises `OSError` when a hundred in a row are taken."""
    for port in range(first, min(first + 100, 65_536)):
        if port not in apart_from and is_free(port):
            return port
    raise OSError(f"no free port among {first} to {first + 99}; give another with --port")


def block_is_free(base: int) -> bool:
    with ExitStack() as held:
        for port in range(base, base + BLOCK):
            probe = held.enter_context(socket.socket())
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("0.0.0.0", port))  # noqa: S104 - tried, never listened on
            except OSError:
                return False
    return True


def free_block() -> int:
    for base in range(FIRST_BLOCK, LAST_BLOCK, BLOCK):
        if block_is_free(base):
            return base
    raise OSError(f"no {BLOCK} free ports in a row between {FIRST_BLOCK} and {LAST_BLOCK}; stop what holds them")


def choose(file: Path, wanted: int | None, say: Callable[[str], None]) -> Ports:
    """The ports of last time where they are free still, else others, said aloud; kept in `file`.

    `wanted`: the API's port by the user's wish. Raises `OSError` when that one is taken.
    """
    last = load(file)
    if wanted is not None:
        if not is_free(wanted):
            raise OSError(f"port {wanted} is taken by another program; choose another with --port, or leave it out")
        api = wanted
    else:
        preferred = last.api if last else DEFAULT_PORT
        api = next_free(preferred)
        if api != preferred:
            say(f"Port {preferred} is taken by another program; the API takes {api}.")
    preferred = last.serve if last else api + 1
    serve = next_free(preferred, apart_from=frozenset({api}))
    if serve != preferred and (last or preferred == DEFAULT_PORT + 1):
        say(f"Port {preferred} is taken; predictions are served on {serve}.")
    base = last.base if last and block_is_free(last.base) else free_block()
    ports = Ports(api=api, serve=serve, base=base)
    fresh = file.with_name(file.name + ".new")
    fresh.write_text(json.dumps(asdict(ports)))
    fresh.replace(file)
    return ports


def load(file: Path) -> Ports | None:
    """The ports in `file`; `None` where there is none, or what is there is not ours."""
    try:
        return Ports(**{name: int(value) for name, value in json.loads(file.read_text()).items()})
    except (OSError, ValueError, TypeError, AttributeError):
        return None
