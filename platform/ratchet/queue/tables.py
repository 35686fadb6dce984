"""The one row that the queue is worked on by, the quotas, and what each project has used of the month."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from ratchet.db import Base, Identified, Leased, db_now

QUEUE = "queue"
"""The id of the only row of `queues`."""


class Queue(Identified, Leased, Base):
    """One decision at a time is made over the whole queue: whoever has the lease of this row makes it."""

    __tablename__ = "queues"

    woken_lease: Mapped[int] = mapped_column(default=0, server_default="0")
    """The lease at the last wake-up: while a decision is made, one wake-up is enough to have another follow it."""
    rest_until: Mapped[datetime | None]
    """Not looked at before, however often it is woken: to decide a long queue takes at most half of the time."""


class Quota(Base):
    """What a project may hold at once, and its weight in the fair share. No limit where null."""

    __tablename__ = "quotas"

    project: Mapped[str] = mapped_column(ForeignKey("projects.name"), primary_key=True)
    cpus: Mapped[float | None]
    gpus: Mapped[float | None]
    memory_bytes: Mapped[int | None] = mapped_column(BigInteger)
    jobs: Mapped[int | None]
    """Alive at once."""
    gpu_hours: Mapped[float | None]
    """In a calendar month (UTC)."""
    weight: Mapped[float] = mapped_column(default=1, server_default="1")
    updated_at: Mapped[datetime] = mapped_column(server_default=db_now(), onupdate=db_now())


class GpuUsage(Base):
    """The GPU time that attempts which have ended took of a month. What runs is counted from its attempt."""

    __tablename__ = "gpu_usage"

    project: Mapped[str] = mapped_column(ForeignKey("projects.name"), primary_key=True)
    month: Mapped[str] = mapped_column(primary_key=True)
    """`2026-11`."""
    gpu_s: Mapped[float] = mapped_column(default=0)
