"""Cron expressions, in UTC, by cronsim: the one library tried whose answers were Unix cron's at the clock changes."""

from __future__ import annotations

from datetime import UTC, datetime

from cronsim import CronSim, CronSimError


def cron(schedule: str) -> str:
    """The expression, when it is one; a `ValueError` that says what is expected otherwise."""
    try:
        if len(schedule.split()) == 6:  # which cronsim takes for one with seconds
            raise CronSimError("Wrong number of fields")  # noqa: TRY301
        next(CronSim(schedule, datetime.now(UTC)))
    except (CronSimError, StopIteration) as error:
        raise ValueError(
            f"{schedule!r} is not a cron expression ({error}). Five fields: minute hour day month weekday, "
            "such as '0 * * * *' for every hour."
        ) from error
    return schedule


def next_tick(schedule: str, after: datetime) -> datetime:
    """The first tick after a moment. Ticks that were missed are not made up for: what they start is of the present."""
    tick: datetime = next(CronSim(schedule, after))
    return tick
