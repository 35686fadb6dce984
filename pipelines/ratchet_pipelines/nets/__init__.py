"""Architectures as plain modules that know nothing of parallelism, data or tasks; a model builds its own by name."""

from __future__ import annotations

from typing import Any

from torch import nn

from ratchet_pipelines.nets.mlp import Mlp

NETS: dict[str, type[nn.Module]] = {"mlp": Mlp}


def build(name: str, arguments: dict[str, Any]) -> nn.Module:
    """The net of that name; raises `KeyError` for an unknown one."""
    return NETS[name](**arguments)
