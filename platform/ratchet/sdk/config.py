"""Where the API is and who asks: arguments, then the environment, then the stack of this machine."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ratchet.sdk.errors import RatchetError

DEFAULT_URL = "http://127.0.0.1:8470"
DEFAULT_PROJECT = "default"


@dataclass(frozen=True)
class Connection:
    url: str
    """The API's address without a path, such as `http://127.0.0.1:8470`."""
    token: str | None = field(repr=False)
    project: str
    home: Path
    """The folder of this machine's stack, whether or not there is one."""
    origin: str
    """Where the address comes from, for messages: `--url`, `RATCHET_URL`, a file, or `default`."""
    token_file: Path | None = None
    """The file that the token was read from, when it was."""


def home_folder(environ: Mapping[str, str] = os.environ) -> Path:
    return Path(environ.get("RATCHET_HOME") or "~/.ratchet").expanduser()


def local_state(home: Path) -> dict[str, Any]:
    """What `ratchet up` noted about the stack of this machine; empty when there is none."""
    path = home / "state.json"
    try:
        state = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise RatchetError(
            f"{path} cannot be read: {error}", hint="Set RATCHET_URL and RATCHET_TOKEN, or run `ratchet up` again."
        ) from error
    return state if isinstance(state, dict) else {}


def read_token(path: Path) -> str:
    try:
        token = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise RatchetError(
            f"The token file {path} cannot be read: {error.strerror or error}",
            hint="Set RATCHET_TOKEN_FILE to a file that holds the token alone, or RATCHET_TOKEN to the token.",
        ) from error
    if not token:
        raise RatchetError(f"The token file {path} is empty.")
    return token


def resolve(
    url: str | None = None,
    token: str | None = None,
    project: str | None = None,
    token_file: Path | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Connection:
    """The connection by the arguments, else `RATCHET_URL`, `RATCHET_TOKEN`, `RATCHET_TOKEN_FILE` and
    `RATCHET_PROJECT`, else `state.json` and the token file in `RATCHET_HOME`.

    The local stack's token is only ever sent to the local stack.
    """
    home = home_folder(environ)
    state = local_state(home)
    local_url = _local_url(state)
    given = url or environ.get("RATCHET_URL")
    found = (given or local_url or DEFAULT_URL).rstrip("/").removesuffix("/api/v1")
    origin = "--url" if url else "RATCHET_URL" if given else str(home / "state.json") if local_url else "default"
    token_file = token_file or _path(environ.get("RATCHET_TOKEN_FILE") if not token else None)
    if token is None and token_file is None:
        token = environ.get("RATCHET_TOKEN") or None
    if token is None and token_file is None and found == (local_url or DEFAULT_URL):
        local_token = home / "token"
        token_file = local_token if local_token.is_file() else None
    return Connection(
        url=found,
        token=token if token is not None else read_token(token_file) if token_file else None,
        project=project or environ.get("RATCHET_PROJECT") or DEFAULT_PROJECT,
        home=home,
        origin=origin,
        token_file=None if token is not None else token_file,
    )


def _local_url(state: Mapping[str, Any]) -> str:
    urls = state.get("urls")
    url = (urls.get("api") or urls.get("dashboard") or "") if isinstance(urls, dict) else ""
    return str(url).rstrip("/").removesuffix("/api/v1")


def _path(text: str | None) -> Path | None:
    return Path(text).expanduser() if text else None
