"""What the API takes and gives of the queue and of quotas."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from ratchet.jobs.schemas import Basis
from ratchet.queue.amounts import HOUR_S, Amount

Limit = Annotated[float | None, Field(ge=0, le=1e9)]


class NewQuota(BaseModel):
    """The limits of a project; no limit where null."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    cpus: Limit = None
    """Held at once by all jobs of the project."""
    gpus: Limit = None
    memory_bytes: Annotated[int | None, Field(ge=0, le=2**62)] = None
    jobs: Annotated[int | None, Field(ge=0, le=1_000_000)] = None
    """Alive on the cluster at once."""
    gpu_hours: Limit = None
    """In a calendar month (UTC). A running job counts with its GPUs for its whole deadline, until it has ended."""
    weight: float = Field(default=1, gt=0, le=1_000)
    """Its part in the fair share: with weight 2 a project gets twice what one with weight 1 gets."""


class QuotaUsage(BaseModel):
    cpus: float
    gpus: float
    memory_bytes: int
    jobs: int
    gpu_hours: float
    """Of this month: used by attempts that have ended, and promised to those that have not."""

    @classmethod
    def of(cls, amount: Amount) -> QuotaUsage:
        return cls(
            cpus=amount.cpus,
            gpus=amount.gpus,
            memory_bytes=int(amount.memory_bytes),
            jobs=int(amount.jobs),
            gpu_hours=amount.gpu_s / HOUR_S,
        )


class QuotaView(NewQuota):
    project: str
    used: QuotaUsage
    updated_at: datetime | None
    """Null where no quota was ever set."""

    @property
    def limits(self) -> NewQuota:
        return NewQuota(**self.model_dump(include=set(NewQuota.model_fields)))


class RoomView(BaseModel):
    """Of the cluster."""

    cpus: float
    gpus: float
    memory_bytes: int
    jobs: int

    @classmethod
    def of(cls, amount: Amount) -> RoomView:
        return cls(
            cpus=amount.cpus, gpus=amount.gpus, memory_bytes=int(amount.memory_bytes), jobs=int(max(amount.jobs, 0))
        )


class QueuedJobView(BaseModel):
    """A job in the queue."""

    id: str
    project: str
    kind: str
    name: str
    priority: int
    position: int
    """Its place in the whole queue, from 1."""
    reason: str
    message: str
    queued_at: datetime
    cpus: float
    gpus: float
    memory_bytes: int
    predicted_start_at: datetime | None
    predicted_start_basis: Basis | None


class QueueView(BaseModel):
    """The queue in the order of its turns."""

    items: list[QueuedJobView]
    length: int
    """Of the whole queue, other projects' jobs included."""
    total: RoomView
    free: RoomView
