"""The Serve application of an endpoint; `ratchet_pipelines.serving.app:build` is its import path."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict
from ray import serve
from ray.serve import Application

from ratchet_pipelines.serving.http import EndpointApp
from ratchet_pipelines.serving.log import PredictionLog
from ratchet_pipelines.serving.replica import Replica
from ratchet_pipelines.spec import Name, ServingConfig, Uri


class EndpointArguments(BaseModel):
    """What an endpoint keeps for life; everything else is its `user_config` (`ServingConfig`)."""

    model_config = ConfigDict(extra="forbid")

    storage: Uri
    project: Name
    endpoint: Name


def log_folder(storage: str, project: str, endpoint: str) -> str:
    """The URI of the folder of an endpoint's prediction log."""
    return f"{storage.rstrip('/')}/predictions/{project}/{endpoint}"


class EndpointReplica:
    """What Serve holds: it starts the parts, hands over configurations and lends the ASGI application."""

    def __init__(self, arguments: EndpointArguments) -> None:
        folder = log_folder(arguments.storage, arguments.project, arguments.endpoint)
        self._replica = Replica()
        log = PredictionLog(folder, serve.get_replica_context().replica_id.unique_id)
        self._app = EndpointApp(self._replica, log, arguments.endpoint, echo_request_id=False)

    def __serve_build_asgi_app__(self) -> EndpointApp:
        return self._app

    async def reconfigure(self, user_config: dict[str, Any]) -> None:
        await self._replica.configure(ServingConfig.model_validate(user_config))


Endpoint = serve.deployment(name="Endpoint")(serve.ingress()(EndpointReplica))


def build(args: dict[str, Any]) -> Application:
    """The application that the platform deploys, one per endpoint; `args` are `EndpointArguments`."""
    # Serve reads the type of `args` itself, but not when annotations are strings, as they are in this file.
    return Endpoint.bind(EndpointArguments.model_validate(args))
