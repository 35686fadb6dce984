"""The trained model of a table, as MLflow loads it: preprocessing, net and target in one; rows in, answers out.

Saved as JSON and a file of tensors, loaded without pickle's freedom to run code. MLflow finds it by
`loader_module: ratchet_pipelines.models`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor

from ratchet_pipelines import nets
from ratchet_pipelines.data.features import Features, Floats
from ratchet_pipelines.data.targets import Classes, Quantity

DESCRIPTION = "model.json"
WEIGHTS = "weights.pt"
FORMAT = 1


@dataclass(frozen=True)
class NetSpec:
    """A net by its name in `nets.NETS` and what it is built with."""

    name: str
    arguments: dict[str, Any]


class TabularModel:
    """Predicts a class with the probability of each, or a quantity, from rows as they are in the data."""

    def __init__(
        self, features: Features, target: Classes | Quantity, net: NetSpec, weights: dict[str, Tensor]
    ) -> None:
        self.features = features
        self.target = target
        self.net_spec = net
        self._encoder = features.encoder()
        self._net = nets.build(net.name, net.arguments)
        self._net.load_state_dict(weights)
        self._net.eval().requires_grad_(False)
        labels = target.labels if isinstance(target, Classes) else []
        self._probability_columns = [f"probability_{label}" for label in labels]

    def predict(self, frame: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """`prediction`, and for classes `probability_<class>` for each, one row per row of `frame`.

        Raises `KeyError` when a column is missing and `ValueError` when a number column holds text. `params` is what
        MLflow passes to every model; this one has none.
        """
        answers = self._outputs(self._encoder.frame(frame))
        if isinstance(self.target, Quantity):
            return pd.DataFrame({"prediction": self._quantities(answers)}, index=frame.index)
        probabilities = _softmax(answers)
        best = probabilities.argmax(axis=1)
        columns: dict[str, Any] = {"prediction": [self.target.labels[place] for place in best]}
        columns |= dict(zip(self._probability_columns, probabilities.T, strict=True))
        return pd.DataFrame(columns, index=frame.index)

    def predict_rows(self, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """As `predict`, from one mapping per row to one per row, of Python's own types: the quick way for requests."""
        answers = self._outputs(self._encoder.rows(rows))
        if isinstance(self.target, Quantity):
            return [{"prediction": value} for value in self._quantities(answers).tolist()]
        probabilities = _softmax(answers)
        return [
            {"prediction": self.target.labels[place], **dict(zip(self._probability_columns, row, strict=True))}
            for place, row in zip(probabilities.argmax(axis=1).tolist(), probabilities.tolist(), strict=True)
        ]

    def get_raw_model(self) -> TabularModel:
        """What `mlflow.pyfunc.PyFuncModel.get_raw_model` gives: a way around MLflow's checks of each call."""
        return self

    def save(self, folder: Path) -> None:
        """Writes the model to an existing, empty folder."""
        kind = "classes" if isinstance(self.target, Classes) else "quantity"
        description = {
            "format": FORMAT,
            "features": self.features.to_json(),
            "target": {"kind": kind, **asdict(self.target)},
            "net": asdict(self.net_spec),
        }
        (folder / DESCRIPTION).write_text(json.dumps(description, indent=1))
        torch.save(self._net.state_dict(), folder / WEIGHTS)

    @classmethod
    def load(cls, folder: Path) -> TabularModel:
        """The model in `folder`. Raises `ValueError` when a later version of this package wrote it."""
        description = json.loads((folder / DESCRIPTION).read_text())
        if description["format"] > FORMAT:
            raise ValueError(f"the model has format {description['format']}; this package reads up to {FORMAT}")
        kind = {"classes": Classes, "quantity": Quantity}[description["target"].pop("kind")]
        return cls(
            Features(**description["features"]),
            kind(**description["target"]),
            NetSpec(**description["net"]),
            torch.load(folder / WEIGHTS, map_location="cpu", weights_only=True),
        )

    def _outputs(self, encoded: Floats) -> npt.NDArray[np.float64]:
        with torch.inference_mode():
            return self._net(torch.from_numpy(encoded)).numpy().astype(np.float64)  # type: ignore[no-any-return]

    def _quantities(self, outputs: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        assert isinstance(self.target, Quantity)
        return outputs[:, 0] * self.target.scale + self.target.mean


def _softmax(logits: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True))


def _load_pyfunc(path: str) -> TabularModel:
    """Called by `mlflow.pyfunc.load_model` with the folder that `save` wrote."""
    return TabularModel.load(Path(path))
