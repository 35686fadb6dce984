"""Preprocessing: learned from training rows, the same for a frame and for served rows, carried as JSON."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd

from ratchet_pipelines.data.features import MAX_LEVELS, Features
from ratchet_pipelines.data.tables import Kind

FRAME = pd.DataFrame(
    {"x": [1.0, 3.0, np.nan, 5.0], "b": [True, False, True, True], "c": ["u", None, "v", "u"], "k": [7.0] * 4}
)
KINDS = {"x": Kind.NUMBER, "b": Kind.BOOLEAN, "c": Kind.TEXT, "k": Kind.NUMBER}


def test_numbers_are_standardised_and_missing_ones_take_the_median() -> None:
    encoded = Features.fit(FRAME, KINDS).encoder().frame(FRAME)
    assert np.allclose(encoded[:, :2].mean(axis=0), 0, atol=1e-6)
    assert np.allclose(encoded[:, :2].std(axis=0), 1, atol=1e-6)
    assert encoded[2, 0] == encoded[1, 0]  # the median of 1, 3, 5 is 3
    assert (encoded[:, 2] == 0).all()  # a constant column


def test_text_is_one_hot_with_a_place_for_what_was_never_seen() -> None:
    features = Features.fit(FRAME, KINDS)
    rows = [{"x": 1, "b": True, "c": value, "k": 7} for value in ("u", "v", "new", None)]
    encoded = features.encoder().rows(rows)[:, 3:]
    assert encoded.tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 1]]
    assert features.width == 6


def test_only_the_frequent_values_have_a_place() -> None:
    values = [f"v{number}" for number in range(200)] * 2 + ["v7"]
    features = Features.fit(pd.DataFrame({"c": values}), {"c": Kind.TEXT})
    assert len(features.levels["c"]) == MAX_LEVELS
    assert "v7" in features.levels["c"]


def test_a_row_is_encoded_as_its_frame_is_and_survives_json() -> None:
    features = Features.fit(FRAME, KINDS)
    again = Features(**json.loads(json.dumps(features.to_json())))
    rows = [
        {name: None if pd.isna(value) else value for name, value in row.items()} for row in FRAME.to_dict("records")
    ]
    assert np.array_equal(again.encoder().rows(rows), features.encoder().frame(FRAME))
