"""Looks at a running test: reads what came in, judges, and acts on the verdict."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from ratchet import events
from ratchet.abtests import service
from ratchet.abtests.compare import Comparison, Outcome, Prediction, compare
from ratchet.abtests.schemas import Metric
from ratchet.abtests.status import ABTestStatus, Reason
from ratchet.abtests.tables import ABTest, ABTestLook
from ratchet.db import now
from ratchet.endpoints import predictions
from ratchet.endpoints import service as endpoints
from ratchet.endpoints.tables import Endpoint
from ratchet.endpoints.tables import Outcome as OutcomeRow
from ratchet.models import service as models
from ratchet.models.schemas import CHAMPION
from ratchet.reconciler.loop import Reconciler
from ratchet.settings import Settings
from ratchet.stats.decide import Decision, Verdict, decide
from ratchet.stats.sequential import Interval, difference
from ratchet.stats.srm import SampleRatio, sample_ratio

LOOK_EVERY = timedelta(seconds=1)
COLUMNS = ["request_id", "row", "key", "variant", "prediction", "generation", "timestamp"]
# The replica's clock may differ from the database's: the generation, not the time, says what belongs to the test.
CLOCK_SKEW = timedelta(minutes=5)
MAX_ROWS = 100_000_000
"""As many as a test may have units (`max_units`)."""


@dataclass(frozen=True)
class Seen:
    project: str
    endpoint: str
    control: str
    treatment: str
    metric: Metric
    generation: int
    since: datetime
    until: datetime
    outcomes: dict[tuple[str, int], Outcome]
    arms_changed: bool


class ABTestReconciler(Reconciler[ABTest, Seen, Comparison | None]):
    table = ABTest

    def __init__(self, settings: Settings) -> None:
        self.storage = settings.storage

    def load(self, session: Session, row: ABTest) -> Seen | None:
        if row.status != ABTestStatus.RUNNING:
            return None
        query = select(OutcomeRow).where(OutcomeRow.endpoint_id == row.endpoint_id, OutcomeRow.at >= row.created_at)
        return Seen(
            project=row.project,
            endpoint=row.endpoint,
            control=row.control,
            treatment=row.treatment,
            metric=Metric(**row.metric),
            generation=row.generation,
            since=row.created_at - CLOCK_SKEW,
            until=now(session) + CLOCK_SKEW,
            outcomes={(each.request_id, each.row): (each.text, each.number) for each in session.scalars(query)},
            arms_changed=_arms_changed(session, row),
        )

    def act(self, seen: Seen) -> Comparison | None:
        """Everything is computed anew from what is there, so that no row is ever counted twice or left out."""
        if seen.arms_changed or not seen.outcomes:
            return None
        try:
            table = predictions.read(
                self.storage, seen.project, seen.endpoint, seen.since, seen.until, COLUMNS, limit=MAX_ROWS
            )
        except OSError:  # the storage does not answer: nothing is known at this look
            return None
        return compare(_rows(table, seen.generation), seen.outcomes, (seen.control, seen.treatment), seen.metric.kind)

    def record(self, session: Session, row: ABTest, seen: Seen, found: Comparison | None) -> timedelta | None:
        if row.status != ABTestStatus.RUNNING:
            return None
        if seen.arms_changed or _arms_changed(session, row):  # also while the log was read
            message = (
                "The weights or versions of the variants were changed while the test ran: it compares nothing now."
            )
            service.end(session, row, ABTestStatus.STOPPED, "go_on", Reason.ENDPOINT_CHANGED, message, events.SYSTEM)
            return None
        if found is None or not self._is_news(row, found):
            return LOOK_EVERY
        interval, ratio, decision = judge(row, found)
        _write_look(session, row, found, interval, ratio, decision)
        if not decision.final:
            row.decision, row.reason, row.message = decision.verdict.value, decision.reason, decision.message
            return LOOK_EVERY
        service.end(
            session,
            row,
            ABTestStatus.DECIDED,
            decision.verdict.value,
            decision.reason,
            decision.message,
            events.SYSTEM,
        )
        enforce(session, row, decision)
        return None

    @staticmethod
    def _is_news(row: ABTest, found: Comparison) -> bool:
        before = (row.srm or {}).get("observed"), (row.estimate or {}).get("units")
        exposed, counted = _by_role(row, found.exposed), _by_role(row, {arm: m.n for arm, m in found.moments.items()})
        return any(counted.values()) and before != (exposed, counted)


def _arms_changed(session: Session, test: ABTest) -> bool:
    endpoint = session.get(Endpoint, test.endpoint_id)
    return endpoint is None or endpoint.deleted_at is not None or service.arms_now(endpoint, test) != test.arms


def judge(test: ABTest, found: Comparison) -> tuple[Interval | None, SampleRatio, Decision]:
    control, treatment = found.moments[test.control], found.moments[test.treatment]
    metric = Metric(**test.metric)
    bounds = (0.0, 1.0) if metric.kind == "accuracy" else None
    interval = difference(control, treatment, alpha=test.alpha, horizon=test.max_units, bounds=bounds)
    weights = {test.control: test.arms["control"]["weight"], test.treatment: test.arms["treatment"]["weight"]}
    ratio = sample_ratio(found.exposed, weights, least_so_far=(test.srm or {}).get("p_value", 1.0))
    decision = decide(
        interval,
        units=(control.n, treatment.n),
        min_units=test.min_units,
        max_units=test.max_units,
        min_effect=test.min_effect,
        greater_is_better=metric.greater,
        srm=ratio,
        metric=metric.kind,
        unit="callers with an outcome",
    )
    return interval, ratio, decision


def enforce(session: Session, test: ABTest, decision: Decision) -> None:
    """Give the traffic to the winner. Whatever is not a proven improvement leaves control where it was."""
    if test.on_win == "none":
        return
    endpoint = session.get(Endpoint, test.endpoint_id)
    if endpoint is None:
        return
    winner = test.treatment if decision.verdict is Verdict.PROMOTE else test.control
    why = f"A/B test {test.name}: {decision.verdict}"
    endpoints.set_weights(session, endpoint, {winner: 1.0}, events.SYSTEM, why)
    if decision.verdict is Verdict.PROMOTE:
        _move_champion(session, test, decision)


def _move_champion(session: Session, test: ABTest, decision: Decision) -> None:
    """The verdict gives the traffic; the alias moves when the version has passed its gate as well."""
    arm = test.arms["treatment"]
    passed = models.passed(session, test.project, arm["model"], arm["version"], CHAMPION)
    if passed is None:
        test.message += f" The alias {CHAMPION!r} stays: version {arm['version']} has passed no gate yet."
        return
    evidence = {"abtest": test.id, "estimate": test.estimate, "verdict": decision.message}
    models.promote_passed(session, passed, events.SYSTEM, evidence)


def _write_look(
    session: Session,
    test: ABTest,
    found: Comparison,
    interval: Interval | None,
    ratio: SampleRatio,
    decision: Decision,
) -> None:
    counts = _by_role(test, {arm: moments.n for arm, moments in found.moments.items()})
    if interval is not None:
        test.estimate = {
            "difference": interval.estimate,
            "lower": interval.lower,
            "upper": interval.upper,
            "alpha": interval.alpha,
            "units": counts,
            "means": _by_role(test, {arm: moments.mean for arm, moments in found.moments.items()}),
        }
    test.srm = {
        "p_value": ratio.p_value,
        "expected": _by_role(test, ratio.expected),
        "observed": _by_role(test, ratio.observed),
        "alarm": ratio.alarm,
    }
    session.add(
        ABTestLook(
            abtest_id=test.id,
            units_control=counts["control"],
            units_treatment=counts["treatment"],
            difference=interval and interval.estimate,
            lower=interval and interval.lower,
            upper=interval and interval.upper,
            srm_p_value=ratio.p_value,
            decision=decision.verdict.value,
        )
    )


def _by_role(test: ABTest, by_variant: dict[str, Any]) -> dict[str, Any]:
    return {"control": by_variant[test.control], "treatment": by_variant[test.treatment]}


def _rows(table: Any, generation: int) -> Iterator[Prediction]:
    """The log's rows of this test, in the order of time."""
    columns = table.to_pydict()
    rows = zip(*(columns[name] for name in COLUMNS[:6]), strict=True)
    for request_id, row, key, variant, prediction, of_generation in rows:
        if of_generation >= generation:
            yield Prediction(request_id, row, key, variant, prediction)
