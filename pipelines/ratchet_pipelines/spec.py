"""What the platform asks of the cluster: the specs of jobs, and the envelope in which a job receives its own.

The control plane validates with these models, the dashboard draws its forms from their JSON schema, and
`ratchet_pipelines.run` reads them on the cluster. Nothing here is heavier than pydantic.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from ratchet_pipelines.usercode import Code, Environment, Image, Word

NAME_PATTERN = r"^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$"
"""A DNS label: what Kubernetes, Ray and MLflow all accept as a name (1 to 63 characters)."""

MAX_SPEC_BYTES = 64 * 1024
"""A spec travels in one environment variable; Linux limits one to 128 KiB (`MAX_ARG_STRLEN`)."""

ENVELOPE_VARIABLE = "RATCHET_JOB"
"""The environment variable that holds the job's `Envelope` as JSON."""
TOKEN_FILE_VARIABLE = "RATCHET_SERVING_TOKEN_FILE"  # noqa: S105 - its name
"""The environment variable that tells a replica where the token is by which it reads models."""

Name = Annotated[str, Field(pattern=NAME_PATTERN, min_length=1, max_length=63)]
Uri = Annotated[str, Field(min_length=1, max_length=2048)]
Column = Annotated[str, Field(min_length=1, max_length=256)]
Metric = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9_/.-]+$")]
# MLflow takes `v3` for a version: no alias may be one. Written without look-ahead, which pydantic's engine lacks.
ALIAS_PATTERN = r"^(?:[a-uw-z][a-z0-9_-]*|v(?:[0-9]*[a-z_-][a-z0-9_-]*)?)$"
Alias = Annotated[str, Field(min_length=1, max_length=63, pattern=ALIAS_PATTERN)]


class Spec(BaseModel):
    """The base of all specs: an unknown field is an error, never ignored; what stands under a field describes it."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True)


class Data(Spec):
    """A table by address, and how it is split.

    The split is decided by a hash of each row's content, so that a row stays on its side when rows are added, and two
    equal rows never stand on both sides.
    """

    uri: Uri
    """`sklearn://breast_cancer`, or a Parquet or CSV file or folder: `file:///…`, `s3://…`, `gs://…`, `abfs://…`."""
    target: Column = "target"
    features: list[Column] | None = None
    """The columns to learn from; all but the target when not given."""
    test_fraction: float = Field(default=0.2, gt=0, lt=1)
    validation_fraction: float = Field(default=0.2, gt=0, lt=1)

    @model_validator(mode="after")
    def _some_rows_are_left_to_train_on(self) -> Data:
        if self.test_fraction + self.validation_fraction >= 1:
            raise ValueError("test_fraction + validation_fraction must be below 1: no row would be left to train on")
        if self.features is not None and self.target in self.features:
            raise ValueError(f"the target {self.target!r} is among the features: the model would read the answer")
        return self


class Resources(Spec):
    """What a job asks of the cluster. All workers start together or none does."""

    workers: int = Field(default=1, ge=1, le=10_000)
    cpus_per_worker: float = Field(default=1, gt=0, le=1_024)
    gpus_per_worker: float = Field(default=0, ge=0, le=64)
    memory_gib_per_worker: float = Field(default=0, ge=0, le=24_576)
    """What the queue and the quotas count, in GiB; 0 where the job does not say."""

    @property
    def cpus(self) -> float:
        return self.workers * self.cpus_per_worker

    @property
    def gpus(self) -> float:
        return self.workers * self.gpus_per_worker

    @property
    def memory_bytes(self) -> int:
        return int(self.workers * self.memory_gib_per_worker * 2**30)


class Retriable(StrEnum):
    """What an attempt may fail of and be followed by another."""

    ENGINE_LOST = "engine_lost"
    """Ray's head was lost, or the job's driver was killed."""
    ENGINE_ERROR = "engine_error"
    """Ray could not start it."""
    NODE_LOST = "node_lost"
    """A worker or a node was lost."""
    ENVIRONMENT_ERROR = "environment_error"
    """Its image, package or code could not be set up."""
    OUT_OF_MEMORY = "out_of_memory"
    DATA_ERROR = "data_error"
    USER_ERROR = "user_error"
    INTERNAL = "internal"
    """The job crashed, and nobody knows why."""


class Job(Spec):
    """What every kind of job has."""

    name: Name | None = None
    resources: Resources = Resources()
    seed: int = Field(default=0, ge=0, lt=2**32)
    deadline_s: int = Field(default=24 * 3600, ge=10, le=90 * 24 * 3600)
    """Seconds a job may run, over all its attempts, before it is stopped."""
    max_attempts: int = Field(default=3, ge=1, le=20)
    """How often the job is started at most. An attempt that was preempted is not counted."""
    retry_on: list[Retriable] = Field(
        default=[Retriable.ENGINE_LOST, Retriable.ENGINE_ERROR, Retriable.NODE_LOST, Retriable.ENVIRONMENT_ERROR],
        max_length=len(Retriable),
    )
    """The reasons for which a failed attempt is followed by another; of themselves, those that are the cluster's fault.
    An error of the job's own that comes a second time is not tried a third, whatever stands here."""
    pending_deadline_s: int | None = Field(default=None, ge=1, le=90 * 24 * 3600)
    """Seconds it may wait in the queue before its first start; for ever when null."""
    priority: int = Field(default=0, ge=-100, le=100)
    preemptible: bool = False
    """Whether it may be stopped at a checkpoint, and queued again, when a job of higher priority needs its room."""


class Train(Job):
    """Train one model and log it once."""

    kind: Literal["train"] = "train"
    recipe: str = Field(default="tabular", max_length=63)
    data: Data
    params: dict[str, Any] = Field(default_factory=dict, max_length=100)
    """The recipe's own parameters; their schema is in `ratchet_pipelines.catalog`."""
    model: Name | None = None
    """The registered model that the result becomes a version of. Not registered when not given."""


class Uniform(Spec):
    """A number between `low` and `high`; on a logarithmic scale when `log`."""

    kind: Literal["uniform"] = "uniform"
    low: float
    high: float
    log: bool = False

    @model_validator(mode="after")
    def _is_an_interval(self) -> Uniform:
        if self.low >= self.high:
            raise ValueError(f"low ({self.low}) must be below high ({self.high})")
        if self.log and self.low <= 0:
            raise ValueError(f"low ({self.low}) must be above 0 on a logarithmic scale")
        return self


class Choice(Spec):
    """One of the values listed."""

    kind: Literal["choice"] = "choice"
    values: list[Any] = Field(min_length=1, max_length=100)


Space = Annotated[Uniform | Choice, Field(discriminator="kind")]


class Sweep(Job):
    """Search a recipe's parameters with Ray Tune: random search, stopped early by ASHA (Li et al. 2020)."""

    kind: Literal["sweep"] = "sweep"
    recipe: str = Field(default="tabular", max_length=63)
    data: Data
    params: dict[str, Any] = Field(default_factory=dict, max_length=100)
    """The parameters that all trials share."""
    search: dict[str, Space] = Field(min_length=1, max_length=50)
    trials: int = Field(default=8, ge=1, le=10_000)
    max_concurrent: int = Field(default=2, ge=1, le=1_000)
    metric: Metric = "val/loss"
    mode: Literal["min", "max"] = "min"
    grace_period: int = Field(default=3, ge=1, le=1_000_000)
    """Epochs that every trial may run before ASHA may stop it."""
    reduction_factor: float = Field(default=3, gt=1, le=1_000)
    model: Name | None = None

    @property
    def concurrent_trials(self) -> int:
        return min(self.trials, self.max_concurrent)


class ModelVersion(Spec):
    """One version of a registered model, by its name in MLflow."""

    name: str = Field(min_length=1, max_length=255)
    version: int = Field(ge=1, lt=2**31)

    @property
    def uri(self) -> str:
        return f"models:/{self.name}/{self.version}"


class Evaluate(Job):
    """Measure model versions on the same test split of the same data.

    Logs every metric of version V as `v<V>/<metric>` in the job's run, and the split as `test/rows`, `data.hash`.
    """

    kind: Literal["evaluate"] = "evaluate"
    data: Data
    models: list[ModelVersion] = Field(min_length=1, max_length=20)


class DriftCheck(Job):
    """Compare what an endpoint was asked with what its model was trained on.

    The false-alarm rate `alpha` is of the whole check: it is shared out over the columns (Bonferroni), so that a check
    of a window without drift raises an alarm with probability at most `alpha`, however many columns there are.
    """

    kind: Literal["drift_check"] = "drift_check"
    predictions: Uri
    """The folder of the endpoint's prediction log."""
    model: ModelVersion
    """The version whose reference profile is compared with: the one that takes the traffic."""
    since: str = Field(min_length=20, max_length=40)
    """Start of the window (RFC 3339, UTC), included."""
    until: str = Field(min_length=20, max_length=40)
    """End of the window (RFC 3339, UTC), excluded."""
    max_rows: int = Field(default=5_000, ge=10, le=1_000_000)
    """The newest rows of the window are taken, at most this many."""
    min_rows: int = Field(default=100, ge=10, le=1_000_000)
    """Below this the check says `insufficient_data`, and nothing about drift."""
    alpha: float = Field(default=0.01, gt=0, lt=0.5)
    report: Uri
    """Where the HTML report is written."""


class ModelChoice(Spec):
    """A version of a model of the job's own project: by its number, or by an alias."""

    name: Name
    version: int | None = Field(default=None, ge=1, lt=2**31)
    alias: Alias | None = None
    """Looked up when the job starts: all of it is predicted with the version that the alias points to then."""

    @model_validator(mode="after")
    def _is_one_version(self) -> ModelChoice:
        if (self.version is None) == (self.alias is None):
            raise ValueError("give either a version or an alias")
        return self


class BatchPrediction(Job):
    """Predict every row of a table, chunk by chunk, on all workers together.

    Every column of the input is kept, the model's answers are put beside them. A chunk that is written is not predicted
    again when the job is started anew. Logs `batch/rows`, `batch/seconds` and `batch/rows_per_second`.
    """

    kind: Literal["batch_prediction"] = "batch_prediction"
    model: ModelChoice
    input: Uri
    """A table as in `Data.uri`. Parquet is read chunk by chunk, by the workers; anything else whole, by the driver."""
    output: Annotated[str, Field(max_length=2048, pattern=r"^(file|s3|gs|abfs)://.")] | None = None
    """The folder for the Parquet files, new or empty: `jobs/<job>/predictions` in the platform's storage by default."""
    chunk_rows: int = Field(default=10_000, ge=1, le=1_000_000)
    """Rows that are predicted at once, and the rows of an output file."""
    prefix: str = Field(default="", max_length=64)
    """Put before the names of the model's answers, for inputs that have such columns already."""


class Custom(Job):
    """Run a program of the user's own, in a process of its own, on the cluster.

    It finds `MLFLOW_RUN_ID` and `MLFLOW_TRACKING_URI` set, so that plain `mlflow.*` calls log into the job's run, and
    `RATCHET_FOLDER`: the address of a folder that all attempts share, and the jobs that retry it. One that is
    `preemptible` gets SIGINT when it is to make room, 100 s to save where it is, and is started again later. With one
    worker it holds that worker's CPUs, GPUs and memory; with more it holds none, and starts its workers with Ray.
    """

    kind: Literal["custom"] = "custom"
    code: Code
    entrypoint: list[Word] = Field(min_length=1, max_length=1000)
    """The program and its arguments, as they are: no shell is in between. `["python", "train.py", "--lr", "0.1"]`."""
    working_dir: str = Field(default="", max_length=1024, pattern=r"^[^\x00]*$")
    """Where it is started: a folder of the code, its root by default; in an image a full path."""
    env: Environment = Field(default_factory=dict)
    """Environment variables. Not for secrets: everybody who can see the job can see them."""
    model: Name | None = None
    """The registered model that the last model which it logs to its MLflow run becomes a version of."""

    @field_validator("entrypoint")
    @classmethod
    def _names_a_program(cls, entrypoint: list[str]) -> list[str]:
        if not entrypoint[0].strip():
            raise ValueError("the first word is the program, and it is empty")
        return entrypoint

    @model_validator(mode="after")
    def _starts_in_its_code(self) -> Custom:
        parts = self.working_dir.split("/")
        if isinstance(self.code, Image):
            if self.working_dir and not self.working_dir.startswith("/"):
                raise ValueError("the working_dir of an image is a full path, such as /app")
        elif self.working_dir.startswith("/") or ".." in parts:
            raise ValueError("working_dir is a folder of the code: no full path and no '..'")
        return self


JobSpec = Annotated[Train | Sweep | Evaluate | DriftCheck | BatchPrediction | Custom, Field(discriminator="kind")]


class Envelope(Spec):
    """What a job is given when it starts. Holds no secret: Ray shows environment variables to whoever has its token."""

    job: str
    attempt: int = Field(ge=1)
    project: str
    run_id: str
    """The MLflow run, opened by the platform: one over all attempts."""
    storage: Uri
    """The root of the platform's storage; the job writes under `jobs/<job>/`."""
    resume_from: list[str] = []
    """Jobs of the same spec that ended before this one and left what it goes on from, newest first."""
    spec: JobSpec


class ExitCode(IntEnum):
    """How a job ends, told by its exit status: sysexits.h where it has a word for it."""

    OK = 0
    PREEMPTED = 75
    """It stopped at a checkpoint because it was asked to: it goes on from there in its next attempt."""
    USER_ERROR = 64
    """The spec or the user's code is wrong: trying again gives the same."""
    DATA_ERROR = 65
    """The data can't be read, or is not what the spec says."""
    NODE_LOST = 69
    """Ray lost a worker or a node of it: training goes on from its last checkpoint in the next attempt."""
    INTERNAL = 70
    OUT_OF_MEMORY = 71
    ENVIRONMENT_ERROR = 78
    """A package, a program or its code is missing where it runs."""


class RunTag(StrEnum):
    """The tags by which a job tells its result in its MLflow run."""

    JOB = "ratchet.job"
    PROJECT = "ratchet.project"
    MODEL_URI = "ratchet.model_uri"
    """Set on success by train and sweep: what to register, `models:/m-…`."""
    MESSAGE = "ratchet.message"
    """Set on failure: what was wrong and what to do, in one or two sentences."""
    DATA_HASH = "ratchet.data_hash"
    PRIMARY_METRIC = "ratchet.primary_metric"
    """The name of the metric by which two versions are compared, such as `test/accuracy`."""
    GREATER_IS_BETTER = "ratchet.greater_is_better"
    """`true` or `false`."""
    BEST_TRIAL = "ratchet.best_trial"
    """Set by a sweep: the MLflow run id of the best trial."""
    DRIFT = "ratchet.drift"
    """Set by a drift check: its verdict (`drift`, `no_drift`, `insufficient_data`)."""
    PREDICTED_BY = "ratchet.predicted_by"
    """Set by a batch prediction at its start: the version that it uses, `models:/<name>/<version>`."""
    OUTPUT = "ratchet.output"
    """Set by a batch prediction on success: the folder of its results."""


class Variant(Spec):
    """One model version behind an endpoint, and its share of the traffic."""

    name: Name
    model: ModelVersion
    weight: float = Field(ge=0, le=1)


class ServingConfig(Spec):
    """The `user_config` of an endpoint's replicas: everything that may change without a restart."""

    endpoint: Name
    project: Name
    salt: str
    """Mixed into the hash of a caller's key: a new salt deals all keys anew."""
    variants: list[Variant] = Field(max_length=20)
    token_hashes: list[str] = Field(default_factory=list, max_length=10_000)
    """SHA-256 (hex) of the tokens that may ask for predictions."""
    generation: int = Field(ge=0)
    """The endpoint's desired state that this is; replicas report it back."""

    @field_validator("variants")
    @classmethod
    def _weights_sum_to_one(cls, variants: list[Variant]) -> list[Variant]:
        if variants and abs(sum(variant.weight for variant in variants) - 1) > 1e-6:
            raise ValueError(f"the weights sum to {sum(variant.weight for variant in variants):g}, not 1")
        if len({variant.name for variant in variants}) < len(variants):
            raise ValueError("two variants have the same name")
        return variants
