"""The events of one delivery on a real PostgreSQL: all of them are recorded or none (durability, 9.1)."""

import asyncio

import pytest

from taske_ray.db.fires import FireStore
from taske_ray.errors import Unavailable

pytestmark = pytest.mark.integration


def delivery(world, trigger, name, count, **more):
    """So many events of a trigger that came together."""
    return [world.event(trigger, f"{name}:{number}", **more) for number in range(count)]


def statuses(fired):
    """What became of each event."""
    return [one.status for one in fired]


async def recorded(world):
    """How many runs, ledger rows and counted runs there are."""
    tables = ("SELECT count(*)::int FROM runs", "SELECT count(*)::int FROM events", "SELECT sum(runs) FROM run_counts")
    return [await world.value(table) or 0 for table in tables]


async def test_a_delivery_is_recorded_whole_and_again_answers_the_same_runs(world):
    """Each event is a run, at its host at once where there is room; the repeat makes nothing."""
    host, trigger = await world.host(capacity=2), await world.trigger()
    first = await world.fires.fire_together(delivery(world, trigger, "a", 3, host=host))
    again = await world.fires.fire_together(delivery(world, trigger, "a", 3, host=host))
    assert (statuses(first), statuses(again)) == (["created"] * 3, ["duplicate"] * 3)
    assert [one.assigned is not None for one in first] == [True, True, False]
    assert [one.run_id for one in again] == [one.run_id for one in first]
    assert (await recorded(world))[:2] == [3, 3]


@pytest.mark.parametrize(("figure", "status"), [("queued_runs", "full"), ("runs_per_day", "spent")])
async def test_a_delivery_over_a_limit_leaves_nothing(world, figure, status):
    """The limit is met half-way: no event of the delivery is a run, a ledger row or counted; a smaller one fits."""
    world.limit(**{figure: 4})
    trigger = await world.trigger()
    await world.fires.fire_together(delivery(world, trigger, "a", 2))
    before = await recorded(world)
    refused = await world.fires.fire_together(delivery(world, trigger, "b", 3))
    assert (statuses(refused), await recorded(world)) == ([status] * 3, before)
    assert statuses(await world.fires.fire_together(delivery(world, trigger, "c", 2))) == ["created"] * 2
    again = await world.fires.fire_together(delivery(world, trigger, "a", 2))
    assert statuses(again) == ["duplicate"] * 2


async def test_one_delivery_of_a_batch_is_refused_alone(world):
    """Deliveries at once of two users: what finds no room is refused whole, and nothing of the others'."""
    world.limit(queued_runs=5)
    mine, other = await world.trigger(), await world.trigger()
    sent = [(mine, "a", 3), (other, "b", 4), (mine, "c", 4), (mine, "d", 2), (other, "e", 1)]
    fired = await asyncio.gather(*(world.fires.fire_together(delivery(world, *one)) for one in sent))
    assert all(len(set(statuses(each))) == 1 for each in fired)
    by_name = dict(zip("abcde", (statuses(each)[0] for each in fired), strict=True))
    assert (by_name["b"], by_name["e"]) == ("created", "created")
    assert by_name["c"] == "full"
    taken = sum(len(each) for each in fired if statuses(each)[0] == "created")
    assert (await recorded(world))[:2] == [taken, taken]
    assert by_name["a"] == "created"


async def test_a_delivery_to_a_changed_trigger_leaves_nothing(world):
    """Another version of the trigger than the one verified against: gone, whole."""
    trigger = await world.trigger()
    await world.rows("UPDATE triggers SET version = 2 WHERE id = %(id)s", id=trigger.id)
    assert statuses(await world.fires.fire_together(delivery(world, trigger, "a", 2))) == ["gone"] * 2
    assert (await recorded(world))[:2] == [0, 0]


async def test_events_that_may_not_run_beside_each_other_are_no_excess(world):
    """A task that skips runs the first event of a delivery; the others leave a skip each and refuse nothing."""
    trigger = await world.trigger(overlap="skip")
    fired = await world.fires.fire_together(delivery(world, trigger, "a", 3, overlap="skip"))
    assert sorted(statuses(fired)) == ["created", "overlap", "overlap"]
    assert await world.skips(trigger) == {"quota": 2}


async def test_a_commit_without_an_answer_is_found_again(world, monkeypatch):
    """The database goes away after the COMMIT: the same delivery is sent again and its runs are our own."""
    trigger, store = await world.trigger(), FireStore(world.engine)
    whole, lost = store._fire_locked, []

    async def unanswered(*given, **named):
        rows = await whole(*given, **named)
        if not lost:
            lost.append(True)
            raise Unavailable
        return rows

    monkeypatch.setattr(store, "_fire_locked", unanswered)
    fired = await store.fire_together(delivery(world, trigger, "a", 2))
    await store.close()
    assert (lost, statuses(fired)) == ([True], ["created"] * 2)
    assert (await recorded(world))[:2] == [2, 2]
