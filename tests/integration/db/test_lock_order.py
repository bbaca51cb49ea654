"""Batches that meet on the same rows: each locks them in the order of their keys, so that one waits for the other."""

import asyncio

import pytest

from taske_ray.db import queries, runs
from taske_ray.db.fires import FireStore
from taske_ray.errors import Unavailable
from tests.facts import until
from tests.integration.db.advances import opening

pytestmark = pytest.mark.integration
ROWS = 20
WAITING = (
    """SELECT count(*)::int FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"""
)


class Listening:
    """A database that remembers what it refused: stores send a batch again, and nobody would hear of it."""

    def __init__(self, database):
        self._database = database
        self.refused = []

    async def fetch(self, statement, parameters=None):
        """Pass it on, and remember an error."""
        try:
            return await self._database.fetch(statement, parameters)
        except Unavailable as error:
            self.refused.append(f"{error.__cause__}")
            raise


async def meet(world, lock, values, one, other):
    """Both batches begin while the row in their middle is locked by somebody else, and go on when it is free."""
    async with world.database.hot_transaction() as connection:
        await connection.execute(lock, values)
        batches = []
        for number, batch in enumerate((one, other), start=1):
            batches.append(asyncio.gather(*batch, return_exceptions=True))
            await until(lambda n=number: waiting(world, n), 2, f"{number} batches that wait")
    return [await batch for batch in batches]


async def waiting(world, number):
    """Whether so many sessions wait for a lock."""
    return await world.value(WAITING) == number


async def advances_meet(world):
    """Two batches of one host's advances, of the same runs in opposite order."""
    world.engine = Listening(world.engine)
    host, trigger = await world.host(), await world.trigger()
    fired = [await world.fires.fire(world.event(trigger, f"{n}", host=host)) for n in range(ROWS)]
    opened = [opening(one.assigned) for one in fired]
    stores = [world.store(host) for _ in range(2)]
    batches = ([stores[0].advance(one) for one in opened], [stores[1].advance(one) for one in reversed(opened)])
    lock = "SELECT FROM runs WHERE id = %(id)s FOR UPDATE"
    answers = await meet(world, lock, {"id": opened[ROWS // 2].run_id}, *batches)
    assert world.engine.refused == []
    assert all(answer.owned for batch in answers for answer in batch)


async def fires_meet(world):
    """Two batches of the same events in opposite order, of two processes."""
    listening = Listening(world.engine)
    stores, trigger = [FireStore(listening) for _ in range(2)], await world.trigger()
    keys = [f"{n:02}" for n in range(ROWS)]
    batches = (
        [stores[0].fire(world.event(trigger, key)) for key in keys],
        [stores[1].fire(world.event(trigger, key)) for key in reversed(keys)],
    )
    lock = "INSERT INTO events (trigger_id, fire_key, run_id) VALUES (%(id)s, %(key)s, %(id)s)"
    first, second = await meet(world, lock, {"id": trigger.id, "key": keys[ROWS // 2]}, *batches)
    for store in stores:
        await store.close()
    assert listening.refused == []
    assert [answer.run_id for answer in first] == [answer.run_id for answer in reversed(second)]
    assert await world.value("SELECT count(*)::int FROM runs") == ROWS - 1


@pytest.mark.parametrize("batches_meet", [advances_meet, fires_meet])
async def test_batches_in_opposite_order_do_not_deadlock(world, batches_meet):
    """Both are committed at the first try, with one answer for each row."""
    await batches_meet(world)


@pytest.mark.parametrize(
    ("batches_meet", "statement", "order", "arrival"),
    [
        (advances_meet, "advance_runs", "ORDER BY r.id FOR", "ORDER BY array_position(%(run_ids)s::uuid[], r.id) FOR"),
        (
            fires_meet,
            "fire_runs",
            "ORDER BY trigger_id, fire_key\n    ON",
            "ORDER BY array_position(%(run_ids)s::uuid[], run_id)\n    ON",
        ),
    ],
)
async def test_the_test_sees_rows_that_are_locked_as_they_come(
    world, monkeypatch, batches_meet, statement, order, arrival
):
    """The same batches deadlock when the statement takes its rows in the order in which they arrived."""
    text = getattr(queries, statement)
    assert order in text
    monkeypatch.setattr(queries, statement, text.replace(order, arrival), raising=False)
    monkeypatch.setattr(runs, "sorted", lambda rows, **_: list(rows), raising=False)  # which the store does, too
    with pytest.raises(AssertionError, match="deadlock detected"):
        await batches_meet(world)
