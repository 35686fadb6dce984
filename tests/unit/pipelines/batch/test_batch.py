"""Batch prediction without Ray: which chunks there are, what a model is asked, what is written, what is refused."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST
from mlflow.types import ColSpec, Schema, TensorSpec

from ratchet_pipelines import notes
from ratchet_pipelines.batch import chunks, job, worker
from ratchet_pipelines.batch.chunks import Inputs, Reader
from ratchet_pipelines.batch.plan import DONE, PLAN, Chunk, Folder, Part, Plan
from ratchet_pipelines.errors import DataError, OutOfMemoryError, PreemptedJobError, UserError, rank_of
from ratchet_pipelines.spec import BatchPrediction, Envelope, ModelVersion

VERSION = ModelVersion(name="p.m", version=1)


def plan_of(*rows: int, chunk_rows: int = 10, **fields: Any) -> Plan:
    parts = [Part(path=f"/in/{i}.parquet", bytes=9, rows=count) for i, count in enumerate(rows)]
    whole = {"job": "job-1", "model": VERSION, "input": "file:///in", "parts": parts, "prefix": "", **fields}
    return Plan(chunk_rows=chunk_rows, **whole)


# -- the plan


@given(st.lists(st.integers(0, 50), max_size=5), st.integers(1, 60))
def test_the_chunks_are_all_rows_once_and_in_order(rows: list[int], chunk_rows: int):
    plan = plan_of(*rows, chunk_rows=chunk_rows)
    found = [(chunk.path, row) for chunk in plan.chunks() for row in range(chunk.first, chunk.first + chunk.rows)]
    assert found == [(part.path, row) for part in plan.parts for row in range(part.rows)]
    assert all(0 < chunk.rows <= chunk_rows for chunk in plan.chunks())
    names = [chunk.name for chunk in plan.chunks()]
    assert sorted(set(names)) == names


def test_a_plan_is_found_again_by_its_own_job_alone(tmp_path):
    folder = Folder((tmp_path / "out").as_uri())
    assert folder.plan_of(["job-1"]) is None
    folder.keep(plan_of(3))
    assert folder.plan_of(["job-1"]) == plan_of(3)
    with pytest.raises(UserError, match="results of job-1"):
        folder.plan_of(["job-2"])


def test_a_folder_with_anything_in_it_is_refused(tmp_path):
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(UserError, match="not empty"):
        Folder(tmp_path.as_uri()).plan_of(["job-1"])
    (tmp_path / PLAN).write_text("{")
    with pytest.raises(DataError, match="can't be read"):
        Folder(tmp_path.as_uri()).plan_of(["job-1"])


def test_a_file_is_there_whole_or_not_at_all(tmp_path):
    folder = Folder(tmp_path.as_uri())
    folder.write("part-000000.parquet", b"1234")
    folder.write("part-000000.parquet", b"5678")
    assert folder.read("part-000000.parquet") == b"5678"
    assert folder.names() == ["part-000000.parquet"]


# -- what a model takes


def signature(**types: str) -> ModelSignature:
    return ModelSignature(inputs=Schema([ColSpec(kind, name) for name, kind in types.items()]))


TABLE = pa.table(
    {
        "age": pa.array([1, 2, 3], pa.int64()),
        "name": pa.array(["a", None, "c"]),
        "old": pa.array([True, False, None]),
        "when": pa.array([0, 1, 2], pa.timestamp("ms")),
        "code": pa.array(["x", "y", "x"]).dictionary_encode(),
    }
)


@pytest.mark.parametrize(
    "types",
    [
        {"age": "long"},
        {"age": "double"},
        {"age": "integer"},
        {"age": "float"},
        {"old": "double"},
        {"name": "string"},
        {"code": "string"},
        {"when": "datetime"},
        {"old": "boolean"},
    ],
)
def test_columns_become_what_the_model_takes(types):
    inputs = Inputs.of(signature(**types))
    inputs.require(TABLE.schema, "file:///in")
    frame = inputs.frame(TABLE)
    assert list(frame.columns) == list(types)


@pytest.mark.parametrize(
    ("types", "says"),
    [
        ({"agee": "long"}, "lacks the column 'agee'.*Did you mean 'age'"),
        ({"name": "double"}, "'name' of file:///in is string; the model takes double"),
        ({"age": "string"}, "'age' of file:///in is int64; the model takes string"),
        ({"when": "boolean"}, "the model takes boolean"),
    ],
)
def test_a_table_that_the_model_can_t_take_is_refused_before_it_is_read(types, says):
    with pytest.raises(DataError, match=says):
        Inputs.of(signature(**types)).require(TABLE.schema, "file:///in")


def test_a_value_that_does_not_fit_is_named():
    table = pa.table({"age": pa.array([1, 2**40])})
    with pytest.raises(DataError, match=r"'age' holds a value that is no integer"):
        Inputs.of(signature(age="integer")).frame(table)


def test_a_column_that_may_be_missing():
    inputs = Inputs.of(ModelSignature(inputs=Schema([ColSpec("long", "age"), ColSpec("long", "x", required=False)])))
    inputs.require(TABLE.schema, "file:///in")
    assert list(inputs.frame(TABLE).columns) == ["age"]


@pytest.mark.parametrize("told", [None, ModelSignature(inputs=Schema([TensorSpec(np.dtype("float64"), (-1, 2))]))])
def test_a_model_that_says_nothing_of_columns_gets_all_of_them(told):
    inputs = Inputs.of(told)
    inputs.require(TABLE.schema, "file:///in")
    assert list(inputs.frame(TABLE).columns) == TABLE.schema.names


# -- reading


@given(st.integers(1, 40), st.integers(1, 15), st.integers(1, 15))
def test_a_chunk_is_its_rows_however_the_file_is_divided(rows: int, group: int, size: int):
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/t.parquet"
        pq.write_table(pa.table({"x": list(range(rows))}), path, row_group_size=group)
        reader = Reader(f"file://{folder}")
        for first in range(0, rows, size):
            chunk = Chunk(0, path, first, min(size, rows - first))
            assert reader.read(chunk)["x"].to_pylist() == list(range(first, first + chunk.rows))


# -- predicting


class Doubles:
    """A model that doubles `age`."""

    def __init__(self, make: Any = None) -> None:
        self.make = make or (lambda ages: pd.DataFrame({"prediction": ages * 2}))

    def predict(self, data: pd.DataFrame) -> Any:
        return self.make(data["age"])


AGE = Inputs.of(signature(age="long"))


@pytest.mark.parametrize(
    ("make", "columns"),
    [
        (lambda ages: pd.DataFrame({"prediction": ages * 2, 7: ages}), ["prediction", "7"]),
        (lambda ages: ages * 2, ["prediction"]),
        (lambda ages: (ages * 2).to_numpy(), ["prediction"]),
        (lambda ages: (ages * 2).to_numpy().reshape(-1, 1), ["prediction"]),
        (lambda ages: (ages * 2).tolist(), ["prediction"]),
        (lambda ages: np.stack([ages, ages], axis=1), ["prediction_0", "prediction_1"]),
    ],
)
def test_whatever_form_the_answers_have_they_stand_beside_the_input(make, columns):
    found = chunks.predict(Doubles(make), AGE, TABLE, "", None)
    assert found.schema.names == [*TABLE.schema.names, *columns]
    assert found.select(TABLE.schema.names).equals(TABLE)


@pytest.mark.parametrize(
    "make", [lambda ages: [1], lambda ages: np.zeros((3, 2, 2)), lambda ages: pd.DataFrame({"p": [1]})]
)
def test_one_answer_for_each_row_or_none(make):
    with pytest.raises(UserError, match="3 rows"):
        chunks.predict(Doubles(make), AGE, TABLE, "", None)


def test_answers_that_would_hide_a_column_need_a_prefix():
    table = TABLE.append_column("prediction", pa.array([9, 9, 9]))
    with pytest.raises(UserError, match="prefix"):
        chunks.predict(Doubles(), AGE, table, "", None)
    found = chunks.predict(Doubles(), AGE, table, "model_", None)
    assert (found["prediction"].to_pylist(), found["model_prediction"].to_pylist()) == ([9, 9, 9], [2, 4, 6])


def test_the_answers_have_one_type_in_all_chunks():
    answers = pa.schema([pa.field("prediction", pa.float64())])
    assert chunks.predict(Doubles(), AGE, TABLE, "", answers).schema.field("prediction").type == pa.float64()
    for make in (lambda ages: ["x", "y", "z"], lambda ages: pd.DataFrame({"other": ages})):
        with pytest.raises(DataError, match="not of one type"):
            chunks.predict(Doubles(make), AGE, TABLE, "", answers)


# -- a worker


@pytest.fixture
def work(tmp_path, monkeypatch):
    """Predicts the whole of TABLE with a model, in a worker of rank 2."""
    (tmp_path / "in").mkdir()
    pq.write_table(TABLE, tmp_path / "in" / "t.parquet")
    chunk = Chunk(0, str(tmp_path / "in" / "t.parquet"), 0, 3)

    def run(model: Any, chunk: Chunk = chunk) -> Any:
        monkeypatch.setattr(worker, "load", lambda uri: model)
        plan = plan_of(3, input=(tmp_path / "in").as_uri())
        return worker.Worker(2, plan, AGE, (tmp_path / "out").as_uri()).predict(chunk, None)

    return run


def test_a_chunk_becomes_a_file(work, tmp_path):
    found = work(Doubles())
    assert found.answers == pa.schema([pa.field("prediction", pa.int64())])
    written = pq.read_table(tmp_path / "out" / "part-000000.parquet")
    assert written["prediction"].to_pylist() == [2, 4, 6]
    assert written.select(TABLE.schema.names).equals(TABLE)


def failing(error: Exception) -> Doubles:
    def fail(ages: Any) -> Any:
        raise error

    return Doubles(fail)


@pytest.mark.parametrize(
    ("error", "becomes"),
    [
        (ZeroDivisionError("division by zero"), UserError),
        (MlflowException("Incompatible input types"), DataError),
        (MemoryError(), OutOfMemoryError),
        (type("OutOfMemoryError", (RuntimeError,), {})("CUDA"), OutOfMemoryError),
        (DataError("no"), DataError),
    ],
)
def test_what_fails_says_whose_turn_it_is_where_and_on_which_worker(work, error, becomes):
    with pytest.raises(becomes, match=r"rows 0 to 2 of .*t\.parquet") as raised:
        work(failing(error))
    assert rank_of(raised.value) == 2


def test_input_that_went_away_is_a_data_error(work, tmp_path):
    with pytest.raises(DataError, match="can't be read"):
        work(Doubles(), Chunk(0, str(tmp_path / "gone.parquet"), 0, 3))


# -- the job, without its workers


class FakeMlflow:
    def __init__(self) -> None:
        self.aliases = {"champion": 3}
        self.params: dict[str, str] = {}
        self.tags: dict[str, str] = {}
        self.metrics: dict[str, float] = {}

    def get_model_version_by_alias(self, name: str, alias: str) -> Any:
        if (name, alias) not in {("p.m", each) for each in self.aliases}:
            raise MlflowException("no alias", error_code=RESOURCE_DOES_NOT_EXIST)
        return SimpleNamespace(version=str(self.aliases[alias]))

    def get_model_version(self, name: str, version: str) -> Any:
        if (name, version) != ("p.m", "1"):
            raise MlflowException("no version", error_code=RESOURCE_DOES_NOT_EXIST)
        return SimpleNamespace(version=version)

    def log_batch(self, run_id: str, params: Any = (), tags: Any = (), metrics: Any = ()) -> None:
        self.params |= {each.key: each.value for each in params}
        self.tags |= {each.key: each.value for each in tags}
        self.metrics |= {each.key: each.value for each in metrics}


class Local:
    """Ray's part: the workers in this process."""

    def __init__(self, made: worker.Worker) -> None:
        self.predict = SimpleNamespace(remote=made.predict)


@pytest.fixture
def mlflow(monkeypatch) -> FakeMlflow:
    fake = FakeMlflow()
    monkeypatch.setattr(job, "client", lambda: fake)
    monkeypatch.setattr(job, "mlflow_sender", lambda uri: lambda run_id, metrics: None)
    monkeypatch.setattr(job, "_signature", lambda model: signature(age="long"))
    return fake


@pytest.fixture
def predict(tmp_path, monkeypatch, mlflow):
    """Runs the whole job with two workers in this process; `model` is what they load."""
    monkeypatch.setattr(job.ray, "put", lambda value: value)
    monkeypatch.setattr(job.ray, "get", lambda value: value)
    monkeypatch.setattr(job.ray, "wait", lambda running, num_returns: (running[:1], running[1:]))

    def run(chosen: Any = None, job_id: str = "job-1", resume_from: Sequence[str] = (), **changes: Any) -> str:
        @contextmanager
        def workers(resources: Any, plan: Plan, inputs: Inputs, output: str) -> Any:
            monkeypatch.setattr(worker, "load", lambda uri: chosen or Doubles())
            yield [Local(worker.Worker(rank, plan, inputs, output)) for rank in range(2)]

        monkeypatch.setattr(job, "_workers", workers)
        spec = {
            "kind": "batch_prediction",
            "model": {"name": "m", "version": 1},
            "input": (tmp_path / "in").as_uri(),
            "chunk_rows": 2,
            **changes,
        }
        storage = (tmp_path / "storage").as_uri()
        told = {"job": job_id, "attempt": 1, "project": "p", "run_id": "r", "storage": storage, "spec": spec}
        return job.predict(Envelope.model_validate({**told, "resume_from": list(resume_from)}))

    return run


@pytest.fixture
def rows(tmp_path) -> int:
    """Seven rows in two files."""
    (tmp_path / "in").mkdir()
    for name, ages in {"a": [0, 1, 2, 3], "b": [4, 5, 6]}.items():
        pq.write_table(pa.table({"age": ages, "id": [f"r{age}" for age in ages]}), tmp_path / "in" / f"{name}.parquet")
    return 7


def results(tmp_path: Path) -> pd.DataFrame:
    """As anybody reads them: the whole folder."""
    return pd.read_parquet(tmp_path / "storage/jobs/job-1/predictions").sort_values("id").reset_index(drop=True)


def test_a_table_in_the_same_table_with_answers_out(predict, tmp_path, rows, mlflow):
    assert "7 rows by p.m v1" in predict()
    found = results(tmp_path)
    assert found["prediction"].tolist() == [age * 2 for age in range(rows)]
    assert found["id"].tolist() == [f"r{age}" for age in range(rows)]
    folder = tmp_path / "storage/jobs/job-1/predictions"
    assert sorted(path.name for path in folder.iterdir()) == [
        DONE,
        PLAN,
        *(f"part-{i:06}.parquet" for i in range(4)),
    ]
    assert mlflow.tags["ratchet.output"] == folder.as_uri()
    assert mlflow.tags["ratchet.predicted_by"] == "models:/p.m/1"
    assert mlflow.metrics["batch/rows"] == rows
    assert mlflow.metrics["batch/seconds"] > 0


def test_a_second_attempt_predicts_only_what_is_left_with_the_version_of_the_first(predict, tmp_path, rows, mlflow):
    asked: list[int] = []

    def stops(ages: Any) -> Any:
        asked.extend(ages)
        if 4 in asked:
            raise RuntimeError("the node is gone")
        return ages * 2

    model = {"name": "m", "alias": "champion"}
    with pytest.raises(UserError, match="the node is gone"):
        predict(Doubles(stops), model=model)
    assert asked == [0, 1, 2, 3, 4, 5]
    mlflow.aliases["champion"] = 4
    asked.clear()
    again = Doubles(lambda ages: asked.extend(ages) or ages * 2)
    assert "p.m v3" in predict(again, model=model)
    assert asked == [4, 5, 6]
    assert results(tmp_path)["prediction"].tolist() == [age * 2 for age in range(rows)]


def test_asked_to_make_room_it_stops_between_two_chunks_and_goes_on_later(predict, tmp_path, rows, monkeypatch):
    marker = tmp_path / "storage" / notes.preempt_path("job-1", 1)
    asked: list[int] = []

    def asks(ages: Any) -> Any:
        asked.extend(ages)
        marker.touch()
        return ages * 2

    watched: list[str] = []

    @contextmanager
    def watch(uri: str) -> Any:
        watched.append(uri)
        yield marker.exists

    monkeypatch.setattr(job.preemption, "watch", watch)
    marker.parent.mkdir(parents=True)
    with pytest.raises(PreemptedJobError, match="rows; its next attempt"):
        predict(Doubles(asks))
    assert watched == [marker.as_uri()]
    assert 2 <= len(asked) < rows
    marker.unlink()
    predict()
    assert results(tmp_path)["prediction"].tolist() == [age * 2 for age in range(rows)]


@pytest.mark.parametrize("asked_for", [False, True], ids=["of its own", "that was asked for"])
def test_a_retry_goes_on_in_the_folder_of_the_job_that_failed(predict, tmp_path, rows, asked_for):
    output = {"output": (tmp_path / "mine").as_uri()} if asked_for else {}
    asked: list[int] = []

    def stops(ages: Any) -> Any:
        asked.extend(ages)
        if 4 in asked:
            raise RuntimeError("the node is gone")
        return ages * 2

    with pytest.raises(UserError):
        predict(Doubles(stops), **output)
    if asked_for:
        with pytest.raises(UserError, match="results of job-1"):
            predict(job_id="job-2", **output)
    asked.clear()
    again = Doubles(lambda ages: asked.extend(ages) or ages * 2)
    predict(again, job_id="job-3", resume_from=["job-2", "job-1"], **output)
    assert asked == [4, 5, 6]
    folder = tmp_path / ("mine" if asked_for else "storage/jobs/job-1/predictions")
    assert len(pd.read_parquet(folder)) == rows


def test_an_attempt_after_the_last_chunk_only_says_so(predict, tmp_path, rows):
    predict()
    (tmp_path / "storage/jobs/job-1/predictions" / DONE).unlink()
    assert "7 rows" in predict(failing(RuntimeError("nothing is left to predict")))


def test_an_input_that_changed_between_two_attempts_is_refused(predict, tmp_path, rows):
    with pytest.raises(UserError):
        predict(failing(RuntimeError("x")))
    pq.write_table(pa.table({"age": [9], "id": ["r9"]}), tmp_path / "in" / "a.parquet")
    with pytest.raises(DataError, match="has changed"):
        predict()


def test_what_is_no_parquet_is_staged(predict, tmp_path):
    (tmp_path / "in.csv").write_text("age,id\n1,r1\n2,r2\n3,r3\n")
    predict(input=(tmp_path / "in.csv").as_uri())
    assert results(tmp_path)["prediction"].tolist() == [2, 4, 6]


@pytest.mark.parametrize(
    "model", [{"name": "m", "version": 2}, {"name": "m", "alias": "candidate"}, {"name": "n", "alias": "champion"}]
)
def test_a_version_that_is_not_there(predict, rows, model):
    with pytest.raises(UserError, match="has no version"):
        predict(model=model)


def test_files_of_different_columns_are_no_table(predict, tmp_path, rows):
    pq.write_table(pa.table({"age": [1.5], "id": ["x"]}), tmp_path / "in" / "c.parquet")
    with pytest.raises(DataError, match=r"c\.parquet has other columns"):
        predict()


def test_a_table_without_rows(predict, tmp_path):
    (tmp_path / "in").mkdir()
    pq.write_table(pa.table({"age": pa.array([], pa.int64())}), tmp_path / "in" / "a.parquet")
    with pytest.raises(DataError, match="no rows"):
        predict()


def test_a_folder_that_is_asked_for(predict, tmp_path, rows):
    predict(output=(tmp_path / "mine").as_uri())
    assert len(pd.read_parquet(tmp_path / "mine")) == rows
    assert isinstance(BatchPrediction.model_fields["output"].default, type(None))
