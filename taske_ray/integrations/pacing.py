"""Who may call a host now: one user's places there, breakers, and the budget for retries (durability, 12).

What may not go is not sent, and is told when to come again. One process's view: each client keeps its own.
"""

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from uuid import UUID

from taske_ray.core.outcome import ErrorClass
from taske_ray.core.pacing import Breaker, RetryBudget, Turns
from taske_ray.integrations.failures import MaybeSent, NotSent

_sweep_every = 1_000
_users_of_all = 3  # so many must meet failures before a host is closed to everybody
_no_answer = frozenset({"timeout", "connect_failed", "name_not_found", "tls_failed"})


@dataclass(slots=True)
class Place:
    """A user's place at a host, held for one request. `failed`: the host did not do its part; None: nobody asked."""

    failed: bool | None = False


@dataclass(slots=True)
class _AtHost:
    """One user at one host, or everybody there."""

    breaker: Breaker
    budget: RetryBudget
    turns: Turns = field(default_factory=Turns)
    busy: int = 0

    def is_over(self, now: float) -> bool:
        return not self.busy and all(one.is_over(now) for one in (self.breaker, self.budget, self.turns))


class Pacing:
    """The hosts that this process calls: `most` calls of one user in flight at one, `retries_per_s` beside a tenth."""

    def __init__(self, *, most: int, retries_per_s: float, monotonic: Callable[[], float]) -> None:
        self._most = most
        self._retries_per_s = retries_per_s
        self._monotonic = monotonic
        self._hosts: dict[Hashable, _AtHost] = {}
        self._asked = 0

    @contextmanager
    def place(self, user_id: UUID | None, host: str, *, first: bool = True, retry: bool = False) -> Iterator[Place]:
        """Hold a place at a host for one request. Raises NotSent.

        Breakers and budget are asked for the `first` request of a conversation; `retry`: this step was tried before.
        Without a user it is a request of our own, like one for a token of the service's client.
        """
        now = self._monotonic()
        theirs, everybody = self._at((user_id, host), 1), self._at(host, _users_of_all)
        if first:
            _keep_away(theirs, everybody, now, retry=retry)
        if theirs.busy >= self._most:
            message = "Too many calls to this host are under way; the step waits."
            wait_s = theirs.turns.wait_s(now, 1.0)
            raise NotSent("too_many_in_flight", message, ErrorClass.RATE_LIMITED, retry_after_s=wait_s)
        if first:
            everybody.budget.begin(now, retry=retry)
        probes = [one.breaker.begin(now) for one in (theirs, everybody)]
        theirs.busy += 1
        place = Place()
        try:
            yield place
        except MaybeSent:
            place.failed = True
            raise
        except NotSent as error:
            place.failed = True if error.code in _no_answer else None
            raise
        finally:
            theirs.busy -= 1
            now = self._monotonic()
            for one, probe in zip((theirs, everybody), probes, strict=True):
                one.turns.ended(now)
                if place.failed is not None:
                    one.breaker.end(now, failed=place.failed, user=user_id, probe=probe)
            if first and retry and place.failed is False:
                everybody.budget.succeeded(now)

    def _at(self, key: Hashable, least_users: int) -> _AtHost:
        self._asked += 1
        if self._asked % _sweep_every == 0:
            now = self._monotonic()
            self._hosts = {known: one for known, one in self._hosts.items() if not one.is_over(now)}
        found = self._hosts.get(key)
        if found is None:
            found = self._hosts[key] = _AtHost(Breaker(least_users), RetryBudget(self._retries_per_s))
        return found


def _keep_away(theirs: _AtHost, everybody: _AtHost, now: float, *, retry: bool) -> None:
    """Raise NotSent while a breaker is open, or when a retry is beyond the budget."""
    wait_s = max(theirs.breaker.wait_s(now), everybody.breaker.wait_s(now))
    if wait_s:
        message = "Most calls to this host have failed; the step waits until one of them succeeds."
        raise NotSent("breaker_open", message, retry_after_s=theirs.turns.wait_s(now, wait_s))
    if retry and not everybody.budget.allows(now):
        message = "This host has had its share of repeated calls; the step waits."
        raise NotSent("retry_budget", message, retry_after_s=everybody.turns.wait_s(now, 1.0))
