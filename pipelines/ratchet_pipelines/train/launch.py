"""A training on the workers of Ray Train: started, resumed, and told apart when it fails."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import ray
import ray.train
from pyarrow.fs import FileSelector, FileSystem
from ray.exceptions import RayActorError, RayError
from ray.train.torch import TorchTrainer, get_device
from ray.train.v2._internal.exceptions import (
    InsufficientClusterResourcesError,
    WorkerGroupStartupFailedError,
    WorkerGroupStartupTimeoutError,
    WorkerHealthCheckFailedError,
    WorkerHealthCheckTimeoutError,
)

from ratchet_pipelines import recipes
from ratchet_pipelines.errors import (
    CancelledJobError,
    EngineError,
    JobError,
    OutOfMemoryError,
    PreemptedJobError,
    UserError,
    on_rank,
)
from ratchet_pipelines.logs.capture import captured
from ratchet_pipelines.spec import Resources
from ratchet_pipelines.train import checkpoints, loop, preemption, strategy
from ratchet_pipelines.train.checkpoints import Best, State
from ratchet_pipelines.train.interrupts import interruptible
from ratchet_pipelines.train.spool import Spool
from ratchet_pipelines.train.tracking import MetricLog, mlflow_sender

LOST = (
    RayError,
    ray.train.PreemptionError,
    WorkerHealthCheckFailedError,
    WorkerHealthCheckTimeoutError,
    WorkerGroupStartupFailedError,
    WorkerGroupStartupTimeoutError,
    InsufficientClusterResourcesError,
)
"""What Ray says when a worker or its node is gone, or has no place."""
ECHO = re.compile(r"Connection (?:closed|reset) by peer|\bgloo\b|\bNCCL\b|ncclRemoteError", re.IGNORECASE)
DEATH = re.compile(r"The actor is dead because [^.]*\.(?: Worker exit type: \w+\.?)?")
MAX_BRIEF_CHARACTERS = 300
CHECKPOINT_INTERVAL_S = 5.0
KEPT_CHECKPOINTS = 2
"""The one before the last is there for when the last can't be read."""
POLL_INTERVAL_S = "0.25"
"""How often the controller looks at its workers: a report waits for that, and so does the end. Ray's default is 2 s."""


@dataclass(frozen=True)
class Training:
    """What to train, and where its files go."""

    name: str
    """Of the Ray Train run: new at its storage."""
    storage: str
    recipe: str
    params: dict[str, Any]
    settings: loop.Settings
    resources: Resources
    run_id: str | None = None
    """The MLflow run that rank 0 logs every epoch to."""
    tracking_uri: str | None = None
    """Of MLflow; `MLFLOW_TRACKING_URI` when not given."""
    spool: Spool | None = None
    """Where metrics wait while MLflow is away."""
    preempt_uri: str | None = None
    """A file that asks for the training's room, once it is there."""
    log_prefix: str = ""
    """What stands before `rank-<n>` in the names of its workers' logs."""
    begin: ray.train.Checkpoint | None = None
    """Where to go on: see `last_checkpoint`."""
    report_every_epoch: bool = False
    """Tell Ray Train of every epoch and keep every better state, as a sweep needs; else a checkpoint now and then."""


def launch(training: Training, material: Any, callbacks: list[Any] | None = None) -> Best:
    """Trains on `training.resources` and returns the best epoch with its weights.

    Blocks until the cluster has room. After a worker or a node was lost the job makes the same call anew, to go on from
    the last checkpoint: when is for the platform to say, which has the queue.

    Raises:
        CancelledJobError: SIGINT was received.
        PreemptedJobError: The training was asked for its room, and has saved a checkpoint to go on from.
        OutOfMemoryError, EngineError: A worker had too little memory; one was lost.
        UserError: The training diverged. Errors of the recipe's own pass through, with the rank they came up on.
    """
    os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", POLL_INTERVAL_S)
    os.environ.setdefault("RAY_TRAIN_ENABLE_PRINT_PATCH", "0")  # it shows every line that a worker prints twice
    config = {"training": training, "material": ray.put(material)}
    try:
        # A training that had come to its end, all but this, reports nothing more.
        return _best(_fit(training, config, callbacks).checkpoint or training.begin)
    except (RayActorError, ray.train.TrainingFailedError) as error:
        raise _explained(error) from error


def _fit(training: Training, config: dict[str, Any], callbacks: list[Any] | None) -> ray.train.Result:
    resources = training.resources
    trainer = TorchTrainer(
        _work,
        train_loop_config=config,
        scaling_config=ray.train.ScalingConfig(
            num_workers=resources.workers,
            use_gpu=resources.gpus_per_worker > 0,
            resources_per_worker={"CPU": resources.cpus_per_worker}
            | ({"GPU": resources.gpus_per_worker} if resources.gpus_per_worker else {})
            | ({"memory": resources.memory_bytes // resources.workers} if resources.memory_bytes else {}),
        ),
        run_config=ray.train.RunConfig(
            name=training.name,
            storage_path=training.storage,
            checkpoint_config=ray.train.CheckpointConfig(num_to_keep=KEPT_CHECKPOINTS),
            failure_config=ray.train.FailureConfig(max_failures=0, max_preemption_failures=0),
            callbacks=callbacks,
        ),
    )
    with interruptible() as interrupted:
        try:
            return trainer.fit()
        except (SystemExit, RayActorError) as error:
            # Ray's own handler of SIGINT aborts the controller and exits with status 0, as if all were done.
            if interrupted():
                raise CancelledJobError("The job was stopped.") from error
            raise


def last_checkpoint(folders: Iterable[str]) -> ray.train.Checkpoint | None:
    """The last whole one of the first of these folders that has any. The log says which are passed over, and why.

    The folders are looked through, and Ray Train's own list is not read: it is lost with the head that was writing it,
    and can't be read when one of those that it names is gone.
    """
    for folder in folders:
        for checkpoint in _saved(folder):
            try:
                with checkpoint.as_directory() as local:
                    checkpoints.check(Path(local))
            except (EngineError, OSError) as error:
                print(f"Passed over {checkpoint.path}: {error}", flush=True)  # noqa: T201
            else:
                return checkpoint
    return None


def remove_old_checkpoints(folder: str) -> None:
    """Those of earlier attempts, but for the last."""
    for checkpoint in _saved(folder)[KEPT_CHECKPOINTS:]:
        checkpoint.filesystem.delete_dir(checkpoint.path)


def _saved(folder: str) -> list[ray.train.Checkpoint]:
    """The last first, by attempt and epoch: the clocks of two nodes may differ, and one may be set back."""
    filesystem, path = FileSystem.from_uri(folder)
    files = filesystem.get_file_info(FileSelector(path, allow_not_found=True, recursive=True))
    folders = {str(PurePosixPath(file.path).parent) for file in files if file.base_name == checkpoints.FILE}
    found = [(place, each) for each in folders if (place := checkpoints.place_of(each)) is not None]
    return [ray.train.Checkpoint(each, filesystem) for _, each in sorted(found, reverse=True)]


def _best(checkpoint: ray.train.Checkpoint | None) -> Best:
    if checkpoint is None:
        raise EngineError("Ray Train ended without a checkpoint.")
    with checkpoint.as_directory() as folder:
        state = checkpoints.load(Path(folder))
    if not state.finished:
        raise PreemptedJobError(f"It stopped after epoch {state.epoch}; its next attempt goes on from there.")
    return state.best


def _work(config: dict[str, Any]) -> None:
    """In every worker: the loop, with the process group that Ray Train has opened."""
    training: Training = config["training"]
    rank = ray.train.get_context().get_world_rank()
    with captured(f"{training.log_prefix}rank-{rank}", echo=False):
        _train(training, config["material"], main=rank == 0)


def _train(training: Training, material: ray.ObjectRef, *, main: bool) -> None:
    recipe = recipes.load(training.recipe)
    learner = recipe.learner(ray.get(material), recipes.parse_params(training.recipe, training.params))
    watched = training.preempt_uri if main else None
    with _metric_log(training) if main else contextlib.nullcontext() as log, preemption.watch(watched) as asked:
        loop.fit(learner, training.settings, strategy.current(get_device()), RayReporter(training, log, asked))


def _metric_log(training: Training) -> contextlib.AbstractContextManager[MetricLog | None]:
    return (
        MetricLog(mlflow_sender(training.tracking_uri), training.spool) if training.run_id else contextlib.nullcontext()
    )


class RayReporter:
    """Checkpoints to Ray Train, and rank 0's metrics of every epoch to MLflow."""

    def __init__(self, training: Training, log: MetricLog | None, asked: Callable[[], bool]) -> None:
        self._training, self._log, self._asked = training, log, asked
        self._saved_at = time.monotonic()
        self._said_at = 0.0

    def resume(self) -> State | None:
        if self._training.begin is None:
            return None
        with self._training.begin.as_directory() as folder:
            return checkpoints.load(Path(folder))

    def wants_state(self, *, improved: bool, last: bool) -> bool:
        due = time.monotonic() - self._saved_at >= CHECKPOINT_INTERVAL_S
        return last or due or (improved and self._training.report_every_epoch)

    def wants_stop(self) -> bool:
        return self._asked()

    def report(self, epoch: int, metrics: dict[str, float], best: Best, state: State | None) -> None:
        if self._log is not None and self._training.run_id is not None:
            self._log.log(self._training.run_id, metrics, epoch)
            self._say(epoch, metrics)
        if state is None and not self._training.report_every_epoch:
            return
        told = {**metrics, "epoch": epoch, "best": best.value}
        if state is None or ray.train.get_context().get_world_rank() != 0:
            ray.train.report(told)
            return
        if self._log is not None:
            self._log.keep()
        with tempfile.TemporaryDirectory() as folder:
            checkpoints.save(state, Path(folder))
            saved = ray.train.Checkpoint.from_directory(folder)
            ray.train.report(told, checkpoint=saved, checkpoint_dir_name=checkpoints.name_of(epoch))
        self._saved_at = time.monotonic()

    def _say(self, epoch: int, metrics: dict[str, float]) -> None:
        """A line for the job's log, at most one a second."""
        if time.monotonic() - self._said_at < 1 and epoch < self._training.settings.epochs:
            return
        self._said_at = time.monotonic()
        values = ", ".join(f"{name} {value:.4g}" for name, value in metrics.items())
        print(f"Epoch {epoch} of {self._training.settings.epochs}: {values}", flush=True)  # noqa: T201


def _explained(error: Exception) -> Exception:
    """The error that came first, out of what Ray Train wraps it in, with its rank; Ray's errors in our words."""
    if isinstance(error, ray.train.WorkerGroupError) and error.worker_failures:
        rank, cause = min(error.worker_failures.items(), key=lambda each: (_weight(each[1]), each[0]))
        return on_rank(_in_our_words(cause), rank)
    if isinstance(error, ray.train.ControllerError):
        return _in_our_words(error.controller_failure)
    return _in_our_words(error)


def _weight(cause: Exception) -> int:
    """When one worker fails, the collective operations of its peers break: what says most comes first."""
    if isinstance(cause, JobError | FloatingPointError) or _out_of_memory(cause):
        return 0
    if isinstance(cause, LOST):
        return 2
    return 3 if _is_echo(cause) else 1


def _in_our_words(cause: Exception) -> Exception:
    if isinstance(cause, FloatingPointError):
        return UserError(f"The training diverged: {cause}. Lower the learning rate.")
    if _out_of_memory(cause):
        return OutOfMemoryError(f"A worker ran out of memory. Use smaller batches or more workers. {_brief(cause)}")
    if isinstance(cause, LOST):
        return EngineError(f"A worker was lost. {_brief(cause)}")
    if _is_echo(cause):
        return EngineError(f"A worker lost its peers. {_brief(cause)}")
    return cause


def _out_of_memory(cause: Exception) -> bool:
    """Of the host, as Ray's memory monitor or Python says it, or of a GPU, as torch does."""
    named = type(cause).__name__ == "OutOfMemoryError" or isinstance(cause, MemoryError)
    return named or (isinstance(cause, LOST) and "running low on memory" in str(cause))


def _is_echo(cause: Exception) -> bool:
    """Whether a collective operation broke because another worker is gone."""
    return isinstance(cause, RuntimeError) and ECHO.search(str(cause)) is not None


def _brief(cause: Exception) -> str:
    """How it came about, out of what Ray says at length."""
    text = str(cause).strip()
    found = DEATH.search(text)
    return found.group() if found else text.splitlines()[-1][:MAX_BRIEF_CHARACTERS] if text else ""
