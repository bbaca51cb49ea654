"""Hosted actors: each acts when it is due, fails alone, comes back, and can be stopped or replaced at any moment."""

import asyncio
from uuid import uuid4

import pytest

from actors.hosting import Hosting
from taske_ray.errors import Unavailable
from taske_ray.testing import ManualClock, eventually


class Actor:
    """Acts once at `due_at`, as it is told to."""

    def __init__(self, due_at=0.0, *, error=None, again=None):
        self.due_at = due_at
        self._error, self._again = error, again
        self.acted = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def act(self):
        """Act."""
        self.acted += 1
        await self.gate.wait()
        if self._error:
            raise self._error
        self.due_at = self._again


class Maker:
    """Makes actors afresh, in turn."""

    def __init__(self, *actors):
        self.actors, self.made = list(actors), 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self):
        """Take a batch."""
        self.made += 1
        await self.gate.wait()
        one = self.actors.pop(0)
        if isinstance(one, Exception):
            raise one
        return one


@pytest.fixture
async def clock():
    return ManualClock()


@pytest.fixture
async def hosting(clock):
    """A host whose actors' time is the loop's own, from zero."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    host = Hosting(clock=clock, now_s=lambda: loop.time() - began)
    keeping = asyncio.create_task(host.keep())
    yield host
    keeping.cancel()


async def test_actors_act_in_the_order_they_are_due(hosting):
    """Whatever order they are started in, timers ring by time; one that is never due never acts."""
    order = []

    class Noting(Actor):
        async def act(self):
            order.append(self.due_at)
            await super().act()

    never = Noting(None)
    for actor in (Noting(0.06), Noting(0.02), never, Noting(0.04)):
        hosting.start(uuid4(), actor, Maker())
    await eventually(lambda: len(order) == 3)
    assert order == [0.02, 0.04, 0.06]
    assert (never.acted, len(hosting)) == (0, 4)


async def test_an_actor_acts_again_when_it_says_so(hosting):
    """After acting, the new `due_at` is armed."""
    actor = Actor(0.0, again=0.0)
    hosting.start(uuid4(), actor, Maker())
    await eventually(lambda: actor.acted >= 5)


async def test_a_failed_actor_is_made_afresh_after_a_pause(hosting, clock):
    """An exception ends one actor: its successor starts after a second, and its neighbour notices nothing."""
    broken, successor = Actor(error=RuntimeError("bug")), Actor()
    neighbour = Actor(again=0.0)
    hosting.start(uuid4(), broken, Maker(successor))
    hosting.start(uuid4(), neighbour, Maker())
    await eventually(lambda: clock.sleeping == [1.0])
    assert successor.acted == 0
    seen = neighbour.acted
    await eventually(lambda: neighbour.acted > seen)
    clock.advance(1)
    await eventually(lambda: successor.acted == 1)
    assert broken.acted == 1


async def test_the_pause_doubles_up_to_a_minute_and_starts_over(hosting, clock):
    """Failures in a row wait 1, 2, 4 … 60 s; a success sets the pause back."""
    failures = [Actor(error=Unavailable()) for _ in range(7)]
    good, bad = Actor(again=0.0), Actor(error=RuntimeError())
    good_then_bad = Maker(*failures, good, bad)
    pauses = []
    hosting.start(uuid4(), Actor(error=RuntimeError()), good_then_bad)
    for _ in range(8):
        await eventually(lambda: clock.sleeping)
        pauses += clock.sleeping
        clock.advance(clock.sleeping[0])
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]
    await eventually(lambda: good.acted > 1)
    good._error = RuntimeError()
    await eventually(lambda: clock.sleeping == [1.0])


async def test_an_actor_that_cannot_be_made_is_tried_again(hosting, clock):
    """Failing to make a successor is a failure like any other; the failed actor itself never acts again."""
    broken, successor = Actor(error=RuntimeError()), Actor()
    maker = Maker(Unavailable(), Unavailable(), successor)
    hosting.start(uuid4(), broken, maker)
    for pause in (1.0, 2.0, 4.0):
        await eventually(lambda pause=pause: clock.sleeping == [pause])
        clock.advance(pause)
    await eventually(lambda: successor.acted == 1)
    assert (maker.made, broken.acted) == (3, 1)


@pytest.mark.parametrize("moment", ["waiting", "being made"])
async def test_an_actor_stopped_before_it_came_back_stays_away(hosting, clock, moment):
    """Stopped during the pause, or while its successor is made, nothing acts and nobody is disturbed."""
    actor_id, successor = uuid4(), Actor()
    maker = Maker(successor)
    hosting.start(actor_id, Actor(error=RuntimeError()), maker)
    await eventually(lambda: clock.sleeping)
    if moment == "being made":
        maker.gate.clear()
        clock.advance(1)
        await eventually(lambda: maker.made)
    hosting.stop(actor_id)
    clock.advance(1)
    maker.gate.set()
    await eventually(lambda: not hosting._acting)
    assert (successor.acted, actor_id in hosting) == (0, False)


async def test_a_replacement_is_not_disturbed_by_its_predecessors_comeback(hosting, clock):
    """A new actor of the same id keeps its own timer when the old one's successor arrives late."""
    actor_id, replacement, late = uuid4(), Actor(0.2), Actor(1e9)
    maker = Maker(late)
    hosting.start(actor_id, Actor(error=RuntimeError()), maker)
    await eventually(lambda: clock.sleeping)
    maker.gate.clear()
    clock.advance(1)
    await eventually(lambda: maker.made)
    hosting.start(actor_id, replacement, Maker())
    maker.gate.set()
    await eventually(lambda: replacement.acted == 1)
    assert late.acted == 0


async def test_a_stopped_actor_does_not_act(hosting):
    """A timer of an actor that was stopped rings for nobody."""
    actor_id, actor, last = uuid4(), Actor(0.02), Actor(0.05)
    hosting.start(actor_id, actor, Maker())
    hosting.start(uuid4(), last, Maker())
    hosting.stop(actor_id)
    await eventually(lambda: last.acted)
    assert actor.acted == 0


async def test_a_replaced_actor_finishes_and_is_not_armed_again(hosting):
    """An actor replaced while it acts ends what it does; from then on only its replacement acts."""
    actor_id, old, new = uuid4(), Actor(again=0.0), Actor()
    old.gate.clear()
    hosting.start(actor_id, old, Maker())
    await eventually(lambda: old.acted == 1)
    hosting.start(actor_id, new, Maker())
    await eventually(lambda: new.acted == 1)
    old.gate.set()
    await eventually(lambda: not hosting._acting)
    assert (old.acted, new.acted) == (1, 1)


async def test_a_slow_actor_holds_up_nobody(hosting):
    """While one acts, the others ring on time, and the slow one is not started twice."""
    slow, fast = Actor(), Actor(0.01)
    slow.gate.clear()
    hosting.start(uuid4(), slow, Maker())
    hosting.start(uuid4(), fast, Maker())
    await eventually(lambda: fast.acted == 1)
    assert slow.acted == 1
    slow.gate.set()


async def test_an_earlier_timer_wakes_the_host(hosting):
    """An actor that is started later but due earlier does not wait for the later timer."""
    hosting.start(uuid4(), Actor(3600.0), Maker())
    await asyncio.sleep(0)
    soon = Actor(0.0)
    hosting.start(uuid4(), soon, Maker())
    await eventually(lambda: soon.acted == 1)


async def test_ten_thousand_timers(hosting):
    """Ten thousand armed actors all act once, in one process."""
    actors = [Actor(0.0001 * n) for n in range(10_000)]
    for actor in actors:
        hosting.start(uuid4(), actor, Maker())
    assert (len(hosting), len(hosting.ids())) == (10_000, 10_000)
    await eventually(lambda: all(actor.acted == 1 for actor in actors), within_s=20)
    hosting.clear()
    assert len(hosting) == 0
