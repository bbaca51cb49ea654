"""What a host in trouble is spared (durability, 12.3 and 12.4), and how much a process takes on at once.

None of this knows a clock: `now` is in seconds that never go back. Breakers, budgets for retries and turns belong to
one host each, or to one user at one host.
"""

from collections.abc import Hashable
from dataclasses import dataclass, field

window_s = 10
least_calls = 20
probe_every_s = 30.0
budget_share = 0.1
longest_turn_s = 60.0
least_turns_per_s = 5.0
quick_s = 0.01
least_size = 16


class Tally:
    """How often something happened in the last ten seconds, counted by the second."""

    __slots__ = ("_counts", "_second", "_total")

    def __init__(self) -> None:
        self._counts = [0] * window_s
        self._second = 0
        self._total = 0

    def add(self, now: float, times: int = 1) -> None:
        """It happened now."""
        self._advance(int(now))
        self._counts[self._second % window_s] += times
        self._total += times

    def total(self, now: float) -> int:
        """How often in the last ten seconds."""
        self._advance(int(now))
        return self._total

    def _advance(self, second: int) -> None:
        passed = second - self._second
        if passed <= 0:
            return
        for gone in range(self._second + 1, self._second + 1 + min(passed, window_s)):
            self._total -= self._counts[gone % window_s]
            self._counts[gone % window_s] = 0
        self._second = second


@dataclass(slots=True)
class Breaker:
    """Opens when half of at least twenty calls in ten seconds failed; then one call every 30 s finds out.

    What fails is a timeout, a refused or broken connection, a 5xx; never a 4xx. `least_users`: how many users must have
    met a failure, so that one user's trouble closes no door to others.
    """

    least_users: int = 1
    _calls: Tally = field(default_factory=Tally)
    _failures: Tally = field(default_factory=Tally)
    _failed_for: dict[Hashable, float] = field(default_factory=dict)
    _probe_at: float | None = None

    @property
    def is_open(self) -> bool:
        """Whether calls wait."""
        return self._probe_at is not None

    def wait_s(self, now: float) -> float:
        """0: the call may go; else in how many seconds the next probe is due. Takes nothing."""
        return 0.0 if self._probe_at is None else max(0.0, self._probe_at - now)

    def begin(self, now: float) -> bool:
        """A call goes out; whether it is the probe of an open breaker."""
        if self._probe_at is None or now < self._probe_at:
            return False
        self._probe_at = now + probe_every_s
        return True

    def end(self, now: float, *, failed: bool, user: Hashable, probe: bool) -> None:
        """A call came to its end. Only a probe closes an open breaker."""
        if self._probe_at is not None:
            if probe and not failed:
                self._close()
            return
        self._calls.add(now)
        if not failed:
            return
        self._failures.add(now)
        if self.least_users > 1:
            self._failed_for[user] = now
            self._failed_for = {who: at for who, at in self._failed_for.items() if at > now - window_s}
        calls = self._calls.total(now)
        half = 2 * self._failures.total(now) >= calls
        if calls >= least_calls and half and max(1, len(self._failed_for)) >= self.least_users:
            self._probe_at = now + probe_every_s

    def is_over(self, now: float) -> bool:
        """Whether it holds nothing that is worth keeping."""
        return self._probe_at is None and not self._calls.total(now)

    def _close(self) -> None:
        self._probe_at = None
        self._calls, self._failures = Tally(), Tally()
        self._failed_for.clear()


@dataclass(slots=True)
class RetryBudget:
    """Retries in ten seconds: a tenth of the first attempts, and `per_s` a second.

    One that succeeded gives its place back: a host that answers 500 to everybody sees a tenth more than it was asked
    for, and one that has recovered gets everything that waited for it.
    """

    per_s: float = 1.0
    _firsts: Tally = field(default_factory=Tally)
    _retries: Tally = field(default_factory=Tally)

    def allows(self, now: float) -> bool:
        """Whether one more retry may go. Takes nothing."""
        return self._retries.total(now) + 1 <= budget_share * self._firsts.total(now) + self.per_s * window_s

    def begin(self, now: float, *, retry: bool) -> None:
        """A call goes out."""
        (self._retries if retry else self._firsts).add(now)

    def succeeded(self, now: float) -> None:
        """A retry did."""
        if self._retries.total(now) > 0:
            self._retries.add(now, -1)

    def is_over(self, now: float) -> bool:
        """Whether it holds nothing that is worth keeping."""
        return not self._firsts.total(now) and not self._retries.total(now)


@dataclass(slots=True)
class Turns:
    """When those who must wait come again: one after another, as fast as calls have ended lately.

    So a thousand who wait for a hanging host do not ask all the time, and who waits for a quick one waits briefly.
    """

    _ended: Tally = field(default_factory=Tally)
    _last: float = 0.0

    def ended(self, now: float) -> None:
        """A call came to its end."""
        self._ended.add(now)

    def wait_s(self, now: float, least_s: float) -> float:
        """In how many seconds to come again: `least_s` from now on, then one turn after the other, at most a minute."""
        per_s = max(least_turns_per_s, 1.2 * self._ended.total(now) / window_s)
        turn = max(now + least_s, self._last + 1 / per_s)
        if turn - now > least_s + longest_turn_s:
            return least_s + longest_turn_s
        self._last = turn
        return turn - now

    def is_over(self, now: float) -> bool:
        """Whether it holds nothing that is worth keeping."""
        return self._last < now and not self._ended.total(now)


class Window:
    """How many calls one process has under way so that it is quick for everybody: `most`, and fewer while it is busy.

    A turn of its loop that takes longer than 10 ms of processor time means that more is under way than it can work on:
    what is begun beyond that makes nothing faster, and everybody waits longer in each turn. So the window loses a
    quarter then, and gains a few places while turns are short (additive increase, multiplicative decrease; Chiu and
    Jain 1989). Calls that wait for a slow service take no processor time and leave the window as wide as it is.
    """

    __slots__ = ("_most", "size")

    def __init__(self, most: int) -> None:
        self._most = self.size = most

    def saw(self, turn_s: float) -> int:
        """The size after a turn that took so many seconds of processor time."""
        if turn_s > quick_s:
            self.size = max(min(least_size, self._most), self.size * 3 // 4)
        else:
            self.size = min(self._most, self.size + 4)
        return self.size
