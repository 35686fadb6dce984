"""Where a local stack keeps its things: one folder, `RATCHET_HOME`, readable by its owner alone."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ratchet.secretfile import keep_secret

RAY_PATH_LIMIT = 40
"""Longest temp dir given to Ray: it appends up to 65 characters to name its sockets, and the kernel takes 107."""
HAPROXY_PATH_LIMIT = 27
"""Longest folder given to Serve's HAProxy: `/<node id, 56 characters>/admin.sock` follows, then `.<pid>.tmp`."""


@dataclass(frozen=True)
class Layout:
    """The files of the stack that lives in `home`."""

    home: Path

    @classmethod
    def at(cls, home: Path) -> Layout:
        return cls(home.expanduser().resolve())

    @cached_property
    def stack(self) -> str:
        """The stack's id, the same whenever it is started: it marks each of its processes."""
        return hashlib.sha256(str(self.home).encode()).hexdigest()[:12]

    @property
    def logs(self) -> Path:
        return self.home / "logs"

    @property
    def state(self) -> Path:
        return self.home / "state.json"

    @property
    def ports(self) -> Path:
        return self.home / "ports.json"

    @property
    def lock(self) -> Path:
        """Held by an `up` or a `down` while it works."""
        return self.home / "up.lock"

    @property
    def supervisor_lock(self) -> Path:
        """Held by the guard of a living stack, from its first moment to its last."""
        return self.home / "supervisor.lock"

    @property
    def token(self) -> Path:
        return self.home / "token"

    @property
    def ray_token(self) -> Path:
        return self.home / "ray.token"

    @property
    def mlflow_token(self) -> Path:
        """What MLflow asks of API and reconciler."""
        return self.home / "mlflow.token"

    @property
    def serving_token(self) -> Path:
        """By which replicas read models through the API."""
        return self.home / "serving.token"

    @property
    def secret_key(self) -> Path:
        """Signs the tokens of jobs."""
        return self.home / "secret.key"

    @property
    def storage(self) -> Path:
        return self.home / "storage"

    @property
    def database(self) -> Path:
        return self.home / "ratchet.db"

    @property
    def mlflow_database(self) -> Path:
        return self.home / "mlflow.db"

    @cached_property
    def ray(self) -> Path:
        """Ray's temp dir: in `home` where the sockets' paths fit, else a private folder with a short name."""
        inside = self.home / "ray"
        return inside if len(str(inside)) <= RAY_PATH_LIMIT else self._private / "ray"

    @cached_property
    def haproxy(self) -> Path:
        """Configuration and sockets of Serve's HAProxy, away from those of any other Serve on the machine."""
        inside = self.home / "haproxy"
        return inside if len(str(inside)) <= HAPROXY_PATH_LIMIT else self._private / "ha"

    @cached_property
    def _private(self) -> Path:
        return Path(tempfile.gettempdir()) / f"ratchet-{self.stack[:8]}"

    def clear_private(self) -> None:
        """Remove what lies outside `home`: sockets, and Ray's logs of the starts that are over."""
        shutil.rmtree(self._private, ignore_errors=True)

    def prepare(self) -> None:
        """Make the folders (0700) and the secrets (0600); what exists is kept.

        Raises `PermissionError` when a folder under the shared temp dir belongs to someone else.
        """
        self.home.mkdir(parents=True, exist_ok=True)
        self.home.chmod(0o700)
        for folder in (self.logs, self.storage / "mlflow", self.ray, self.haproxy):
            if self._private in folder.parents:
                self._claim_private()
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        keep_secret(self.token, "rt_" + secrets.token_urlsafe(32))
        for path in (self.ray_token, self.mlflow_token, self.serving_token, self.secret_key):
            keep_secret(path, secrets.token_urlsafe(32))

    def _claim_private(self) -> None:
        self._private.mkdir(mode=0o700, exist_ok=True)
        found = self._private.lstat()
        if self._private.is_symlink() or found.st_uid != os.getuid() or found.st_mode & 0o077:
            raise PermissionError(
                f"{self._private} is not a private folder of yours; remove it, or choose a shorter RATCHET_HOME"
            )
