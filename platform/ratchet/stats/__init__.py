"""Pure functions of statistics: what an A/B test may conclude, and when. No I/O, no clock, no randomness."""

from ratchet.stats.decide import Decision, Verdict, decide
from ratchet.stats.proportions import wilson
from ratchet.stats.sequential import Interval, Moments, difference
from ratchet.stats.srm import SampleRatio, sample_ratio

__all__ = [
    "Decision",
    "Interval",
    "Moments",
    "SampleRatio",
    "Verdict",
    "decide",
    "difference",
    "sample_ratio",
    "wilson",
]
