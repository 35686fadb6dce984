"""A drift check over a real prediction log, a real MLflow store and Evidently."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient

from ratchet_pipelines.errors import DataError, UserError
from ratchet_pipelines.monitoring.drift import check
from ratchet_pipelines.serving.inputs import InputColumn, InputSchema
from ratchet_pipelines.serving.log import Entry, PredictionLog
from ratchet_pipelines.spec import DriftCheck, Envelope, ModelVersion, RunTag, Variant

pytestmark = pytest.mark.real
SCHEMA = InputSchema([InputColumn("size", "double"), InputColumn("colour", "string"), InputColumn("rooms", "long")])
NOW = datetime.now(UTC)


def rows(count: int, seed: int, shift: float = 0.0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "size": rng.normal(shift, 1, count),
            "colour": rng.choice(["red", "green"], count),
            "rooms": rng.integers(1, 4, count),
            "prediction": rng.integers(0, 2, count),
        }
    )


@dataclass
class World:
    folder: Path
    client: MlflowClient
    experiment: str

    def train(self, profile: pd.DataFrame | None) -> ModelVersion:
        """A registered version whose run has the reference profile."""
        run = self.client.create_run(self.experiment)
        if profile is not None:
            path = self.folder / "profile.parquet"
            profile.to_parquet(path, index=False)
            self.client.log_artifact(run.info.run_id, str(path), "reference")
        version = self.client.create_model_version("houses", source=f"file://{self.folder}/art", run_id=run.info.run_id)
        return ModelVersion(name="houses", version=int(version.version))

    def serve(self, frame: pd.DataFrame, model: ModelVersion, at: datetime) -> None:
        """Log each row as one request, a millisecond after the other."""
        log = PredictionLog(f"file://{self.folder}/predictions", f"r{at.microsecond}")
        variant = Variant(name="only", model=model, weight=1)
        for number, row in enumerate(frame.to_dict("records")):
            label = row.pop("prediction")
            columns = SCHEMA.parse([row])
            time_us = int(at.timestamp() * 1e6) + number * 1000
            log.add(Entry(f"q{number}", "k", variant, 1, SCHEMA, columns, [label], time_us))
        log.close()

    def run(self, model: ModelVersion, **changes: object) -> tuple[dict[str, object], str]:
        """Run the check; `drift.json` and the run's id."""
        run_id = self.client.create_run(self.experiment).info.run_id
        spec = DriftCheck(
            **{
                "predictions": f"file://{self.folder}/predictions",
                "model": model,
                "since": (NOW - timedelta(hours=1)).isoformat(),
                "until": (NOW + timedelta(hours=1)).isoformat(),
                "report": f"file://{self.folder}/reports/houses/check-1.html",
                **changes,
            }
        )
        check(Envelope(job="job-1", attempt=1, project="p", run_id=run_id, storage=f"file://{self.folder}", spec=spec))
        path = self.client.download_artifacts(run_id, "drift.json", str(self.folder))
        return json.loads(Path(path).read_text()), run_id


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")
    client = MlflowClient()
    client.create_registered_model("houses")
    yield World(tmp_path, client, client.create_experiment("p", artifact_location=f"file://{tmp_path}/artifacts"))
    mlflow.set_tracking_uri(before)


def test_a_shifted_column_is_found_told_and_shown(world: World) -> None:
    model = world.train(rows(2000, 1).assign(target=0))
    world.serve(rows(400, 2, shift=0.7), model, NOW)
    found, run_id = world.run(model)
    assert found["verdict"] == "drift"
    assert [c["column"] for c in found["columns"] if c["drifted"]] == ["size"]
    assert {c["column"]: c["test"] for c in found["columns"]} == {
        "size": "ks",
        "colour": "chisquare",
        "rooms": "chisquare",
        "prediction": "chisquare",
    }
    assert found["rows"] == {"reference": 2000, "current": 400}
    assert found["threshold"] == pytest.approx(0.01 / 4)
    run = world.client.get_run(run_id)
    assert run.data.tags[str(RunTag.DRIFT)] == "drift"
    assert run.data.metrics["drift/drifted_columns"] == 1
    page = (world.folder / "reports" / "houses" / "check-1.html").read_text()
    assert "<html" in page
    assert "size" in page
    assert {artifact.path for artifact in world.client.list_artifacts(run_id)} == {"drift.json", "drift.html"}


def test_only_rows_of_the_window_and_the_model_count(world: World) -> None:
    model = world.train(rows(2000, 1))
    other = world.train(rows(2000, 1))
    world.serve(rows(300, 2), model, NOW)
    world.serve(rows(300, 3, shift=5), model, NOW - timedelta(hours=2))
    world.serve(rows(300, 4, shift=5), other, NOW)
    found, _ = world.run(model)
    assert found["verdict"] == "no_drift"
    assert found["rows"]["current"] == 300


def test_the_newest_rows_are_taken_when_there_are_more(world: World) -> None:
    model = world.train(rows(2000, 1))
    world.serve(rows(300, 2, shift=5), model, NOW - timedelta(minutes=30))
    world.serve(rows(300, 3), model, NOW)
    found, _ = world.run(model, max_rows=300)
    assert found["verdict"] == "no_drift"
    assert found["rows"]["current"] == 300


def test_too_few_rows_say_nothing_of_drift(world: World) -> None:
    model = world.train(rows(2000, 1))
    world.serve(rows(99, 2, shift=5), model, NOW)
    found, run_id = world.run(model)
    assert found["verdict"] == "insufficient_data"
    assert world.client.get_run(run_id).data.tags[str(RunTag.DRIFT)] == "insufficient_data"
    assert "Too few rows" in (world.folder / "reports" / "houses" / "check-1.html").read_text()


def test_an_endpoint_that_was_never_asked_has_too_few_rows(world: World) -> None:
    assert world.run(world.train(rows(2000, 1)))[0]["verdict"] == "insufficient_data"


def test_a_version_that_does_not_exist_is_the_users_error(world: World) -> None:
    with pytest.raises(UserError, match="no version 7 of the model 'houses'"):
        world.run(ModelVersion(name="houses", version=7))


def test_a_model_without_a_profile_is_told_what_to_do(world: World) -> None:
    with pytest.raises(DataError, match=r"no readable reference/profile\.parquet: train the model with a recipe"):
        world.run(world.train(None))


def test_an_empty_window_is_the_users_error(world: World) -> None:
    with pytest.raises(UserError, match="window is empty"):
        world.run(world.train(rows(200, 1)), until=(NOW - timedelta(hours=2)).isoformat())
