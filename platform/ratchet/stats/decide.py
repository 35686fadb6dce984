"""What an A/B test concludes from an interval: promote, roll back, go on, or give up."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ratchet.stats.sequential import Interval
from ratchet.stats.srm import SampleRatio


class Verdict(StrEnum):
    PROMOTE = "promote"
    ROLL_BACK = "roll_back"
    GO_ON = "go_on"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True)
class Decision:
    """A verdict, why (`reason`, a word for programs), and the same in plain words with its numbers (`message`)."""

    verdict: Verdict
    reason: str
    message: str

    @property
    def final(self) -> bool:
        """Whether the test is over."""
        return self.verdict is not Verdict.GO_ON


def decide(
    interval: Interval | None,
    *,
    units: tuple[int, int],
    min_units: int,
    max_units: int,
    min_effect: float = 0.0,
    greater_is_better: bool = True,
    srm: SampleRatio | None = None,
    metric: str = "the metric",
    unit: str = "outcomes",
) -> Decision:
    """Judge the treatment by the interval for its difference from the control (`stats.sequential.difference`).

    `units` are the outcomes seen of (control, treatment). Nothing is concluded from fewer than `min_units` in either
    arm: the interval is not to be relied on before the central limit theorem is. At `max_units` in both arms
    together, the horizon, the test ends.

    `min_effect` is the improvement, in units of the metric and in the direction that is better, above which the
    treatment is worth it. Below 0 it is how much worse one accepts (a test of non-inferiority).

    Promote when the whole interval is above `min_effect`, roll back when it is wholly below. Never either when the
    traffic did not split as it should.
    """
    seen = f"{units[0]:,} {unit} of control, {units[1]:,} of treatment"
    if srm is not None and srm.alarm:
        return Decision(Verdict.INCONCLUSIVE, "sample_ratio_mismatch", _mismatch(srm, seen))
    if interval is None or min(units) < min_units:
        if sum(units) >= max_units:
            return Decision(Verdict.INCONCLUSIVE, "max_units", _one_sided(seen, min_units, max_units))
        return Decision(
            Verdict.GO_ON, "min_units", f"Too early to judge: {seen}; at least {min_units:,} of each are needed."
        )
    gain = interval if greater_is_better else -interval
    what = f"{metric}: {_words(interval, greater_is_better)} after {seen}"
    if gain.lower > min_effect:
        return Decision(Verdict.PROMOTE, "better", f"Treatment is better than control by {what}.{_above(min_effect)}")
    if gain.upper < min(0.0, min_effect):
        return Decision(Verdict.ROLL_BACK, "worse", f"Treatment is worse than control by {what}.{_above(min_effect)}")
    if gain.upper < min_effect:
        message = f"Treatment does not improve by the {min_effect:g} asked for, by {what}."
        return Decision(Verdict.ROLL_BACK, "below_min_effect", message)
    if sum(units) >= max_units:
        message = f"No difference could be shown by {what}. The test ends at {max_units:,} {unit}; control stays."
        return Decision(Verdict.INCONCLUSIVE, "max_units", message)
    return Decision(Verdict.GO_ON, "undecided", f"Not decided yet by {what}.")


def _words(interval: Interval, greater_is_better: bool) -> str:
    certainty = f"{100 * (1 - interval.alpha):g} % interval {interval.lower:+.4f} to {interval.upper:+.4f}"
    better = "greater" if greater_is_better else "smaller"
    return f"difference {interval.estimate:+.4f} ({certainty}, valid at every look; {better} is better)"


def _above(min_effect: float) -> str:
    return f" An improvement above {min_effect:+g} was asked for." if min_effect else ""


def _one_sided(seen: str, min_units: int, max_units: int) -> str:
    return (
        f"The test ends at {max_units:,} in all with too few in one arm to judge: {seen}; "
        f"at least {min_units:,} of each are needed. Control stays."
    )


def _mismatch(srm: SampleRatio, seen: str) -> str:
    total = sum(srm.observed.values())
    arms = ", ".join(
        f"{arm} {count / total:.1%} instead of {srm.expected[arm]:.1%}" for arm, count in srm.observed.items()
    )
    return (
        f"The traffic does not split as it should ({arms}; p = {srm.p_value:.2g}), so the arms can't be compared. "
        f"Look for requests that fail or are repeated in one arm. Seen: {seen}. Control stays."
    )
