"""The rules of a gate, as a pure function of what was measured."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from ratchet.models.schemas import GREATER_IS_BETTER, Gate, Rule

SLACK = 1e-9
"""Relative: 0.95 - 0.94 is a little more than 0.01 in floating point."""


class NotMeasuredError(Exception):
    """The gate can't be evaluated: its metric is missing, or not a finite number."""


@dataclass(frozen=True)
class Verdict:
    passed: bool
    rules: list[Rule]
    candidate: dict[str, float]
    champion: dict[str, float] | None
    rows: int | None
    """Rows of the test split."""

    @property
    def message(self) -> str:
        return " ".join(rule.detail for rule in self.rules if rule.passed == self.passed)


def judge(gate: Gate, alias: str, version: int, holder: int | None, metrics: Mapping[str, float]) -> Verdict:
    """`metrics` are those of the evaluate job's run; `holder` is the version that has the alias, if any has."""
    rows = int(metrics["test/rows"]) if "test/rows" in metrics else None
    candidate = measured(metrics, version)
    compared = holder if holder != version else None
    champion = measured(metrics, compared) if compared is not None else None
    value = _value(candidate, gate.metric, version)
    of = f"{gate.metric} of v{version} is {value:.6g}{_on(rows)}"
    rules = []
    if gate.minimum is not None:
        passed = value >= gate.minimum - _slack(gate.minimum)
        detail = f"{of}: {'at least' if passed else 'below'} the {gate.minimum:g} that is asked for."
        rules.append(Rule(rule="minimum", passed=passed, detail=detail))
    if gate.maximum is not None:
        passed = value <= gate.maximum + _slack(gate.maximum)
        detail = f"{of}: {'at most' if passed else 'above'} the {gate.maximum:g} that is allowed."
        rules.append(Rule(rule="maximum", passed=passed, detail=detail))
    if champion is None or compared is None:
        detail = f"No other version is {alias}: {of}, and there is nothing to compare it with."
        rules.append(Rule(rule="max_regression", passed=True, detail=detail))
    else:
        rules.append(_regression(gate, alias, of, value, compared, _value(champion, gate.metric, compared)))
    return Verdict(all(rule.passed for rule in rules), rules, candidate, champion, rows)


def measured(metrics: Mapping[str, float], version: int) -> dict[str, float]:
    """What was measured of one version, by metric."""
    prefix = f"v{version}/"
    return {name.removeprefix(prefix): value for name, value in metrics.items() if name.startswith(prefix)}


def _regression(gate: Gate, alias: str, of: str, value: float, holder: int, before: float) -> Rule:
    worse = before - value if GREATER_IS_BETTER[gate.metric] else value - before
    passed = worse <= gate.max_regression + _slack(max(abs(value), abs(before)))
    change = "the same" if worse == 0 else f"{abs(worse):.6g} {'worse' if worse > 0 else 'better'}"
    allowed = f"at most {gate.max_regression:g} worse is allowed" if gate.max_regression else "no worse is allowed"
    detail = f"{of}, of the {alias} v{holder} {before:.6g} on the same rows: {change}; {allowed}."
    return Rule(rule="max_regression", passed=passed, detail=detail)


def _value(metrics: Mapping[str, float], metric: str, version: int) -> float:
    if metric not in metrics:
        names = ", ".join(sorted(metrics)) or "nothing"
        raise NotMeasuredError(f"{metric} of v{version} was not measured on this data. Measured: {names}.")
    if not math.isfinite(metrics[metric]):
        raise NotMeasuredError(f"{metric} of v{version} is {metrics[metric]}: not a number that can be compared.")
    return metrics[metric]


def _slack(size: float) -> float:
    return SLACK * max(1.0, abs(size))


def _on(rows: int | None) -> str:
    return "" if rows is None else f" on {rows:,} rows of the test split"
