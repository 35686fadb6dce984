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


def logins(home: Path) -> dict[str, Any]:
    """What `ratchet login` noted: `url`, the last one's address, and `tokens` by address. Empty when there is none."""
    path = home / "logins.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise RatchetError(
            f"{path} cannot be read: {error}", hint="Remove it, then run `ratchet login` again."
        ) from error
    return found if isinstance(found, dict) else {}


def save_logins(home: Path, noted: Mapping[str, Any]) -> Path:
    """Whole or not at all, readable by its owner alone."""
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = home / "logins.json.new"
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        json.dump(noted, file, indent=1)
    return fresh.replace(home / "logins.json")


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
    `RATCHET_PROJECT`, else the last `ratchet login`, else `state.json` and the token file in `RATCHET_HOME`.

    A token that was kept for an address is only ever sent to that address.
    """
    home = home_folder(environ)
    state = local_state(home)
    local_url, noted = _local_url(state), logins(home)
    given = url or environ.get("RATCHET_URL")
    found = base_url(given or noted.get("url") or local_url or DEFAULT_URL)
    places = {
        "--url": url,
        "RATCHET_URL": given,
        "ratchet login": noted.get("url"),
        str(home / "state.json"): local_url,
    }
    origin = next((place for place, there in places.items() if there), "default")
    token_file = token_file or _path(environ.get("RATCHET_TOKEN_FILE") if not token else None)
    if token is None and token_file is None:
        token = environ.get("RATCHET_TOKEN") or None
    if token is None and token_file is None:
        token = noted.get("tokens", {}).get(found)
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


def base_url(url: str) -> str:
    """The API's address without a path."""
    return url.rstrip("/").removesuffix("/api/v1")


def _local_url(state: Mapping[str, Any]) -> str:
    urls = state.get("urls")
    url = (urls.get("api") or urls.get("dashboard") or "") if isinstance(urls, dict) else ""
    return base_url(str(url))


def _path(text: str | None) -> Path | None:
    return Path(text).expanduser() if text else None
