"""Assignment: shares follow the weights, keys stay, and a change of weights moves what it must and no more."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratchet_pipelines.serving.assign import Assignment, position
from ratchet_pipelines.spec import ModelVersion, Variant

KEYS = [f"user-{n}" for n in range(4_000)]
POSITIONS = {key: position("salt", key) for key in KEYS}
weights = st.lists(st.integers(0, 100), min_size=1, max_size=6).filter(any)
MODEL = ModelVersion(name="m", version=1)


def variants(shares: list[float]) -> list[Variant]:
    total = sum(shares)
    return [Variant(name=f"v{n}", model=MODEL, weight=share / total) for n, share in enumerate(shares)]


def assigned(shares: list[float], salt: str = "salt") -> dict[str, int]:
    assignment = Assignment(salt, variants(shares))
    return {key: assignment.index(key) for key in KEYS}


@given(weights)
def test_every_variant_gets_its_share_of_the_keys(shares: list[int]) -> None:
    found = list(assigned(shares).values())
    for index, variant in enumerate(variants(shares)):
        deviation = math.sqrt(variant.weight * (1 - variant.weight) / len(KEYS))
        assert abs(found.count(index) / len(KEYS) - variant.weight) <= 5 * deviation


@given(weights)
def test_a_variant_without_weight_gets_nobody(shares: list[int]) -> None:
    assert all(shares[index] > 0 for index in assigned([*shares, 0]).values())


@given(st.integers(0, 100), st.integers(0, 100))
def test_of_two_variants_just_the_keys_between_the_cuts_move(before: int, after: int) -> None:
    low, high = sorted([before / 100, after / 100])
    old, new = assigned([before, 100 - before]), assigned([after, 100 - after])
    moved = {key for key in KEYS if old[key] != new[key]}
    assert moved == {key for key in KEYS if low <= POSITIONS[key] < high}


def test_the_same_key_is_answered_by_the_same_variant_on_every_replica() -> None:
    assert assigned([1, 1]) == assigned([1, 1])


def test_a_new_salt_deals_anew() -> None:
    one, other = assigned([1, 1], "one"), assigned([1, 1], "other")
    moved = sum(one[key] != other[key] for key in KEYS) / len(KEYS)
    assert 0.45 < moved < 0.55


def test_the_position_is_what_the_contract_says() -> None:
    """SHA-256 of salt, NUL and key, its first eight bytes as a fraction: worked out with coreutils."""
    assert position("salt", "user-17") == int("9606b2ab4a729781", 16) / 2**64


def test_rounding_leaves_no_gap_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ratchet_pipelines.serving.assign.position", lambda salt, key: 1.0)
    assert Assignment("s", variants([0.1] * 3 + [0])).index("k") == 2


def test_no_variant_with_a_weight_is_an_error() -> None:
    with pytest.raises(LookupError):
        Assignment("s", []).index("k")
