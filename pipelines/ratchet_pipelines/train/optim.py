"""The optimiser and the learning rate's course."""

from __future__ import annotations

import math

from torch import nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR


def adamw(net: nn.Module, learning_rate: float, weight_decay: float) -> AdamW:
    """AdamW (Loshchilov & Hutter 2019). Biases and norms are not decayed: they don't make a function less smooth."""
    matrices = [parameter for parameter in net.parameters() if parameter.dim() > 1]
    vectors = [parameter for parameter in net.parameters() if parameter.dim() <= 1]
    groups = [{"params": matrices, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return AdamW(groups, lr=learning_rate)


def warmup_cosine(optimizer: AdamW, steps: int, warmup_fraction: float) -> LambdaLR:
    """Linearly up to the peak in the first share of `steps`, then along half a cosine towards 0 (SGDR, 2017)."""
    warmup = round(steps * warmup_fraction)

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))

    return LambdaLR(optimizer, factor)
