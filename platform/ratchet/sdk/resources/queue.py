"""The queue and quotas."""

from __future__ import annotations

from datetime import datetime

from ratchet.sdk.resources.base import Resource


class QueuedJob(Resource):
    id: str
    project: str = ""
    kind: str = ""
    name: str = ""
    priority: int = 0
    position: int = 0
    """Its place in the whole queue, from 1."""
    reason: str = ""
    message: str = ""
    predicted_start_at: datetime | None = None
    predicted_start_basis: str | None = None
    """`history` or `deadline`: what the prediction rests on."""


class Room(Resource):
    cpus: float = 0
    gpus: float = 0
    memory_bytes: int = 0
    jobs: int = 0


class Queue(Resource):
    items: list[QueuedJob] = []
    length: int = 0
    """Of the whole queue."""
    total: Room = Room()
    free: Room = Room()


class QuotaUsage(Room):
    gpu_hours: float = 0
    """Of this month: used, and promised to what runs."""


class Quota(Resource):
    """The limits of a project; none where None."""

    identity = "project"

    project: str = ""
    cpus: float | None = None
    gpus: float | None = None
    memory_bytes: int | None = None
    jobs: int | None = None
    gpu_hours: float | None = None
    weight: float = 1
    used: QuotaUsage = QuotaUsage()
    updated_at: datetime | None = None
