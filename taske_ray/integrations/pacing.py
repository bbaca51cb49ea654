"""Who may call a host now: one user's places there, breakers, and the budget for retries (durability, 12).

What may not go is not sent, and is told when to come again. One process's view: each client keeps its own.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import UUID

from taske_ray.core.outcome import ErrorClass
from taske_ray.core.pacing import Breaker, RetryBudget, Turns, Window
from taske_ray.integrations.failures import MaybeSent, NotSent
from taske_ray.integrations.resolver import asked_for
from taske_ray.places import Places

patience_s = 1.0
_few = 10  # who has no more than so many calls under way finds room also where others have taken it all
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

    places: Places
    breaker: Breaker
    budget: RetryBudget
    turns: Turns = field(default_factory=Turns)

    def is_over(self, now: float) -> bool:
        return not self.places.taken and all(one.is_over(now) for one in (self.breaker, self.budget, self.turns))


class Pacing:
    """The hosts that this process calls.

    `room` calls may be in flight, `most` of one user at one host; `retries_per_s` go to one host beside a tenth of the
    first attempts.
    """

    def __init__(self, *, room: int, most: int, retries_per_s: float, monotonic: Callable[[], float]) -> None:
        self._room = Places(room)
        self._window = Window(room)
        self._most = most
        self._retries_per_s = retries_per_s
        self._monotonic = monotonic
        self._hosts: dict[Hashable, _AtHost] = {}
        self._of_users: Counter[UUID | None] = Counter()
        self._asked = 0

    async def keep_quick(self) -> None:
        """Measure a turn of the loop, and make room for as many calls as it can work on."""
        began = time.thread_time()  # of the processor: what other programs take is not the calls' doing
        await asyncio.sleep(0)
        self._room.resize(self._window.saw(time.thread_time() - began))

    @asynccontextmanager
    async def place(
        self, user_id: UUID | None, host: str, *, first: bool = True, retry: bool = False
    ) -> AsyncIterator[Place]:
        """Hold a place at a host for one request, waited for a moment. Raises NotSent.

        Breakers and budget are asked for the `first` request of a conversation; `retry`: this step was tried before.
        Without a user it is a request of our own, like one for a token of the service's client.
        """
        theirs, everybody = self._at((user_id, host), 1), self._at(host, _users_of_all)
        asked_for.set(user_id)
        if first:
            _keep_away(theirs, everybody, self._monotonic(), retry=retry)
        await self._enter(theirs, user_id)
        place = Place(None)
        probes = [False, False]
        try:
            now = self._monotonic()
            if first:
                _keep_away(theirs, everybody, now, retry=retry)  # it may have waited, and not alone
                everybody.budget.begin(now, retry=retry)
            probes = [one.breaker.begin(now) for one in (theirs, everybody)]
            place.failed = False
            yield place
        except MaybeSent:
            place.failed = True
            raise
        except NotSent as error:
            place.failed = True if error.code in _no_answer else None
            raise
        finally:
            self._leave(theirs, user_id)
            now = self._monotonic()
            for one, probe in zip((theirs, everybody), probes, strict=True):
                one.turns.ended(now)
                if place.failed is not None:
                    one.breaker.end(now, failed=place.failed, user=user_id, probe=probe)
            if first and retry and place.failed is False:
                everybody.budget.succeeded(now)

    async def _enter(self, theirs: _AtHost, user_id: UUID | None) -> None:
        if not await theirs.places.enter(patience_s):
            raise self._crowded(theirs, "Too many calls to this host are under way; the step waits.")
        if self._of_users[user_id] < _few:
            self._room.squeeze_in()
        elif not await self._found_room(theirs, user_id):
            raise self._crowded(theirs, "Too many calls are under way; the step waits.")
        self._of_users[user_id] += 1

    async def _found_room(self, theirs: _AtHost, user_id: UUID | None) -> bool:
        found = False
        try:
            found = await self._room.enter(patience_s, whose=user_id)
        finally:
            if not found:
                theirs.places.leave()
        return found

    def _leave(self, theirs: _AtHost, user_id: UUID | None) -> None:
        theirs.places.leave()
        self._room.leave()
        self._of_users[user_id] -= 1
        if not self._of_users[user_id]:
            del self._of_users[user_id]

    def _crowded(self, theirs: _AtHost, message: str) -> NotSent:
        wait_s = theirs.turns.wait_s(self._monotonic(), 1.0)
        return NotSent("too_many_in_flight", message, ErrorClass.RATE_LIMITED, retry_after_s=wait_s)

    def _at(self, key: Hashable, least_users: int) -> _AtHost:
        self._asked += 1
        if self._asked % _sweep_every == 0:
            now = self._monotonic()
            self._hosts = {known: one for known, one in self._hosts.items() if not one.is_over(now)}
        found = self._hosts.get(key)
        if found is None:
            breaker, budget = Breaker(least_users), RetryBudget(self._retries_per_s)
            found = self._hosts[key] = _AtHost(Places(self._most), breaker, budget)
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
