"""A batch prediction, from its spec to the folder of its results."""

from __future__ import annotations

import logging
import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import ray
from mlflow.entities import Metric, Param
from mlflow.entities import RunTag as Tag
from mlflow.exceptions import MlflowException
from ray.exceptions import OutOfMemoryError as RayOutOfMemoryError
from ray.exceptions import RayActorError, RayError, RayTaskError
from ray.util.placement_group import placement_group, remove_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from ratchet_pipelines import notes
from ratchet_pipelines.batch.chunks import Inputs
from ratchet_pipelines.batch.plan import DONE, Chunk, Folder, Part, Plan
from ratchet_pipelines.batch.worker import Predicted, Worker
from ratchet_pipelines.data import sources
from ratchet_pipelines.errors import DataError, EngineError, OutOfMemoryError, PreemptedJobError, UserError
from ratchet_pipelines.logs.capture import LAST_WORD_S
from ratchet_pipelines.spec import BatchPrediction, Envelope, ModelVersion, Resources, RunTag
from ratchet_pipelines.train import preemption
from ratchet_pipelines.train.tracking import MetricLog, client, mlflow_sender, patiently

FOOTERS_AT_ONCE = 16
RESTARTS = 3
"""How often a worker that Ray lost is replaced, with the chunk that it had."""


def predict(envelope: Envelope) -> str:
    """Predicts what is not predicted yet; returns a line that says what is in the folder.

    Raises:
        PreemptedJobError: It was asked to make room; what is predicted stays.
        UserError: There is no such version; the folder is not the job's own; the model's code fails.
        DataError: The input can't be read, or is not what the model takes.
        OutOfMemoryError, EngineError: Ray ended a worker for its memory; lost one too often.
    """
    spec = envelope.spec
    assert isinstance(spec, BatchPrediction)
    folder, plan = _begun(envelope, spec)
    if plan is None:
        plan = _planned(envelope, spec)
        folder.keep(plan)
    inputs = _checked(plan)
    _note_origin(envelope, spec, plan)
    done = set(folder.names())
    left = deque(chunk for chunk in plan.chunks() if chunk.name not in done)
    rows = plan.rows - sum(chunk.rows for chunk in left)
    if rows:
        print(f"{rows:,} of {plan.rows:,} rows are predicted already.", flush=True)  # noqa: T201 - the job's log
    began = time.monotonic()
    with MetricLog(mlflow_sender(os.environ.get("MLFLOW_TRACKING_URI"))) as log:
        progress = Progress(plan, rows, log, envelope.run_id)
        with _workers(spec.resources, plan, inputs, folder.uri) as workers:
            preempt_uri = f"{envelope.storage}/{notes.preempt_path(envelope.job, envelope.attempt)}"
            with preemption.watch(preempt_uri) as asked:
                _run(workers, left, _answers_of(folder, done, plan), progress, asked)
    folder.write(DONE, b"")
    seconds = time.monotonic() - began
    _note_result(envelope, folder.uri, plan, seconds, progress.rate)
    return f"{plan.rows:,} rows by {plan.model.name} v{plan.model.version} in {folder.uri}."


class Progress:
    """How far it is: a line in the log at most every second, and the curves in the run."""

    def __init__(self, plan: Plan, rows: int, log: MetricLog, run_id: str) -> None:
        self._plan, self._log, self._run_id = plan, log, run_id
        self._before, self.rows = rows, rows
        self._began, self._said_at = time.monotonic(), 0.0

    @property
    def rate(self) -> float:
        """Rows a second, in this attempt."""
        return (self.rows - self._before) / max(time.monotonic() - self._began, 1e-9)

    def take(self, chunk: Chunk) -> None:
        self.rows += chunk.rows
        if time.monotonic() - self._said_at < 1 and self.rows < self._plan.rows:
            return
        self._said_at = time.monotonic()
        self._log.log(self._run_id, {"batch/rows": self.rows, "batch/rows_per_second": self.rate}, self.rows)
        total = self._plan.rows
        print(f"{self.rows:,} of {total:,} rows ({self.rows / total:.0%}), {self.rate:,.0f} a second", flush=True)  # noqa: T201


# -- the plan


def _begun(envelope: Envelope, spec: BatchPrediction) -> tuple[Folder, Plan | None]:
    """The folder of the results and what is planned for it: where a job that this one takes up again has left off."""
    jobs = [envelope.job, *envelope.resume_from]
    if spec.output is not None:
        return Folder(spec.output), Folder(spec.output).plan_of(jobs)
    folders = [Folder(f"{envelope.storage}/jobs/{job}/predictions") for job in jobs]
    found = ((folder, folder.plan_of(jobs)) for folder in folders)
    return next((each for each in found if each[1] is not None), (folders[0], None))


def _planned(envelope: Envelope, spec: BatchPrediction) -> Plan:
    uri, paths = spec.input, sources.parquet_files(spec.input)
    if paths is None:
        uri = f"{envelope.storage}/jobs/{envelope.job}/input"
        _stage(spec.input, uri)
        paths = sources.parquet_files(uri) or []
    parts = _parts(uri, paths)
    if not sum(part.rows for part in parts):
        raise DataError(f"{spec.input} has no rows.")
    return Plan(
        job=envelope.job,
        model=_version(f"{envelope.project}.{spec.model.name}", spec),
        input=uri,
        parts=parts,
        chunk_rows=spec.chunk_rows,
        prefix=spec.prefix,
    )


def _stage(source: str, target: str) -> None:
    """What is no Parquet can't be read from the middle: it is read whole, once, and written as Parquet."""
    frame = sources.read(source).rename(columns=str)
    try:
        table = pa.Table.from_pandas(frame, preserve_index=False)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise DataError(f"{source} has a column of mixed types: {error}.") from error
    buffer = pa.BufferOutputStream()
    pq.write_table(table, buffer)
    Folder(target).write("table.parquet", buffer.getvalue().to_pybytes())


def _parts(uri: str, paths: list[str]) -> list[Part]:
    """The files with their sizes. `DataError` when they have not all the same columns."""
    with ThreadPoolExecutor(FOOTERS_AT_ONCE) as pool:
        footers = list(pool.map(lambda path: sources.footer(uri, path), paths))
    for footer in footers:
        if not footer.schema.equals(footers[0].schema):
            raise DataError(f"{footer.path} has other columns than {paths[0]}: one table has one schema.")
    return [Part(path=footer.path, bytes=footer.bytes, rows=footer.rows) for footer in footers]


def _version(name: str, spec: BatchPrediction) -> ModelVersion:
    chosen = spec.model
    try:
        if chosen.alias is not None:
            found = patiently(lambda: client().get_model_version_by_alias(name, chosen.alias))
        else:
            found = patiently(lambda: client().get_model_version(name, str(chosen.version)))
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        which = f"version {chosen.version}" if chosen.alias is None else f"version under the alias {chosen.alias!r}"
        raise UserError(f"The model {chosen.name!r} has no {which}.") from error
    return ModelVersion(name=name, version=int(found.version))


def _checked(plan: Plan) -> Inputs:
    """What the model takes; `DataError` when the input is not that, or not what it was when the plan was made."""
    if _parts(plan.input, [part.path for part in plan.parts]) != plan.parts:
        raise DataError(f"{plan.input} has changed since the job began: start another, with a new output folder.")
    inputs = Inputs.of(_signature(plan.model))
    inputs.require(_columns(plan), plan.input)
    return inputs


def _signature(model: ModelVersion) -> Any:
    import mlflow.models

    return patiently(lambda: mlflow.models.get_model_info(model.uri)).signature


def _columns(plan: Plan) -> pa.Schema:
    return sources.footer(plan.input, plan.parts[0].path).schema


def _answers_of(folder: Folder, done: set[str], plan: Plan) -> pa.Schema | None:
    """The types of the answers in a chunk that is done; None when none is."""
    name = next((chunk.name for chunk in plan.chunks() if chunk.name in done), None)
    kept = folder.read(name) if name else None
    if kept is None:
        return None
    inputs = _columns(plan).names
    return pa.schema([field for field in pq.read_schema(pa.BufferReader(kept)) if field.name not in inputs])


# -- the work


@contextmanager
def _workers(resources: Resources, plan: Plan, inputs: Inputs, output: str) -> Iterator[list[Any]]:
    """The workers, all or none: none is started before there is room for every one."""
    ray.init(address="auto", log_to_driver=True, logging_level=logging.WARNING)
    memory = resources.memory_bytes // resources.workers
    share: dict[str, float] = {"CPU": resources.cpus_per_worker}
    share |= {"GPU": resources.gpus_per_worker} if resources.gpus_per_worker else {}
    share |= {"memory": memory} if memory else {}
    group = placement_group([share] * resources.workers, strategy="PACK")
    try:
        ray.get(group.ready())
        actor = ray.remote(Worker).options(
            num_cpus=resources.cpus_per_worker,
            num_gpus=resources.gpus_per_worker,
            memory=memory or None,
            max_restarts=RESTARTS,
            max_task_retries=RESTARTS,
            scheduling_strategy=PlacementGroupSchedulingStrategy(group),
        )
        workers = [actor.remote(rank, plan, inputs, output) for rank in range(resources.workers)]
        yield workers
        with suppress(RayError):  # what is predicted is there, whatever becomes of a worker's last words
            ray.get([worker.close.remote() for worker in workers], timeout=2 * LAST_WORD_S)
    finally:
        remove_placement_group(group)


def _run(
    workers: list[Any], left: deque[Chunk], answers: pa.Schema | None, progress: Progress, asked: Callable[[], bool]
) -> None:
    """Give every worker a chunk until none is left. The very first goes alone: its answers' types are everybody's.

    Raises `PreemptedJobError` between two chunks, once the job is asked to make room.
    """
    running: dict[Any, Any] = {}
    if answers is None and left:
        found = _get(workers[0].predict.remote(left.popleft(), None))
        answers = found.answers
        progress.take(found.chunk)
    kept = ray.put(answers)
    for worker in workers:
        if left:
            running[worker.predict.remote(left.popleft(), kept)] = worker
    while running:
        (ready,), _ = ray.wait(list(running), num_returns=1)
        worker = running.pop(ready)
        progress.take(_get(ready).chunk)
        if left and asked():
            raise PreemptedJobError(f"It stopped after {progress.rows:,} rows; its next attempt goes on from there.")
        if left:
            running[worker.predict.remote(left.popleft(), kept)] = worker


def _get(reference: Any) -> Predicted:
    try:
        found: Predicted = ray.get(reference)
    except RayOutOfMemoryError as error:
        raise OutOfMemoryError(f"A worker ran out of memory: set a smaller `chunk_rows`. {error}") from error
    except RayActorError as error:
        raise EngineError(f"A worker was lost {RESTARTS + 1} times: {error}") from error
    except RayTaskError as error:
        raise error.cause from None
    return found


# -- what is told


def _note_origin(envelope: Envelope, spec: BatchPrediction, plan: Plan) -> None:
    values = {"model": plan.model.uri, "input": spec.input, "chunk_rows": plan.chunk_rows}
    tags = {
        RunTag.JOB: envelope.job,
        RunTag.PROJECT: envelope.project,
        RunTag.PREDICTED_BY: plan.model.uri,
        "mlflow.source.type": "JOB",
        "mlflow.source.name": "ratchet_pipelines/batch",
    }
    patiently(
        lambda: client().log_batch(
            envelope.run_id,
            params=[Param(name, str(value)) for name, value in values.items()],
            tags=[Tag(str(name), value) for name, value in tags.items()],
        )
    )


def _note_result(envelope: Envelope, uri: str, plan: Plan, seconds: float, rate: float) -> None:
    now = int(time.time() * 1000)
    metrics = {"batch/rows": plan.rows, "batch/seconds": seconds, "batch/rows_per_second": rate}
    logged = [Metric(name, float(value), now, plan.rows) for name, value in metrics.items()]
    patiently(lambda: client().log_batch(envelope.run_id, metrics=logged, tags=[Tag(str(RunTag.OUTPUT), uri)]))
