"""What a job's state asks of Ray and MLflow: one small function per state, with no database session open.

Each looks at what is before it does anything, so that it can crash anywhere and be run again. What is found is a value;
an engine that does not answer is one of the values.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from ratchet.clients.ports import Clients, EngineRefused, EngineUnavailable, JobInfo, RayStatus, Run
from ratchet.identity import jobtokens
from ratchet.identity.jobtokens import JobClaim
from ratchet.jobs import classify, logfiles, render, retry
from ratchet.jobs.classify import Failure
from ratchet.jobs.results import finite, result_of
from ratchet.jobs.retry import History, Verdict
from ratchet.jobs.status import JobStatus, Reason
from ratchet.logs import logger
from ratchet.settings import Settings
from ratchet_pipelines import notes
from ratchet_pipelines.notes import FailureNote
from ratchet_pipelines.spec import Custom, ExitCode, RunTag, Sweep, Train

log = logger("jobs")

RAY = "Ray"
PATIENCE = 5
"""Looks at which a log that can't be saved, or a run that can't be looked for, holds up the end of a job."""
STOP_PATIENCE_S = 3.0
"""After this a job that is still pending in Ray is barred: Ray can't stop one that it has not started."""
CREDENTIAL_VARIABLE = "MLFLOW_TRACKING_TOKEN"
"""Ray shows it to whoever may ask Ray: it opens this run alone, and nothing once the attempt has ended."""
PREEMPTION_GRACE_S = 120.0
"""So long a job that is preempted may take to reach its next checkpoint."""
CANDIDATE = "candidate"


@dataclass(frozen=True)
class Seen:
    """A job as the step found it in the database."""

    id: str
    project: str
    name: str
    status: JobStatus
    attempt: int
    spec: dict[str, Any]
    created_by: str
    request_id: str
    trace: str | None
    experiment_id: str | None
    run_id: str | None
    misses: int
    history: History
    resume_from: tuple[str, ...]
    """Jobs that ended before it and whose work it goes on with, newest first."""
    attempt_for_s: float
    """How long ago its newest attempt was made."""
    overdue: bool
    """Its deadline has passed."""
    stopping_for_s: float
    instance: str
    """This platform's mark on what it starts in a Ray that others may use too."""
    ray_silent: str
    """Why Ray is known not to answer; empty while it does."""

    @property
    def submission_id(self) -> str:
        return f"{self.id}-{self.attempt}"


@dataclass(frozen=True)
class Queued:
    """Nothing was done: `ratchet.queue` decides who starts."""


@dataclass(frozen=True)
class Unreachable:
    message: str


@dataclass(frozen=True)
class Refused:
    """Ray or MLflow declined what was asked, and would again."""

    message: str


@dataclass(frozen=True)
class Submitted:
    experiment_id: str
    run_id: str


@dataclass(frozen=True)
class Live:
    engine_status: str
    metrics: dict[str, float | None] | None
    """None when MLflow did not say."""


@dataclass(frozen=True)
class Done:
    """The driver ended well."""


@dataclass(frozen=True)
class Broken:
    failure: Failure
    verdict: Verdict
    engine_status: str


@dataclass(frozen=True)
class StoppedOutside:
    """Somebody stopped it in Ray, past the platform."""


@dataclass(frozen=True)
class Finished:
    result: dict[str, Any]
    metrics: dict[str, float | None]
    model_name: str | None = None
    model_version: int | None = None


@dataclass(frozen=True)
class Preempted:
    """It has given its room back."""


@dataclass(frozen=True)
class Stopped:
    engine_status: str
    message: str


Found = (
    Queued | Unreachable | Refused | Submitted | Live | Done | Broken | StoppedOutside | Finished | Preempted | Stopped
)


@dataclass(frozen=True)
class Actor:
    settings: Settings
    clients: Clients

    def act(self, seen: Seen) -> Found:
        steps = {
            JobStatus.STARTING: self.start,
            JobStatus.RUNNING: self.watch,
            JobStatus.UNKNOWN: self.watch,
            JobStatus.PREEMPTING: self.preempt,
            JobStatus.FINALIZING: self.finalize,
            JobStatus.CANCELLING: self.stop,
        }
        if seen.status not in steps:
            return Queued()
        if seen.ray_silent and seen.status is not JobStatus.FINALIZING:  # which needs MLflow alone
            return Unreachable(seen.ray_silent)
        try:
            return steps[seen.status](seen)
        except EngineUnavailable as error:
            return Unreachable(error.message)
        except EngineRefused as error:
            if error.engine == RAY and seen.status not in (JobStatus.STARTING, JobStatus.FINALIZING):
                # Ray may be running it: no answer of Ray's but "ended" or "unknown" makes an end of it.
                return Unreachable(f"Ray refused to tell of it: {error.message}")
            return Refused(f"{error.engine}: {error.message}")

    # -- starting

    def start(self, seen: Seen) -> Found:
        """Open its MLflow run or adopt the one that an earlier look opened; then the same with its job in Ray."""
        experiment_id = seen.experiment_id or self.clients.mlflow.ensure_experiment(seen.project)
        run_id = seen.run_id or self._open_run(seen, experiment_id)
        if seen.run_id is not None:  # an earlier attempt may have ended the run with itself
            self.clients.mlflow.resume_run(seen.run_id)
        if self.clients.jobs.get(seen.submission_id) is None:
            asked = render.request(
                self.settings,
                job=seen.id,
                attempt=seen.attempt,
                project=seen.project,
                run_id=run_id,
                spec=seen.spec,
                instance=seen.instance,
                resume_from=seen.resume_from,
                request_id=seen.request_id,
                trace=seen.trace,
            )
            token = jobtokens.sign(self.settings.secret_key, JobClaim(seen.id, seen.attempt, experiment_id, run_id))
            self.clients.jobs.submit(
                asked.submission_id,
                entrypoint=asked.entrypoint,
                env={**asked.env, CREDENTIAL_VARIABLE: token},
                metadata=asked.metadata,
                driver=asked.driver,
            )
        return Submitted(experiment_id, run_id)

    def _open_run(self, seen: Seen, experiment_id: str) -> str:
        run = self.clients.mlflow.find_run(experiment_id, RunTag.JOB, seen.id)
        if run is None:
            tags = {RunTag.JOB: seen.id, RunTag.PROJECT: seen.project, "mlflow.user": seen.created_by}
            run = self.clients.mlflow.create_run(
                experiment_id, seen.name, {str(key): value for key, value in tags.items()}
            )
        return run.run_id

    # -- running

    def watch(self, seen: Seen) -> Found:
        info = self.clients.jobs.get(seen.submission_id)
        if info is None:
            message = "Ray does not know the job any more: its head was probably started anew."
            return self._broken(seen, Failure(Reason.ENGINE_LOST, message), "LOST")
        match info.status:
            case RayStatus.SUCCEEDED:
                return Done()
            case RayStatus.FAILED:
                return self._failed(seen, info)
            case RayStatus.STOPPED:
                return StoppedOutside()
            case RayStatus.PENDING if seen.attempt_for_s > self.settings.ray_start_timeout_s:
                return self._not_started(seen)
            case _:
                return Live(info.status.value, self._metrics(seen))

    def _not_started(self, seen: Seen) -> Found:
        """Give up an attempt that Ray has had for long and not begun: its head may have no room, or be unwell."""
        self.clients.jobs.stop(seen.submission_id)
        if not self._never_begins(seen):
            return Live(RayStatus.RUNNING.value, None)
        message = f"Ray did not start it within {self.settings.ray_start_timeout_s} s."
        return self._broken(seen, Failure(Reason.ENGINE_ERROR, message), RayStatus.PENDING.value)

    def _metrics(self, seen: Seen) -> dict[str, float | None] | None:
        """For show alone: a job does not suffer from an MLflow that does not answer."""
        try:
            run = self.clients.mlflow.get_run(seen.run_id or "")
        except (EngineUnavailable, EngineRefused):
            return None
        return None if run is None else finite(run.metrics)

    def _failed(self, seen: Seen, info: JobInfo) -> Found:
        text = self._save_log(seen)
        return self._broken(seen, classify.classify(info, self._note(seen), text), info.status.value)

    def _note(self, seen: Seen) -> FailureNote | None:
        """What the attempt left of its failure; without it there is still the exit status and the log."""
        kept = self.clients.storage.read(notes.failure_path(seen.id, seen.attempt))
        try:
            return None if kept is None else FailureNote.model_validate_json(kept)
        except ValidationError:
            return None

    def _broken(self, seen: Seen, failure: Failure, engine_status: str) -> Found:
        verdict = retry.decide(seen.spec, failure, seen.history)
        if verdict.after is None:
            self._end_run(self.clients.mlflow.get_run(seen.run_id or ""), "FAILED")
        return Broken(failure, verdict, engine_status)

    # -- preempting

    def preempt(self, seen: Seen) -> Found:
        """Ask it by a file to stop at its next checkpoint; after its grace it is stopped as it stands."""
        info = self.clients.jobs.get(seen.submission_id)
        if info is not None and not info.status.terminal:
            if seen.stopping_for_s <= PREEMPTION_GRACE_S:
                self._ask(seen)
                return Live(info.status.value, None)
            self.clients.jobs.stop(seen.submission_id)
            if info.status is not RayStatus.PENDING or not self._never_begins(seen):
                return Live(info.status.value, None)
        if info is not None and info.status is RayStatus.SUCCEEDED:
            return Done()
        if info is not None and info.status is RayStatus.FAILED and info.exit_code != ExitCode.PREEMPTED:
            return self._failed(seen, info)
        self._save_log(seen)
        return Preempted()

    def _ask(self, seen: Seen) -> None:
        path = notes.preempt_path(seen.id, seen.attempt)
        if self.clients.storage.read(path) is None:
            self.clients.storage.write(path, b"")

    # -- finalizing

    def finalize(self, seen: Seen) -> Found:
        """Read the result from the run; register the model, or adopt the version that an earlier look registered."""
        self._save_log(seen)
        run = self.clients.mlflow.get_run(seen.run_id or "")
        if run is None:
            return Refused(f"MLflow has no run {seen.run_id}: it was deleted before the job's result was read.")
        result = result_of(run)
        self._end_run(run, "FINISHED")
        model = seen.spec.get("model") if seen.spec["kind"] in MAKE_MODELS else None
        if model is None:
            return Finished(result, finite(run.metrics))
        if RunTag.MODEL_URI not in run.tags:
            return Refused("The job ended well but logged no model, so there is nothing to register.")
        name = f"{seen.project}.{model}"
        return Finished(result, finite(run.metrics), name, self._register(name, seen, run))

    def _register(self, name: str, seen: Seen, run: Run) -> int:
        mlflow = self.clients.mlflow
        mlflow.ensure_registered_model(name)
        found = mlflow.find_version(name, run.run_id)
        if found is not None:
            version = found.version
        else:
            tags = {str(tag): run.tags[tag] for tag in VERSION_TAGS if tag in run.tags}
            tags |= {str(RunTag.JOB): seen.id, str(RunTag.PROJECT): seen.project}
            version = mlflow.create_version(name, source=run.tags[RunTag.MODEL_URI], run_id=run.run_id, tags=tags)
        current = mlflow.get_registered_model(name)
        if current is None or current.aliases.get(CANDIDATE, 0) < version:
            # Never backwards: a job that ended later may have been registered in the meantime.
            mlflow.set_alias(name, CANDIDATE, version)
        return version

    # -- cancelling

    def stop(self, seen: Seen) -> Found:
        info = self.clients.jobs.get(seen.submission_id)
        if info is not None and not info.status.terminal:
            self.clients.jobs.stop(seen.submission_id)
            stuck = info.status is RayStatus.PENDING and seen.stopping_for_s > STOP_PATIENCE_S
            if not (stuck and self._never_begins(seen)):
                return Live(info.status.value, None)
        elif info is None and not self._never_begins(seen):  # a submission on its way may have come just now
            return Live(RayStatus.RUNNING.value, None)
        self._save_log(seen)
        self._end_run(self._find_run(seen), "KILLED")
        return Stopped(info.status.value if info else "", "")

    def _find_run(self, seen: Seen) -> Run | None:
        """Its run, also where a crash came between the opening of the run and the note of it."""
        if seen.run_id is not None:
            return self.clients.mlflow.get_run(seen.run_id)
        try:
            experiment_id = self.clients.mlflow.ensure_experiment(seen.project)
            return self.clients.mlflow.find_run(experiment_id, RunTag.JOB, seen.id)
        except EngineUnavailable:
            if seen.misses < PATIENCE:
                raise
            return None  # most likely there is none, and its room must not be held for that

    def _never_begins(self, seen: Seen) -> bool:
        """Bar an attempt that Ray has not started. A driver that starts later finds the bar and ends; false when one
        may have looked for it before it was there."""
        self.clients.storage.write(notes.bar_path(seen.id, seen.attempt), b"")
        info = self.clients.jobs.get(seen.submission_id)
        return info is None or info.status is RayStatus.PENDING or info.status.terminal

    # -- the end of each

    def _end_run(self, run: Run | None, status: str) -> None:
        if run is not None and not run.ended:
            self.clients.mlflow.end_run(run.run_id, status)

    def _save_log(self, seen: Seen) -> str:
        """What the driver printed last. A log that only Ray has is copied to storage, where it outlives Ray."""
        try:
            return logfiles.last_text(self.clients, seen.id, seen.attempt)
        except (EngineUnavailable, EngineRefused) as error:
            if seen.misses < PATIENCE:
                raise EngineUnavailable(error.engine, error.message) from error
            log.warning("job_log_lost", job=seen.id, attempt=seen.attempt, error=error.message)
            return ""


MAKE_MODELS = {kind.model_fields["kind"].default for kind in (Train, Sweep, Custom)}
"""The kinds whose `model` is what their result becomes a version of."""
VERSION_TAGS = (RunTag.DATA_HASH, RunTag.PRIMARY_METRIC, RunTag.GREATER_IS_BETTER)
