"""The model: the same answers for frames, rows and a saved copy, in the shape that is promised."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import torch

from ratchet_pipelines import nets
from ratchet_pipelines.data.features import Features
from ratchet_pipelines.data.tables import Kind
from ratchet_pipelines.data.targets import Classes, Quantity
from ratchet_pipelines.models import NetSpec, TabularModel, _load_pyfunc

FRAME = pd.DataFrame({"x": [1.0, 2.0, 4.0], "c": ["u", "v", None], "y": [0, 1, 0]})


def model(target: Classes | Quantity) -> TabularModel:
    features = Features.fit(FRAME, {"x": Kind.NUMBER, "c": Kind.TEXT})
    outputs = len(target.labels) if isinstance(target, Classes) else 1
    net = NetSpec("mlp", {"inputs": features.width, "hidden": [5], "outputs": outputs, "dropout": 0.5})
    torch.manual_seed(0)
    return TabularModel(features, target, net, nets.build(net.name, net.arguments).state_dict())


def test_classes_come_with_the_probability_of_each() -> None:
    answers = model(Classes(["no", "yes"])).predict(FRAME)
    assert list(answers.columns) == ["prediction", "probability_no", "probability_yes"]
    probabilities = answers[["probability_no", "probability_yes"]]
    assert probabilities.sum(axis=1).tolist() == pytest.approx([1, 1, 1])
    assert answers["prediction"].tolist() == [
        "yes" if yes > no else "no" for no, yes in probabilities.itertuples(index=False)
    ]


def test_labels_have_the_type_they_have_in_the_data() -> None:
    assert model(Classes([3, 7])).predict(FRAME)["prediction"].dtype == "int64"
    assert model(Classes([False, True])).predict(FRAME)["prediction"].dtype == "bool"


def test_a_quantity_is_in_the_unit_of_the_data() -> None:
    plain, scaled = model(Quantity(0.0, 1.0)).predict(FRAME), model(Quantity(50.0, 10.0)).predict(FRAME)
    assert list(scaled.columns) == ["prediction"]
    assert scaled["prediction"].tolist() == pytest.approx([50 + 10 * value for value in plain["prediction"]])


@pytest.mark.parametrize("target", [Classes([0, 1, 2]), Classes(["a", "b"]), Quantity(5.0, 2.0)])
def test_rows_frames_and_a_saved_copy_answer_alike(target: Classes | Quantity, tmp_path: Path) -> None:
    made = model(target)
    made.save(tmp_path)
    answers = made.predict(FRAME)
    pd.testing.assert_frame_equal(_load_pyfunc(str(tmp_path)).predict(FRAME), answers)
    rows = [{"x": x, "c": c, "more": 1} for x, c in FRAME[["x", "c"]].itertuples(index=False)]
    pd.testing.assert_frame_equal(pd.DataFrame(made.predict_rows(rows)), answers)


def test_a_missing_column_is_named() -> None:
    with pytest.raises(KeyError, match="x"):
        model(Classes([0, 1])).predict(FRAME[["c"]])
    with pytest.raises(KeyError, match="c"):
        model(Classes([0, 1])).predict_rows([{"x": 1.0}])


def test_a_format_of_a_later_version_is_refused(tmp_path: Path) -> None:
    model(Classes([0, 1])).save(tmp_path)
    description = tmp_path / "model.json"
    description.write_text(description.read_text().replace('"format": 1', '"format": 2'))
    with pytest.raises(ValueError, match="format 2"):
        TabularModel.load(tmp_path)
