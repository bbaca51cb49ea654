"""Places for work under way: so many at once, the next in line by whose turn it is."""

import asyncio

import pytest

from taske_ray.places import Places


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


async def test_everybody_takes_turns():
    """Whoever has many in line delays another one's by one of theirs."""
    places, order = Places(1), []
    await places.enter()

    async def come(whose, name):
        assert await places.enter(5, whose=whose)
        order.append(name)
        places.leave()

    waiting = [asyncio.create_task(come("a", f"a{number}")) for number in range(4)]
    waiting.append(asyncio.create_task(come("b", "b0")))
    await asyncio.sleep(0)
    places.leave()
    await asyncio.gather(*waiting)
    assert order == ["a0", "b0", "a1", "a2", "a3"]


async def test_fewer_places_and_more():
    """Who holds a place beyond the last one keeps it; more places let in as many as wait."""
    places = Places(3)
    for _ in range(3):
        assert await places.enter()
    places.resize(1)
    waiting = [asyncio.create_task(places.enter(5)) for _ in range(3)]
    await asyncio.sleep(0)
    places.leave()
    places.leave()
    await asyncio.sleep(0)
    assert (places.taken, [one.done() for one in waiting]) == (1, [False, False, False])
    places.resize(3)
    await asyncio.sleep(0)
    assert (places.taken, sum(one.done() for one in waiting)) == (3, 2)
    places.leave()
    assert await asyncio.gather(*waiting) == [True, True, True]


async def test_fewer_places_while_several_want_them():
    """One alone has them all; from the moment another comes, both share the few."""
    places = Places(4, shared=2)
    assert [await places.enter(0.01, whose="a") for _ in range(5)] == [True, True, True, True, False]
    other = asyncio.create_task(places.enter(5, whose="b"))
    await asyncio.sleep(0)
    places.leave()
    places.leave()
    await asyncio.sleep(0)
    assert not other.done()
    places.leave()
    assert await other
    assert places.taken == 2
