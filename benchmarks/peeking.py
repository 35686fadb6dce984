"""How often an A/B test that is watched while it runs is wrong, and how often it finds what is there.

    python -m benchmarks.peeking [--runs 10000]

The set-up is that of N. Podlozhniy's comparison (seqabpy; the same as Spotify's of 2023): a look after every unit,
one-sided at 5 %, so our two-sided interval is taken at 10 % and only its upper side counted. N(1, 1) has 500 units in
each arm and a true difference of 0.1; Bernoulli(0.1) has 4,500 and a true difference of 0.02. "Oversampled" goes on to
five times the plan. GAVI, the interval of Eppo and others, is the normal mixture tuned to the horizon.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ratchet.stats.proportions import wilson
from ratchet.stats.sequential import mixture_multiplier, multiplier
from ratchet.stats.srm import ALARM_BELOW, sample_ratio

Array = NDArray[np.float64]
Multiplier = Callable[[float], float]
"""Standard errors to each side, by the fraction of the plan that is done."""

BATCH = 200
NAIVE_Z = 1.6448536269514722


@dataclass(frozen=True)
class Scenario:
    """Two streams, each a function of a generator and a shape (runs, units) that gives outcomes."""

    name: str
    control: Callable[[np.random.Generator, tuple[int, int]], Array]
    treatment: Callable[[np.random.Generator, tuple[int, int]], Array]
    planned: int
    """Units planned in the treatment's arm."""
    bounds: tuple[float, float] | None = None
    oversampled: int = 1
    """How many times the plan is sampled."""
    ratio: int = 1
    """Units of control to one of treatment."""
    burn_in: int = 30
    """The first look, in units of the treatment's arm."""
    null: bool = True


def normal(mean: float) -> Callable[[np.random.Generator, tuple[int, int]], Array]:
    return lambda rng, shape: rng.normal(mean, 1, shape)


def bernoulli(p: float) -> Callable[[np.random.Generator, tuple[int, int]], Array]:
    return lambda rng, shape: (rng.random(shape) < p).astype(float)


SCENARIOS = [
    Scenario("A/A N(1, 1)", normal(1), normal(1), 500),
    Scenario("A/A Bernoulli(0.1)", bernoulli(0.1), bernoulli(0.1), 4500, (0, 1)),
    Scenario("A/A N(1, 1), oversampled", normal(1), normal(1), 500, oversampled=5),
    Scenario("A/A Bernoulli(0.01)", bernoulli(0.01), bernoulli(0.01), 4500, (0, 1), burn_in=100),
    Scenario("A/A Bernoulli(0.1), 10 % canary", bernoulli(0.1), bernoulli(0.1), 1000, (0, 1), ratio=9, burn_in=100),
    Scenario("power, N: +0.1", normal(1), normal(1.1), 500, null=False),
    Scenario("power, Bernoulli: 0.10 to 0.12", bernoulli(0.1), bernoulli(0.12), 4500, (0, 1), null=False),
]


def standardised(scenario: Scenario, rng: np.random.Generator, runs: int) -> Array:
    """The difference in standard errors, shape (runs, looks), estimated from what had been seen at each look."""
    looks = scenario.planned * scenario.oversampled
    treatment = _moments(scenario.treatment(rng, (runs, looks)), scenario.bounds, 1)
    control = _moments(scenario.control(rng, (runs, looks * scenario.ratio)), scenario.bounds, scenario.ratio)
    with np.errstate(divide="ignore", invalid="ignore"):
        z = (treatment[0] - control[0]) / np.sqrt(treatment[1] + control[1])
    result: Array = np.nan_to_num(z, nan=0.0, posinf=0.0, neginf=0.0)
    return result


def _moments(values: Array, bounds: tuple[float, float] | None, every: int) -> tuple[Array, Array]:
    """Mean, and variance of the mean, of the first k, 2k, 3k, ... values: `standard_error`, vectorised."""
    n = np.arange(1, values.shape[1] + 1)[every - 1 :: every]
    total = values.cumsum(axis=1)[:, every - 1 :: every]
    squares = (values**2).cumsum(axis=1)[:, every - 1 :: every]
    mean = total / n
    extra = bounds or ()
    count = n + len(extra)
    spread = squares + sum(x * x for x in extra) - (total + sum(extra)) ** 2 / count
    return mean, spread / np.maximum(count - 1, 1) / n


def rejected(scenario: Scenario, methods: dict[str, Multiplier], runs: int, seed: int = 0) -> dict[str, int]:
    """In how many of `runs` each method's one-sided bound excluded 0 at any look from the burn-in on."""
    rng = np.random.default_rng(seed)
    looks = np.arange(1, scenario.planned * scenario.oversampled + 1) / scenario.planned
    boundaries = {name: np.array([method(look) for look in looks]) for name, method in methods.items()}
    counts = dict.fromkeys(methods, 0)
    for start in range(0, runs, BATCH):
        z = standardised(scenario, rng, min(BATCH, runs - start))[:, scenario.burn_in - 1 :]
        for name, boundary in boundaries.items():
            counts[name] += int((z > boundary[scenario.burn_in - 1 :]).any(axis=1).sum())
    return counts


def srm_false_alarms(runs: int, units: int, looks: int, seed: int = 0) -> tuple[int, int]:
    """Of `runs` fair splits of `units`, watched `looks` times: alarms at 0.05, and at the level that Ratchet uses."""
    rng = np.random.default_rng(seed)
    low = strict = 0
    for _ in range(runs):
        treatment = rng.binomial(units // looks, 0.5, looks).cumsum()
        least = 1.0
        for look, count in enumerate(treatment.tolist(), start=1):
            seen = {"control": look * (units // looks) - count, "treatment": count}
            least = sample_ratio(seen, {"control": 0.5, "treatment": 0.5}, least_so_far=least).p_value
        low, strict = low + (least < 0.05), strict + (least < ALARM_BELOW)
    return low, strict


METHODS: dict[str, Multiplier] = {
    "Ratchet": lambda progress: multiplier(progress, 0.1),
    "GAVI": lambda progress: mixture_multiplier(progress, 0.1),
    "z-test": lambda _: NAIVE_Z,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10_000)
    runs = parser.parse_args().runs
    started = time.perf_counter()
    print(f"{runs:,} runs, a look after every unit, one-sided 5 %; [95 % interval by Wilson]")
    print(f"{'':34}" + "".join(f"{name:>24}" for name in METHODS))
    for scenario in SCENARIOS:
        cells = []
        for count in rejected(scenario, METHODS, runs).values():
            low, high = wilson(count, runs)
            cells.append(f"{count / runs:.4f} [{low:.4f}, {high:.4f}]")
        print(f"{scenario.name:34}" + "".join(f"{cell:>24}" for cell in cells))
    srm_runs = max(1, runs // 10)
    low, strict = srm_false_alarms(srm_runs, 100_000, 100)
    low_edge, high_edge = wilson(low, srm_runs)
    print(f"sample ratio, {srm_runs:,} fair splits of 100,000 units, 100 looks: alarms")
    print(f"  at 0.05 in {low / srm_runs:.4f} [{low_edge:.4f}, {high_edge:.4f}]")
    print(f"  at {ALARM_BELOW} in {strict / srm_runs:.4f}")
    print(f"{time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
