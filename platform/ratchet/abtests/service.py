from __future__ import annotations

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from ratchet import events
from ratchet.abtests.schemas import (
    ABTestView,
    ArmCounts,
    Estimate,
    Look,
    Metric,
    NewABTest,
    SampleRatioView,
)
from ratchet.abtests.status import MOVES, ABTestStatus, Reason
from ratchet.abtests.tables import ABTest, ABTestLook
from ratchet.db import new_id, now
from ratchet.endpoints import service as endpoints
from ratchet.endpoints.tables import Endpoint, Variant
from ratchet.errors import Conflict, FieldError, Invalid, NotFound

MAX_LOOKS = 500


def create(session: Session, *, project: str, new: NewABTest, actor: str) -> ABTest:
    """Begin a test: from here on every new key is dealt anew, so that what was before can't lean on the result."""
    if session.scalar(select(ABTest.id).where(ABTest.project == project, ABTest.name == new.name)) is not None:
        raise Conflict(f"There is an A/B test {new.name!r} already.", hint="Give it another name.")
    endpoint = endpoints.get(session, project, new.endpoint)
    running = select(ABTest.name).where(ABTest.endpoint_id == endpoint.id, ABTest.status == ABTestStatus.RUNNING)
    if (other := session.scalar(running)) is not None:
        raise Conflict(
            f"The A/B test {other!r} runs on endpoint {new.endpoint!r}.", hint="Stop it first, or wait for its verdict."
        )
    arms = {role: _arm(endpoint, name, role) for role, name in _roles(new)}
    endpoints.deal_anew(session, endpoint, actor, why=f"A/B test {new.name}")
    test = ABTest(
        id=new_id("abt"),
        project=project,
        name=new.name,
        endpoint_id=endpoint.id,
        endpoint=new.endpoint,
        control=new.control,
        treatment=new.treatment,
        arms=arms,
        generation=endpoint.generation,
        metric=new.metric.model_dump(),
        alpha=new.alpha,
        min_effect=new.min_effect,
        min_units=new.min_units,
        max_units=new.max_units,
        on_win=new.on_win,
        status=ABTestStatus.RUNNING,
        decision="go_on",
        reason="min_units",
        message="No outcome was seen yet.",
        created_by=actor,
    )
    session.add(test)
    session.flush()
    _emit(session, test, actor, "abtest.started", None)
    return test


def get(session: Session, project: str, name_or_id: str) -> ABTest:
    query = select(ABTest).where(ABTest.project == project, (ABTest.id == name_or_id) | (ABTest.name == name_or_id))
    test = session.scalar(query)
    if test is None:
        raise NotFound(f"There is no A/B test {name_or_id!r} in project {project!r}.")
    return test


def stop(session: Session, test: ABTest, *, actor: str) -> None:
    if test.status != ABTestStatus.RUNNING:
        raise Conflict(f"The A/B test {test.name!r} is {test.status} already.")
    message = f"Stopped by {actor}; the traffic stays as it is."
    end(session, test, ABTestStatus.STOPPED, "go_on", Reason.STOPPED_BY_USER, message, actor)


def end(
    session: Session, test: ABTest, status: ABTestStatus, decision: str, reason: str, message: str, actor: str
) -> None:
    """The one door out of `running`."""
    before = ABTestStatus(test.status)
    if status not in MOVES[before]:
        raise Conflict(f"An A/B test can't go from {before} to {status}.")
    test.status, test.decision, test.reason, test.message = status, decision, reason, message
    test.decided_at = now(session)
    test.due_at = None
    _emit(session, test, actor, f"abtest.{status}", {"status": before.value})


def view(session: Session, test: ABTest, *, looks: bool = True) -> ABTestView:
    rows: list[ABTestLook] = []
    if looks:
        query = select(ABTestLook).where(ABTestLook.abtest_id == test.id).order_by(ABTestLook.id.desc())
        rows = list(reversed(session.scalars(query.limit(MAX_LOOKS)).all()))
    return ABTestView(
        **{
            field: getattr(test, field)
            for field in ABTestView.model_fields
            if field not in {"metric", "estimate", "srm", "looks"}
        },
        metric=Metric(**test.metric),
        estimate=None if test.estimate is None else Estimate(**test.estimate),
        srm=None if test.srm is None else SampleRatioView(**test.srm),
        looks=[
            Look(
                at=row.at,
                units=ArmCounts(control=row.units_control, treatment=row.units_treatment),
                difference=row.difference,
                lower=row.lower,
                upper=row.upper,
                srm_p=row.srm_p_value,
                decision=row.decision,
            )
            for row in rows
        ],
    )


def arms_now(endpoint: Endpoint, test: ABTest) -> dict[str, Any]:
    """What the test compares, as the endpoint is now; without the arms that are gone."""
    by_name = {variant.name: variant for variant in endpoint.variants}
    found = {"control": by_name.get(test.control), "treatment": by_name.get(test.treatment)}
    return {role: _describe(variant) for role, variant in found.items() if variant is not None}


def _roles(new: NewABTest) -> list[tuple[str, str]]:
    return [("control", new.control), ("treatment", new.treatment)]


def _arm(endpoint: Endpoint, name: str, role: str) -> dict[str, Any]:
    variants = endpoint.variants
    chosen = next((variant for variant in variants if variant.name == name), None)
    names = ", ".join(variant.name for variant in variants)
    if chosen is None:
        error = FieldError(
            pointer=f"/{role}", message=f"Endpoint {endpoint.name!r} has the variants: {names}.", value=name
        )
        raise Invalid(f"Endpoint {endpoint.name!r} has no variant {name!r}.", errors=[error])
    if chosen.weight <= 0:
        error = FieldError(pointer=f"/{role}", message="It has no traffic: its weight is 0.", value=name)
        raise Invalid(f"Variant {name!r} has no traffic to judge by.", errors=[error], hint="Give it a weight first.")
    return _describe(chosen)


def _describe(variant: Variant) -> dict[str, Any]:
    return {"model": variant.model, "version": variant.version, "weight": variant.weight}


def _emit(session: Session, test: ABTest, actor: str, action: str, before: dict[str, Any] | None) -> None:
    after = {"status": str(test.status), "decision": test.decision, "reason": test.reason}
    events.emit(
        session,
        project=test.project,
        actor=actor,
        action=action,
        target=("abtest", test.id),
        before=before,
        after=after,
        message=test.message,
    )
