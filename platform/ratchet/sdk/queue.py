"""The queue, and the quota of a project."""

from __future__ import annotations

from ratchet.sdk.collection import Scope
from ratchet.sdk.modes import Mode, operation
from ratchet.sdk.resources import Queue, Quota


class JobQueue(Scope[Mode]):
    @operation
    async def show(self, *, limit: int = 100, all_projects: bool = False) -> Queue:
        """The project's queued jobs in the order of their turns, or everybody's, which takes a platform admin."""
        address = self._global("queue") if all_projects else self._address("queue")
        return await self._get(Queue, address, {"limit": limit})

    @operation
    async def quota(self) -> Quota:
        """The project's limits, and what it holds of them."""
        return await self._get(Quota, self._address("quota"))

    @operation
    async def set_quota(self, /, **limits: float | None) -> Quota:
        """Sets `cpus`, `gpus`, `memory_bytes`, `jobs`, `gpu_hours` and `weight` at once: what is left out is lifted."""
        return await self._put(Quota, self._address("quota"), limits)
