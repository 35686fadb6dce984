"""Which of several workers' errors is told, and as what."""

from __future__ import annotations

import pytest
import ray.train
from ray.exceptions import ActorDiedError
from ray.train.v2._internal.exceptions import WorkerHealthCheckFailedError

from ratchet_pipelines.errors import DataError, EngineError, JobError, OutOfMemoryError, UserError, rank_of
from ratchet_pipelines.spec import ExitCode
from ratchet_pipelines.train.launch import _explained

ECHO = RuntimeError("[gloo/transport/tcp/pair.cc:547] Connection closed by peer [127.0.0.1]:4711")
PAGE = """The actor died unexpectedly before finishing this task.
\tclass_name: RayTrainWorker
The actor is dead because its worker process has died. Worker exit type: SYSTEM_ERROR Worker exit detail: Worker
unexpectedly exits with a connection error code 2. End of file. Some common causes include: …"""
LOST = WorkerHealthCheckFailedError(PAGE, ActorDiedError())
HUNGRY = WorkerHealthCheckFailedError("Killed due to the node running low on memory.", ActorDiedError())


def explained(**failures: Exception) -> Exception:
    by_rank = {int(name[1:]): failure for name, failure in failures.items()}
    return _explained(ray.train.WorkerGroupError("broken", by_rank))


@pytest.mark.parametrize(
    ("failures", "kind", "rank"),
    [
        ({"r0": KeyError("x")}, KeyError, 0),
        ({"r0": ECHO, "r1": KeyError("x"), "r2": ECHO}, KeyError, 1),
        ({"r0": KeyError("x"), "r1": DataError("no column")}, DataError, 1),
        ({"r0": ECHO, "r1": FloatingPointError("nan")}, UserError, 1),
        ({"r0": ECHO, "r1": LOST}, EngineError, 1),
        ({"r0": ECHO, "r1": ECHO}, EngineError, 0),
        ({"r0": LOST, "r1": MemoryError()}, OutOfMemoryError, 1),
        ({"r0": ECHO, "r3": HUNGRY}, OutOfMemoryError, 3),
    ],
)
def test_the_error_that_came_first_is_told_with_its_rank(
    failures: dict[str, Exception], kind: type[Exception], rank: int
) -> None:
    error = explained(**failures)
    assert type(error) is kind
    assert rank_of(error) == rank


def test_a_lost_worker_is_for_the_platform_to_try_again_and_said_in_a_sentence() -> None:
    error = explained(r0=LOST)
    assert isinstance(error, JobError)
    assert error.exit_code is ExitCode.NODE_LOST
    assert str(error) == (
        "A worker was lost. The actor is dead because its worker process has died. Worker exit type: SYSTEM_ERROR"
    )


def test_an_error_of_the_controller_itself() -> None:
    assert type(_explained(ray.train.ControllerError(ValueError("x")))) is ValueError
    assert type(_explained(ActorDiedError())) is EngineError
