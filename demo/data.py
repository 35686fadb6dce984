"""The demo's data: scikit-learn's breast cancer set (569 rows, 30 measurements), and what becomes of it.

One part is there to train on. The other is the live traffic: rows that no model has seen, whose labels come in later
as outcomes. After the shift the instrument measures larger: the same cells, other numbers.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.datasets import load_breast_cancer

TARGET = "diagnosis"
TRAINING_SHARE = 0.55
SHIFT = 1.6
"""By how much the instrument's `mean` measurements grow."""


class Data:
    def __init__(self, folder: Path, seed: int = 7) -> None:
        self.folder = folder
        loaded = load_breast_cancer(as_frame=True)
        frame: pd.DataFrame = loaded.data.copy()
        frame[TARGET] = np.where(loaded.target == 1, "benign", "malignant")
        frame = frame.sample(frac=1, random_state=seed).reset_index(drop=True)
        cut = int(len(frame) * TRAINING_SHARE)
        self.training, self.live = frame[:cut], frame[cut:].reset_index(drop=True)
        self.columns = [column for column in frame.columns if column != TARGET]

    @property
    def uri(self) -> str:
        return self.folder.absolute().as_uri()

    def write(self) -> int:
        """The training data as a folder of Parquet files; returns its rows."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.training.to_parquet(self.folder / "part-0.parquet", index=False)
        return len(self.training)

    def shifted(self) -> pd.DataFrame:
        """The live rows as the instrument measures them after the shift."""
        frame = self.live.copy()
        measured = [column for column in self.columns if column.startswith("mean ")]
        frame[measured] = frame[measured] * SHIFT
        return frame

    def add_labelled(self, frame: pd.DataFrame) -> int:
        """Rows whose labels came in, added to the training data; returns their number."""
        frame.to_parquet(self.folder / "part-1.parquet", index=False)
        return len(frame)


def rows(frame: pd.DataFrame) -> list[tuple[dict[str, Any], str]]:
    """(what is sent, what will turn out true) of each row."""
    inputs = frame.drop(columns=TARGET).to_dict("records")
    return list(zip(inputs, frame[TARGET].tolist(), strict=True))
