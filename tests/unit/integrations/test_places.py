"""Places for calls in flight: so many, in the order of coming, and room for whoever has few."""

import asyncio
from uuid import UUID

import pytest

from taske_ray.clock import SystemClock
from taske_ray.integrations import pacing
from taske_ray.integrations.failures import NotSent
from taske_ray.integrations.pacing import Pacing
from taske_ray.integrations.places import Places

A, B = UUID(int=1), UUID(int=2)


async def test_so_many_at_once():
    """Two places: the third waits, and has the first one that is given back."""
    places = Places(2)
    assert [await places.enter(0.01) for _ in range(3)] == [True, True, False]
    third = asyncio.create_task(places.enter(5))
    await asyncio.sleep(0)
    places.leave()
    assert await third
    assert places.taken == 2


async def test_in_the_order_of_coming():
    """Who waits longest is next, and nobody who comes later passes by."""
    places, order = Places(1), []
    await places.enter(1)

    async def come(name):
        assert await places.enter(5)
        order.append(name)
        places.leave()

    waiting = [asyncio.create_task(come(name)) for name in "abc"]
    await asyncio.sleep(0)
    places.leave()
    await asyncio.gather(come("d"), *waiting)
    assert order == ["a", "b", "c", "d"]
    assert places.taken == 0


@pytest.mark.parametrize("how", ["cancelled", "too late"])
async def test_who_gives_up_takes_no_place_along(how):
    """A waiter that is cancelled, also in the moment in which its turn comes, leaves its place to the next."""
    places = Places(1)
    await places.enter(1)
    waiter, second = asyncio.create_task(places.enter(5)), asyncio.create_task(places.enter(5))
    await asyncio.sleep(0)
    if how == "too late":
        places.leave()
    waiter.cancel()
    if how == "cancelled":
        places.leave()
    assert await second
    assert places.taken == 1


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
