"""What the platform talks to: Ray, MLflow, storage. Protocols in `ports`, real ones beside it, `fakes` for tests."""

from __future__ import annotations

from ratchet.clients.guard import guarded
from ratchet.clients.mlflow import MlflowClient
from ratchet.clients.ports import Clients
from ratchet.clients.ray_jobs import RayJobsClient
from ratchet.clients.ray_serve import RayServeClient
from ratchet.clients.storage import FsspecStorage
from ratchet.settings import Settings


def connect(settings: Settings) -> Clients:
    """Clients for the addresses in the settings. Nothing is opened before the first call."""
    return guarded(
        Clients(
            jobs=RayJobsClient(settings.ray_address, settings.read_ray_token),
            serve=RayServeClient(settings.ray_address, settings.read_ray_token),
            mlflow=MlflowClient(settings.mlflow_url, settings.read_mlflow_token),
            storage=FsspecStorage(settings.storage),
        )
    )


__all__ = ["Clients", "connect"]
