"""From logged predictions and outcomes to what the two arms have shown so far.

The unit is the caller's key: keys are what chance deals to the arms. Each counts once, with the first of its
predictions that has an outcome, so that a caller who comes often weighs no more than one who comes once, and the
units are independent of each other, as the interval supposes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ratchet.abtests.schemas import MetricKind
from ratchet.stats.sequential import Moments

Outcome = tuple[str | None, float | None]
"""As text, or as a number."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """One row of the prediction log."""

    request_id: str
    row: int
    key: str
    variant: str
    prediction: str


@dataclass(frozen=True)
class Comparison:
    """`exposed` counts the keys that each arm was dealt; `moments` are of those that have an outcome."""

    exposed: dict[str, int]
    moments: dict[str, Moments]


def compare(
    predictions: Iterable[Prediction],
    outcomes: Mapping[tuple[str, int], Outcome],
    arms: tuple[str, str],
    metric: MetricKind,
) -> Comparison:
    """`predictions` in the order of time. Those of other variants are left out."""
    exposed: dict[str, set[str]] = {arm: set() for arm in arms}
    counted: set[str] = set()
    values: dict[str, list[float]] = {arm: [] for arm in arms}
    for seen in predictions:
        if seen.variant not in exposed:
            continue
        exposed[seen.variant].add(seen.key)
        outcome = outcomes.get((seen.request_id, seen.row))
        if outcome is None or seen.key in counted:
            continue
        value = score(metric, seen.prediction, outcome)
        if value is not None:
            counted.add(seen.key)
            values[seen.variant].append(value)
    return Comparison({arm: len(keys) for arm, keys in exposed.items()}, {arm: Moments.of(values[arm]) for arm in arms})


def score(metric: MetricKind, prediction: str, outcome: Outcome) -> float | None:
    """What one unit contributes; None when the metric needs a number and there is none."""
    text, number = outcome
    if metric == "mean_outcome":
        return number
    predicted = _number(prediction)
    if metric == "accuracy":
        same = prediction == text or (predicted is not None and predicted == number)
        return float(same)
    if predicted is None or number is None:
        return None
    error = abs(predicted - number)
    return error if metric == "absolute_error" else error * error


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
