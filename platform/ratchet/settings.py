"""The settings of the control plane: environment variables `RATCHET_*`, nothing else."""

from __future__ import annotations

import secrets
import sys
from functools import cached_property
from pathlib import Path
from typing import Annotated

from pydantic import Field, IPvAnyNetwork, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from ratchet.secretfile import keep_secret

Gift = Annotated[str, Field(pattern=r"^([a-z0-9]([a-z0-9-]*[a-z0-9])?:(viewer|editor|admin)|platform_admin)$")]


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
    reconciler_port: int = Field(default=0, ge=0, le=65_535)
    """Where a reconciler answers `/healthz` and `/metrics`, on the loopback address; 0: nowhere."""
    secure_cookies: bool = False
    """Set where TLS ends before the API: browsers then send the session cookie over HTTPS alone."""
    allowed_hosts: list[str] = []
    """Further names by which this API may be asked, beside those of its addresses and the loopback's; `*`: by any."""
    trusted_proxies: str = "127.0.0.1"
    """Addresses of proxies whose X-Forwarded-For and -Proto are believed, by commas; `*`: whoever connects."""
    auth_failures_per_minute: int = Field(default=20, ge=1)
    """Wrong tokens from one address; ten times as many from all together."""
    requests_per_minute: int = Field(default=0, ge=0)
    """Of one account; no limit when 0."""

    oidc_issuer: str = ""
    """The OpenID provider at which people sign in; none when empty."""
    oidc_client_id: str = ""
    oidc_client_secret_file: Path | None = None
    """None for a public client: PKCE is always used."""
    oidc_name: str = "single sign-on"
    """What the login page calls it."""
    oidc_scopes: str = "openid profile email"
    oidc_groups_claim: str = "groups"
    oidc_roles: dict[str, list[Gift]] = {}
    """By group of the provider's: the roles that it gives, each `<project>:<viewer|editor|admin>` or `platform_admin`.
    As JSON: `{"ml": ["fraud:editor", "search:viewer"], "ops": ["platform_admin"]}`."""
    bootstrap_token_file: Path | None = None
    """A file with the first administrator's token. It is registered at start when no token of its hash exists."""

    internal_url: str = ""
    """The address of this API as jobs and replicas on the cluster reach it; `public_url` when empty."""
    secret_key_file: Path | None = None
    """A file with the key that signs the tokens of jobs and seals the secrets of webhooks, the same for every API and
    reconciler; `secret.key` in `home`, made at the first use, when not given."""
    serving_token_file: Path | None = None
    """A file with the token by which replicas read models, here and under the same path on the cluster."""

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
    mlflow_token_file: Path | None = None
    """A file with the secret that MLflow asks for, which API and reconciler alone know."""
    mlflow_job_url: str = ""
    """MLflow as jobs and replicas reach it; when empty this API's `/mlflow`, where their tokens are worth something."""

    serve_url: str = ""
    """The ingress for predictions as callers reach it; `http://127.0.0.1:<serve_port>` when empty."""
    serve_internal_url: str = ""
    """The same ingress as the reconciler reaches it; `serve_url` when empty."""
    serve_host: str = "127.0.0.1"
    serve_port: int = Field(default=8471, ge=1, le=65_535)

    webhook_allow_http: bool = False
    """Whether webhooks may be sent without TLS."""
    webhook_allowed_networks: list[IPvAnyNetwork] = []
    """Networks beside the public internet that webhooks may be sent to, such as `10.20.0.0/16`."""

    log_format: str = "json"
    """Of the platform's own log: `json`, or `text` for a terminal."""
    log_retention_days: int = Field(default=90, ge=0, le=36_500)
    """How long the log of a job is kept after its end; for ever when 0."""

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
        return self.mlflow_job_url or f"{self.internal_url.rstrip('/') or self.public}/mlflow"

    def read_ray_token(self) -> str:
        """Read anew each time: a token that was rotated is taken without a restart."""
        if self.ray_token_file is not None:
            return self.ray_token_file.read_text().strip()
        return self.ray_token.get_secret_value()

    def read_mlflow_token(self) -> str:
        return self.mlflow_token_file.read_text().strip() if self.mlflow_token_file is not None else ""

    def read_oidc_secret(self) -> str:
        return self.oidc_client_secret_file.read_text().strip() if self.oidc_client_secret_file is not None else ""

    def read_serving_token(self) -> str:
        return self.serving_token_file.read_text().strip() if self.serving_token_file is not None else ""

    @cached_property
    def secret_key(self) -> bytes:
        if self.secret_key_file is not None:
            return self.secret_key_file.read_text().strip().encode()
        self.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        return keep_secret(self.home / "secret.key", secrets.token_urlsafe(32)).encode()
