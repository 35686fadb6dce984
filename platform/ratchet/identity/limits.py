"""How often one may ask: wrong secrets by address, and requests by principal. Counted in this process's memory."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter, SlidingWindowCounterRateLimiter

from ratchet.errors import TooManyRequests
from ratchet.settings import Settings

EVERYONE = 10
"""All addresses together may fail this many times as often as one."""


@dataclass(frozen=True)
class Allowance:
    """What a principal has left of its requests in the present window."""

    limit: int
    remaining: int
    reset_s: int

    def headers(self) -> dict[str, str]:
        values = {"Limit": self.limit, "Remaining": self.remaining, "Reset": self.reset_s}
        return {f"X-RateLimit-{name}": str(value) for name, value in values.items()}


class Limits:
    """A secret of 256 bits is not guessed: what the first limit protects is the database, and it locks out nobody who
    comes from another address, nor who is known already."""

    def __init__(self, settings: Settings) -> None:
        storage = MemoryStorage()
        self._failures = MovingWindowRateLimiter(storage)
        self._of_one = RateLimitItemPerMinute(settings.auth_failures_per_minute)
        self._of_all = RateLimitItemPerMinute(settings.auth_failures_per_minute * EVERYONE)
        self._requests = SlidingWindowCounterRateLimiter(storage)
        self._per_minute = settings.requests_per_minute

    def check_address(self, address: str) -> None:
        """`TooManyRequests` while the address has tried too many wrong secrets; also when everybody together has, and
        the address is among them."""
        here, all_in_all = ("failed", address), ("failed",)
        left = self._failures.get_window_stats(self._of_one, *here).remaining
        crowd = not self._failures.test(self._of_all, *all_in_all)
        if left > 0 and not (crowd and left < self._of_one.amount):
            return
        until = self._failures.get_window_stats(self._of_one, *here).reset_time
        raise TooManyRequests(
            "Too many wrong tokens came from this address.",
            hint="Wait, then send the right one.",
            headers={"Retry-After": str(max(1, math.ceil(until - time.time())))},
        )

    def failed(self, address: str) -> None:
        self._failures.hit(self._of_one, "failed", address)
        self._failures.hit(self._of_all, "failed")

    def count(self, principal_id: str) -> Allowance | None:
        """One request more of this principal; None when there is no limit, `TooManyRequests` beyond it."""
        if not self._per_minute:
            return None
        item = RateLimitItemPerMinute(self._per_minute)
        allowed = self._requests.hit(item, "request", principal_id)
        stats = self._requests.get_window_stats(item, "request", principal_id)
        seconds = max(1, math.ceil(stats.reset_time - time.time()))
        allowance = Allowance(self._per_minute, max(0, stats.remaining), seconds)
        if not allowed:
            raise TooManyRequests(
                f"More than {self._per_minute} requests in a minute.",
                hint="Ask less often, or in larger pages.",
                headers={"Retry-After": str(seconds), **allowance.headers()},
            )
        return allowance
