"""The multi-layer perceptron."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn


class Mlp(nn.Module):
    """Linear, ReLU and dropout per hidden layer, and a linear layer: (rows, inputs) to (rows, outputs).

    Weights start as Kaiming's (He et al. 2015), which keep the variance of a signal through ReLUs.
    """

    def __init__(self, inputs: int, hidden: Sequence[int], outputs: int, dropout: float) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for width in hidden:
            layers += [nn.Linear(inputs, width), nn.ReLU(), nn.Dropout(dropout)]
            inputs = width
        layers.append(nn.Linear(inputs, outputs))
        self.layers = nn.Sequential(*layers)
        for layer in self.layers:
            if isinstance(layer, nn.Linear):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu" if layer is not self.layers[-1] else "linear")
                nn.init.zeros_(layer.bias)

    def forward(self, rows: Tensor) -> Tensor:
        return self.layers(rows)  # type: ignore[no-any-return]
