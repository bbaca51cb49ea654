"""How often a service may be called: sliding windows that reserve, and pauses that a service asked for.

Knows no clock: every method takes `now`, in seconds that never go back. A reservation is kept, so nobody is
overtaken and no two callers wait for the same place.
"""

from collections import deque
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

# Entries of a window are gathered into slots of a hundredth of its length: memory stays bounded, the limit exact.
_slots = 100
_sweep_every = 1000


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `limit` units in any `per_s` seconds for whatever `key` names; this request counts `weight`."""

    key: Hashable
    limit: int
    per_s: float
    weight: int = 1


class _Window:
    """What was reserved in the last `per_s` seconds and beyond, oldest first."""

    def __init__(self, limit: int, per_s: float) -> None:
        self._limit = limit
        self._per_s = per_s
        self._entries: deque[list[float]] = deque()  # [latest moment of the slot, units]

    def earliest(self, moment: float, weight: int) -> float:
        """The first moment from `moment` on at which `weight` more fit."""
        if self._entries:
            moment = max(moment, self._entries[-1][0])
        inside = [entry for entry in self._entries if entry[0] > moment - self._per_s]
        used = sum(units for _, units in inside)
        for latest, units in inside:
            if used + min(weight, self._limit) <= self._limit:
                break
            moment = latest + self._per_s
            used -= units
        return moment

    def reserve(self, moment: float, weight: int) -> None:
        while self._entries and self._entries[0][0] <= moment - self._per_s:
            self._entries.popleft()
        if self._entries and moment - self._entries[-1][0] < self._per_s / _slots and len(self._entries) >= _slots:
            self._entries[-1][0] = moment
            self._entries[-1][1] += weight
        else:
            self._entries.append([moment, weight])

    def is_over(self, now: float) -> bool:
        return not self._entries or self._entries[-1][0] <= now - self._per_s


class Limiter:
    """The windows and pauses of one process."""

    def __init__(self) -> None:
        self._windows: dict[Hashable, _Window] = {}
        self._pauses: dict[Hashable, float] = {}
        self._reservations = 0

    def reserve(
        self, limits: Sequence[Limit], pause_keys: Sequence[Hashable], *, now: float, patience_s: float = 1.0
    ) -> float:
        """How many seconds to wait before sending; above `patience_s` nothing was reserved, try again then."""
        windows = [(self._window(limit), min(limit.weight, limit.limit)) for limit in limits]
        moment = self._agreed(windows, max([now, *(self._pauses.get(key, now) for key in pause_keys)]))
        if moment - now > patience_s:
            return moment - now
        for window, weight in windows:
            window.reserve(moment, weight)
        self._sweep(now)
        return max(0.0, moment - now)

    def pause(self, keys: Sequence[Hashable], until: float) -> None:
        """Nothing goes out for any of these keys before `until`."""
        for key in keys:
            self._pauses[key] = max(until, self._pauses.get(key, until))

    def _agreed(self, windows: Sequence[tuple[_Window, int]], moment: float) -> float:
        """The first moment that suits every window: each may push it on, until none does."""
        while True:
            latest = max([moment, *(window.earliest(moment, weight) for window, weight in windows)])
            if latest == moment:
                return moment
            moment = latest

    def _window(self, limit: Limit) -> _Window:
        key = (limit.key, limit.limit, limit.per_s)
        return self._windows.setdefault(key, _Window(limit.limit, limit.per_s))

    def _sweep(self, now: float) -> None:
        self._reservations += 1
        if self._reservations % _sweep_every == 0:
            self._windows = {key: window for key, window in self._windows.items() if not window.is_over(now)}
            self._pauses = {key: until for key, until in self._pauses.items() if until > now}
