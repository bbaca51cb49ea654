"""How much one user may do: a machine's owner is hardly throttled, a service open to strangers has its bounds.

`TASKE_LIMITS` chooses the profile (durability, 12; security, 15). Rates are kept in the memory of the process that
accepts.
"""

import math
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Literal

_most_remembered = 10_000


@dataclass(frozen=True, slots=True)
class Rate:
    """So many a second, and so many at once after a pause."""

    per_s: float
    burst: float


def per_minute(count: int) -> Rate:
    """So many a minute, however they come."""
    return Rate(count / 60, count)


def per_hour(count: int) -> Rate:
    """So many an hour, however they come."""
    return Rate(count / 3600, count)


@dataclass(frozen=True, slots=True)
class Limits:
    """One profile; None: no limit. `token`, `address` and `sign_up` count requests to the API, not deliveries."""

    tasks: int = 100_000
    queued_runs: int = 100_000
    hook: Rate | None = None
    user: Rate | None = None
    token: Rate | None = None
    address: Rate | None = None
    sign_up: Rate | None = None


profiles: dict[Literal["default", "public"], Limits] = {
    "default": Limits(token=per_minute(6_000), address=per_minute(600), sign_up=per_hour(60)),
    "public": Limits(
        tasks=100,
        queued_runs=10_000,
        hook=Rate(30, 100),
        user=Rate(60, 200),
        token=per_minute(600),
        address=per_minute(60),
        sign_up=per_hour(10),
    ),
}


class RateLimiter:
    """A bucket of tokens per id. `monotonic` gives seconds; beyond 10,000 ids the one unseen longest is forgotten."""

    def __init__(self, rate: Rate | None, monotonic: Callable[[], float]) -> None:
        self._rate = rate
        self._monotonic = monotonic
        self._buckets: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()

    def __contains__(self, key: Hashable) -> bool:
        """Whether this id has a bucket."""
        return key in self._buckets

    def forget(self, key: Hashable) -> None:
        """This id has no bucket any more."""
        self._buckets.pop(key, None)

    def wait_s(self, key: Hashable) -> int:
        """Take a token: 0, or after how many whole seconds there is one."""
        if self._rate is None:
            return 0
        now = self._monotonic()
        tokens, at = self._buckets.pop(key, (self._rate.burst, now))
        tokens = min(self._rate.burst, tokens + (now - at) * self._rate.per_s)
        taken = tokens >= 1
        self._buckets[key] = (tokens - 1 if taken else tokens, now)
        if len(self._buckets) > _most_remembered:
            self._buckets.popitem(last=False)
        return 0 if taken else max(1, math.ceil((1 - tokens) / self._rate.per_s))
