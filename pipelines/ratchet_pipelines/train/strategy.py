"""How a net is spread over processes, and how they agree. The loop knows no more of parallelism than this.

A new way of spreading (FSDP, tensor parallelism) is one more `Strategy` in `current`.
"""

from __future__ import annotations

from typing import Protocol

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from ratchet_pipelines.train.checkpoints import Weights


class Strategy(Protocol):
    """`rank` of `world` processes that train one net together, each on its `device`."""

    rank: int
    world: int
    device: torch.device

    def wrap(self, net: nn.Module) -> nn.Module:
        """The net to call in training; gradients are averaged over processes in `backward`."""

    def sum(self, values: Tensor) -> Tensor:
        """The sum over all processes, the same on each."""

    def from_main(self, values: Tensor) -> Tensor:
        """Rank 0's values on every process: how a decision is made once."""

    def weights(self, net: nn.Module) -> Weights:
        """A copy of the whole net's weights on the CPU. All processes call it; rank 0's is the one to keep."""


class Single:
    """One process."""

    rank = 0
    world = 1

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def wrap(self, net: nn.Module) -> nn.Module:
        return net

    def sum(self, values: Tensor) -> Tensor:
        return values

    def from_main(self, values: Tensor) -> Tensor:
        return values

    def weights(self, net: nn.Module) -> Weights:
        return {name: value.detach().cpu().clone() for name, value in net.state_dict().items()}


class Ddp(Single):
    """The whole net in every process, gradients averaged (Li et al. 2020). The process group must be open."""

    def __init__(self, device: torch.device) -> None:
        super().__init__(device)
        self.rank = dist.get_rank()
        self.world = dist.get_world_size()

    def wrap(self, net: nn.Module) -> nn.Module:
        return DistributedDataParallel(net, device_ids=[self.device] if self.device.type == "cuda" else None)

    def sum(self, values: Tensor) -> Tensor:
        dist.all_reduce(values)
        return values

    def from_main(self, values: Tensor) -> Tensor:
        dist.broadcast(values, src=0)
        return values


def current(device: torch.device) -> Strategy:
    """The strategy of this process: DDP where a process group is open, else alone."""
    return Ddp(device) if dist.is_initialized() else Single(device)
