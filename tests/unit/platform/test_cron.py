"""Ticks of a schedule: in UTC, where no hour is left out or comes twice, and by the calendar."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from ratchet.cron import next_tick


def ticks(schedule: str, after: datetime, count: int) -> list[datetime]:
    found = [next_tick(schedule, after)]
    while len(found) < count:
        found.append(next_tick(schedule, found[-1]))
    return found


@pytest.mark.parametrize("month", [3, 10, 11], ids=["Europe and America forward", "Europe back", "America back"])
def test_the_clock_changes_of_no_country_leave_out_or_double_a_tick(month: int) -> None:
    found = ticks("30 2 * * *", datetime(2027, month, 1, tzinfo=UTC), 31)
    assert {after - before for before, after in pairwise(found)} == {timedelta(days=1)}
    assert {(tick.hour, tick.minute, tick.tzinfo) for tick in found} == {(2, 30, UTC)}


def test_a_leap_day_is_a_day() -> None:
    daily = ticks("0 0 * * *", datetime(2028, 2, 27, 12, tzinfo=UTC), 3)
    assert [(tick.month, tick.day) for tick in daily] == [(2, 28), (2, 29), (3, 1)]
    assert ticks("0 0 29 2 *", datetime(2026, 1, 1, tzinfo=UTC), 2) == [
        datetime(2028, 2, 29, tzinfo=UTC),
        datetime(2032, 2, 29, tzinfo=UTC),
    ]


def test_a_tick_is_after_the_moment() -> None:
    noon = datetime(2027, 1, 1, 12, tzinfo=UTC)
    assert next_tick("0 12 * * *", noon) == noon + timedelta(days=1)
    assert next_tick("0 12 * * *", noon - timedelta(microseconds=1)) == noon
