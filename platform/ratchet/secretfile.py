"""Secrets in files that their owner alone can read."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def keep_secret(path: Path, secret: str) -> str:
    """Write `secret` to `path` (0600) unless a secret is there already, and return what is there.

    Of several processes that do so at once the first wins: the file appears whole, under a name that was free.
    """
    if path.exists() and path.read_text().strip():
        path.chmod(0o600)
        return path.read_text().strip()
    path.unlink(missing_ok=True)
    fresh = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(secret)
    try:
        os.link(fresh, path)
    except FileExistsError:
        pass
    finally:
        fresh.unlink()
    return path.read_text().strip()
