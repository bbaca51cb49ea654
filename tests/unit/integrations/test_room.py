"""Room for calls in flight: a user alone has all of it, whoever has few finds some, and a busy process has less."""

import asyncio
from uuid import UUID

import pytest

from taske_ray.clock import SystemClock
from taske_ray.core.pacing import least_size
from taske_ray.integrations import pacing
from taske_ray.integrations.failures import NotSent
from taske_ray.integrations.pacing import Pacing

A, B = UUID(int=1), UUID(int=2)


@pytest.fixture
def make(monkeypatch):
    """Pacing with little room, and little patience."""
    monkeypatch.setattr(pacing, "patience_s", 0.01)
    usual = {"room": 20, "most": 15, "retries_per_s": 1.0, "monotonic": SystemClock().monotonic}
    return lambda **more: Pacing(**{**usual, **more})


async def taken(held, paced, user, host, count):
    """How many of so many calls found a place; they keep it."""
    places = [paced.place(user, host) for _ in range(count)]
    held += places
    outcomes = await asyncio.gather(*(place.__aenter__() for place in places), return_exceptions=True)
    refusals = [one for one in outcomes if isinstance(one, NotSent)]
    assert {one.code for one in refusals} <= {"too_many_in_flight"}
    return count - len(refusals)


async def test_a_user_alone_has_all_the_room(make):
    """Fifteen at one host, and with another host the whole room of the process."""
    paced, held = make(), []
    assert [await taken(held, paced, A, host, 30) for host in ("one", "two")] == [15, 5]


async def test_who_has_few_finds_room(make):
    """Where one user's hanging calls have taken all the room, another one's first ten go out all the same."""
    paced, held = make(), []
    assert [await taken(held, paced, A, host, 30) for host in ("one", "two", "three")] == [15, 5, 0]
    assert await taken(held, paced, B, "one", 30) == 10


async def test_a_place_is_waited_for(make, monkeypatch):
    """A call beyond the last place goes as soon as one ends, without a detour."""
    monkeypatch.setattr(pacing, "patience_s", 5.0)
    paced, done = make(most=1), []

    async def call(number):
        async with paced.place(A, "host"):
            await asyncio.sleep(0)
            done.append(number)

    await asyncio.gather(*(call(number) for number in range(50)))
    assert done == list(range(50))


async def test_a_busy_process_takes_on_less(make, monkeypatch):
    """While turns of the loop are long the room shrinks to a few calls at once; when they are short, it is back."""
    paced, busy = make(), True
    monkeypatch.setattr(pacing, "time", Clock(lambda: 1.0 if busy else 0.0))
    for _ in range(20):
        await paced.keep_quick()
    held = []
    assert await taken(held, paced, A, "one", 30) + await taken(held, paced, A, "two", 30) == least_size
    busy = False
    for _ in range(20):
        await paced.keep_quick()
    assert await taken(held, paced, A, "two", 30) == 20 - least_size


class Clock:
    """Processor time that grows by `step()` each time it is asked."""

    def __init__(self, step):
        self._step, self._now = step, 0.0

    def thread_time(self):
        """Seconds."""
        self._now += self._step()
        return self._now
