"""From what should be served to the one config that Serve is given: a pure function, the same for the same input."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ratchet.settings import Settings
from ratchet_pipelines.spec import TOKEN_FILE_VARIABLE, ModelVersion, ServingConfig, Variant

IMPORT_PATH = "ratchet_pipelines.serving.app:build"
DEPLOYMENT = "Endpoint"
MAX_ONGOING_REQUESTS = 64
"""Of one replica. Serve's default of 5 would refuse callers that a small model answers in a millisecond."""


@dataclass(frozen=True)
class WantedVariant:
    name: str
    model: str
    """As MLflow has it."""
    version: int | None
    """None while the alias it follows points to nothing."""
    alias: str | None
    weight: float


@dataclass(frozen=True)
class WantedEndpoint:
    """An endpoint as the database has it."""

    id: str
    project: str
    name: str
    status: str
    replicas: int
    cpus_per_replica: float
    salt: str
    generation: int
    observed_generation: int
    variants: tuple[WantedVariant, ...]
    rendered: Mapping[str, Any] | None
    token_hashes: tuple[str, ...]

    @property
    def application(self) -> str:
        """The name of its Serve application."""
        return f"{self.project}.{self.name}"

    @property
    def path(self) -> str:
        return f"/{self.project}/{self.name}"

    @property
    def unresolved(self) -> list[WantedVariant]:
        return [variant for variant in self.variants if variant.version is None]


def serving_config(endpoint: WantedEndpoint) -> dict[str, Any] | None:
    """The `user_config` of its replicas. While an alias points to nothing, the last one that could be rendered: an
    application that is left out of the config would be deleted. None when there never was one."""
    hashes = list(endpoint.token_hashes)
    if endpoint.unresolved:
        return None if endpoint.rendered is None else {**endpoint.rendered, "token_hashes": hashes}
    variants = [
        Variant(name=each.name, model=ModelVersion(name=each.model, version=each.version), weight=each.weight)
        for each in endpoint.variants
        if each.version is not None
    ]
    config = ServingConfig(
        endpoint=endpoint.name,
        project=endpoint.project,
        salt=endpoint.salt,
        variants=variants,
        token_hashes=hashes,
        generation=endpoint.generation,
    )
    return config.model_dump(mode="json")


def render(endpoints: Sequence[WantedEndpoint], settings: Settings) -> dict[str, Any]:
    """The whole of what Serve should run (`ServeDeploySchema`), in the order of the applications' names."""
    applications = []
    for endpoint in sorted(endpoints, key=lambda each: each.application):
        config = serving_config(endpoint)
        if config is not None:
            applications.append(_application(endpoint, config, settings))
    return {
        "proxy_location": "HeadOnly",
        "http_options": {"host": settings.serve_host, "port": settings.serve_port},
        "applications": applications,
    }


def fingerprint(config: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()


def _application(endpoint: WantedEndpoint, config: dict[str, Any], settings: Settings) -> dict[str, Any]:
    return {
        "name": endpoint.application,
        "route_prefix": endpoint.path,
        "import_path": IMPORT_PATH,
        "runtime_env": {"env_vars": _environment(settings)},
        "args": {"storage": settings.storage, "project": endpoint.project, "endpoint": endpoint.name},
        "deployments": [
            {
                "name": DEPLOYMENT,
                "num_replicas": endpoint.replicas,
                "max_ongoing_requests": MAX_ONGOING_REQUESTS,
                # With Serve's default of 0 the old replica stops before the new one starts.
                "max_surge_percent": 100,
                "graceful_shutdown_timeout_s": 20,
                "ray_actor_options": {"num_cpus": endpoint.cpus_per_replica},
                "user_config": config,
            }
        ],
    }


def _environment(settings: Settings) -> dict[str, str]:
    """Of the replicas. Their token goes by file: whoever may ask Ray sees its config."""
    found = {"MLFLOW_TRACKING_URI": settings.mlflow_for_jobs}
    if settings.serving_token_file is not None:
        found[TOKEN_FILE_VARIABLE] = str(settings.serving_token_file)
    return found
