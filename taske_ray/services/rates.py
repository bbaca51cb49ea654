"""How fast deliveries and requests are accepted (durability, 12; security, 15), counted in the memory of a process."""

import math
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass

_most_remembered = 10_000


@dataclass(frozen=True, slots=True)
class Rate:
    """So many a second, and so many at once after a pause."""

    per_s: float
    burst: float


def per_second(count: int | None, burst: int) -> Rate | None:
    """So many a second, and so many at once after a pause; None: no limit."""
    return None if count is None else Rate(count, burst)


def per_minute(count: int | None) -> Rate | None:
    """So many a minute, however they come; None: no limit."""
    return None if count is None else Rate(count / 60, count)


def per_hour(count: int | None) -> Rate | None:
    """So many an hour, however they come; None: no limit."""
    return None if count is None else Rate(count / 3600, count)


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
