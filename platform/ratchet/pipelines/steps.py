"""The steps of a pipeline run: how each begins, and how one sees that it is done.

A step does what a person would do, through the same services, as actor `system`. None calls anything outside the
database; the reconcilers of jobs, promotions, endpoints and A/B tests do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy.orm import Session

from ratchet import events
from ratchet.abtests import service as abtests
from ratchet.abtests.schemas import NewABTest
from ratchet.abtests.status import ABTestStatus
from ratchet.endpoints import service as endpoints
from ratchet.endpoints.schemas import NewVariant
from ratchet.endpoints.tables import Endpoint
from ratchet.errors import Conflict
from ratchet.jobs import service as jobs
from ratchet.jobs.status import JobStatus
from ratchet.models import service as models
from ratchet.models.schemas import CHAMPION
from ratchet.models.status import Status as PromotionStatus
from ratchet.models.tables import Promotion
from ratchet.pipelines import service
from ratchet.pipelines.schemas import PipelineSpec
from ratchet.pipelines.status import StepName, StepStatus
from ratchet.pipelines.tables import PipelineRun, PipelineStep

CHALLENGER = "challenger"


@dataclass(frozen=True)
class Outlook:
    """How a running step stands. `reason` is the run's when it failed."""

    status: StepStatus
    message: str | None = ""
    reason: str | None = ""


@dataclass
class Context:
    session: Session
    run: PipelineRun
    spec: PipelineSpec
    steps: dict[StepName, PipelineStep]

    @classmethod
    def of(cls, session: Session, run: PipelineRun) -> Context:
        by_name = {StepName(step.name): step for step in service.steps(session, run)}
        return cls(session, run, PipelineSpec(**run.spec), by_name)

    @property
    def version(self) -> int:
        """Of the model that this run trained."""
        version: int = self.steps[StepName.TRAIN].result["version"]
        return version

    @property
    def challenger(self) -> str:
        return f"v{self.version}"

    def endpoint(self) -> Endpoint:
        return endpoints.get(self.session, self.run.project, self.spec.endpoint)

    def promotion(self, step: StepName) -> Promotion:
        return models.get_promotion(self.session, self.run.project, self.spec.model, self.steps[step].ref_id)

    def give_all_traffic(self, variant: str, why: str) -> None:
        endpoints.set_weights(self.session, self.endpoint(), {variant: 1.0}, events.SYSTEM, why)

    def refer(self, step: StepName, kind: str, ref_id: str) -> None:
        self.steps[step].ref_kind, self.steps[step].ref_id = kind, ref_id


RUNNING = Outlook(StepStatus.RUNNING)


def begin_train(context: Context) -> None:
    job = jobs.submit(context.session, project=context.run.project, spec=context.spec.train, actor=events.SYSTEM)
    context.refer(StepName.TRAIN, "job", job.id)


def watch_train(context: Context) -> Outlook:
    step = context.steps[StepName.TRAIN]
    job = jobs.get(context.session, context.run.project, step.ref_id)
    if job.status in {JobStatus.FAILED, JobStatus.CANCELLED}:
        return Outlook(StepStatus.FAILED, job.message, job.reason)
    if job.status != JobStatus.SUCCEEDED:
        return RUNNING
    step.result = {"version": job.model_version}
    return Outlook(StepStatus.SUCCEEDED, f"Trained version {job.model_version} of {context.spec.model}.")


def begin_gate(context: Context) -> None:
    promotion = models.request_promotion(
        context.session,
        project=context.run.project,
        model=context.spec.model,
        version=context.version,
        alias=CHAMPION,
        gate=context.spec.gate,
        actor=events.SYSTEM,
        move=False,
    )
    context.refer(StepName.GATE, "promotion", promotion.id)


def watch_gate(context: Context) -> Outlook:
    promotion = context.promotion(StepName.GATE)
    if promotion.status == PromotionStatus.PASSED:
        return Outlook(StepStatus.SUCCEEDED, promotion.message)
    if promotion.status in {PromotionStatus.REFUSED, PromotionStatus.FAILED}:
        return Outlook(StepStatus.FAILED, promotion.message, f"gate_{promotion.status}")
    return RUNNING


def begin_register(context: Context) -> None:
    move = models.set_alias(
        context.session, context.run.project, context.spec.model, CHALLENGER, context.version, events.SYSTEM
    )
    context.refer(StepName.REGISTER, "promotion", move.id)


def watch_register(context: Context) -> Outlook:
    move = context.promotion(StepName.REGISTER)
    if move.status == PromotionStatus.PASSED and move.moved_at is not None:
        return Outlook(StepStatus.SUCCEEDED, f"Version {context.version} is {CHALLENGER}.")
    if move.status in {PromotionStatus.REFUSED, PromotionStatus.FAILED}:
        return Outlook(StepStatus.FAILED, move.message, "register_failed")
    return RUNNING


def begin_deploy(context: Context) -> None:
    """Beside the variant that has most of the traffic; variants without any go."""
    endpoint = context.endpoint()
    current = max(endpoint.variants, key=lambda variant: variant.weight)
    if current.version is None:
        raise Conflict(f"Variant {current.name!r} of endpoint {endpoint.name!r} serves no version to compare with yet.")
    weight = context.spec.challenger_weight
    variants = [
        NewVariant(name=current.name, model=current.model, version=current.version, weight=1 - weight),
        NewVariant(name=context.challenger, model=context.spec.model, version=context.version, weight=weight),
    ]
    endpoints.replace_variants(
        context.session, endpoint, variants, actor=events.SYSTEM, why=f"pipeline run {context.run.id}"
    )
    step = context.steps[StepName.DEPLOY]
    step.result = {"generation": endpoint.generation, "control": current.name, "challenger": context.challenger}
    context.refer(StepName.DEPLOY, "endpoint", endpoint.name)


def watch_deploy(context: Context) -> Outlook:
    endpoint = context.endpoint()
    step = context.steps[StepName.DEPLOY]
    if (message := _why_not_served(context, endpoint)) is not None:
        return Outlook(StepStatus.FAILED, f"The challenger could not be served: {message}", "deploy_failed")
    if endpoint.status == "ready" and endpoint.observed_generation >= step.result["generation"]:
        return Outlook(StepStatus.SUCCEEDED, f"{context.challenger} serves {context.spec.challenger_weight:.0%}.")
    return RUNNING


def _why_not_served(context: Context, endpoint: Endpoint) -> str | None:
    """What keeps the challenger from being served, for good; None while it may still come."""
    failed = next(
        (each for each in endpoint.variants if each.name == context.challenger and each.state == "failed"), None
    )
    if failed is not None:
        return failed.message or "no reason given"
    return endpoint.message or "no reason given" if endpoint.status == "failed" else None


def begin_abtest(context: Context) -> None:
    new = NewABTest(
        **context.spec.abtest.model_dump(exclude={"on_win"}),
        on_win="none",  # what follows from the verdict is the next step's, or this one's when it is not a promotion
        name=context.run.id,
        endpoint=context.spec.endpoint,
        control=context.steps[StepName.DEPLOY].result["control"],
        treatment=context.challenger,
    )
    test = abtests.create(context.session, project=context.run.project, new=new, actor=events.SYSTEM)
    context.refer(StepName.ABTEST, "abtest", test.id)


def watch_abtest(context: Context) -> Outlook:
    test = abtests.get(context.session, context.run.project, context.steps[StepName.ABTEST].ref_id)
    if test.status == ABTestStatus.RUNNING:
        return Outlook(StepStatus.RUNNING, test.message)
    if test.decision == "promote":
        return Outlook(StepStatus.SUCCEEDED, test.message)
    return Outlook(StepStatus.FAILED, test.message, f"abtest_{test.reason}")


def begin_promote(context: Context) -> None:
    promotion = context.promotion(StepName.GATE)
    evidence = {"abtest": context.steps[StepName.ABTEST].ref_id, "pipeline_run": context.run.id}
    models.promote_passed(context.session, promotion, actor=events.SYSTEM, evidence=evidence)
    context.refer(StepName.PROMOTE, "promotion", promotion.id)
    context.give_all_traffic(context.challenger, f"pipeline run {context.run.id}")


def watch_promote(context: Context) -> Outlook:
    promotion = context.promotion(StepName.PROMOTE)
    endpoint = context.endpoint()
    if promotion.status == PromotionStatus.FAILED:
        return Outlook(StepStatus.FAILED, promotion.message, "promote_failed")
    if promotion.moved_at is None:
        return RUNNING
    if (message := _why_not_served(context, endpoint)) is not None:
        message = f"Version {context.version} is {CHAMPION}, and {endpoint.name} can serve it no more: {message}"
        return Outlook(StepStatus.FAILED, message, "deploy_failed")
    if endpoint.observed_generation >= endpoint.generation:
        message = f"Version {context.version} is {CHAMPION} and has all the traffic of {endpoint.name}."
        return Outlook(StepStatus.SUCCEEDED, message)
    return RUNNING


Begin = Callable[[Context], None]
Watch = Callable[[Context], Outlook]

STEPS: dict[StepName, tuple[Begin, Watch]] = {
    StepName.TRAIN: (begin_train, watch_train),
    StepName.GATE: (begin_gate, watch_gate),
    StepName.REGISTER: (begin_register, watch_register),
    StepName.DEPLOY: (begin_deploy, watch_deploy),
    StepName.ABTEST: (begin_abtest, watch_abtest),
    StepName.PROMOTE: (begin_promote, watch_promote),
}
