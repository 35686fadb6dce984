"""The settings of the control plane: environment variables `RATCHET_*`, nothing else."""

from __future__ import annotations

import sys
from functools import cached_property
from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="RATCHET_", extra="ignore", frozen=True)

    home: Path = Path("~/.ratchet").expanduser()
    """Where everything of a local stack lives."""
    database_url: str = ""
    """SQLAlchemy's; a SQLite file in `home` when empty."""
    storage_uri: str = ""
    """Root of the files that jobs and replicas write (fsspec); a folder in `home` when empty."""

    host: str = "127.0.0.1"
    port: int = Field(default=8470, ge=1, le=65_535)
    public_url: str = ""
    """The address that people and clients use; `http://host:port` when empty."""
    max_body_bytes: int = 1024 * 1024
    max_bundle_bytes: int = 256 * 1024 * 1024
    """Of an archive of code, as it is uploaded."""
    allow_file_git: bool = False
    """Whether custom jobs may take their code from repositories at `file://`, on the cluster's machines."""
    secure_cookies: bool = False
    """Set where TLS ends before the API: browsers then send the session cookie over HTTPS alone."""
    bootstrap_token_file: Path | None = None
    """A file with the first administrator's token. It is registered at start when no token of its hash exists."""

    ray_address: str = "http://127.0.0.1:8265"
    """Ray's dashboard: the Jobs and Serve REST APIs."""
    ray_token_file: Path | None = None
    ray_token: SecretStr = SecretStr("")
    python: str = sys.executable
    """The Python that starts a job, on the cluster."""
    max_concurrent_jobs: int = Field(default=16, ge=1)
    """Ray jobs alive at once: each costs the head a supervisor process (about 85 MB)."""
    ray_start_timeout_s: int = Field(default=600, ge=10)
    """How long Ray may take to start a job it was given, its environment included, before another attempt is made."""

    mlflow_url: str = "http://127.0.0.1:5000"
    """MLflow as the API and the reconciler reach it."""
    mlflow_job_url: str = ""
    """MLflow as jobs reach it; `mlflow_url` when empty."""

    serve_url: str = ""
    """The ingress for predictions as callers reach it; `http://127.0.0.1:<serve_port>` when empty."""
    serve_internal_url: str = ""
    """The same ingress as the reconciler reaches it; `serve_url` when empty."""
    serve_host: str = "127.0.0.1"
    serve_port: int = Field(default=8471, ge=1, le=65_535)

    log_format: str = "json"

    @cached_property
    def database(self) -> str:
        return self.database_url or f"sqlite:///{self.home / 'ratchet.db'}"

    @cached_property
    def storage(self) -> str:
        return (self.storage_uri or (self.home / "storage").absolute().as_uri()).rstrip("/")

    @cached_property
    def public(self) -> str:
        return (self.public_url or f"http://{self.host}:{self.port}").rstrip("/")

    @cached_property
    def serving(self) -> str:
        return (self.serve_url or f"http://127.0.0.1:{self.serve_port}").rstrip("/")

    @cached_property
    def serving_internal(self) -> str:
        return self.serve_internal_url.rstrip("/") or self.serving

    @cached_property
    def mlflow_for_jobs(self) -> str:
        return self.mlflow_job_url or self.mlflow_url

    def read_ray_token(self) -> str:
        """Read anew each time: a token that was rotated is taken without a restart."""
        if self.ray_token_file is not None:
            return self.ray_token_file.read_text().strip()
        return self.ray_token.get_secret_value()
