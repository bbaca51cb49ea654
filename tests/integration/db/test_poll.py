"""Recording a page of a poll on a real PostgreSQL: ledger, runs and cursor together, or none of them."""

import asyncio

import pytest

from taske_ray.clock import new_id
from taske_ray.db.fire_values import PollFire, Skip

pytestmark = pytest.mark.integration


def page(world, trigger, *keys, read=0, cursor=None, **more):
    """A checked page with an item per key."""
    return PollFire(
        trigger_id=trigger.id,
        cursor_version=read,
        cursor=cursor or {"value": read + 1},
        candidates=tuple((key, "", world.event(trigger, key)) for key in keys),
        **more,
    )


async def state(world, trigger):
    (row,) = await world.rows("SELECT cursor, cursor_version FROM triggers WHERE id = %(id)s", id=trigger.id)
    return row["cursor"], row["cursor_version"]


async def fired_keys(world, trigger):
    rows = await world.rows("SELECT fire_key FROM runs WHERE trigger_id = %(id)s ORDER BY id", id=trigger.id)
    return [row["fire_key"] for row in rows]


async def checks(world, trigger):
    rows = await world.rows("SELECT result FROM checks WHERE trigger_id = %(id)s ORDER BY checked_at", id=trigger.id)
    return [row["result"] for row in rows]


async def test_new_items_become_runs_and_the_cursor_moves(world):
    """Each new item is one run, the cursor is the page's, and the check is on record."""
    trigger = await world.trigger("poll")
    fired = await world.fires.fire_poll(page(world, trigger, "a", "b", check={"fetched": 2}))
    assert [one.status for one in fired.fired] == ["created", "created"]
    assert await fired_keys(world, trigger) == ["a", "b"]
    assert await state(world, trigger) == ({"value": 1}, 1)
    assert await checks(world, trigger) == [{"fetched": 2, "duplicate": 0, "emitted": 2}]


async def test_known_items_become_no_second_run(world):
    """An item that the ledger has is counted as a duplicate; another version of it is new."""
    trigger = await world.trigger("poll")
    await world.fires.fire_poll(page(world, trigger, "a", "b"))
    again = page(world, trigger, "b", "c", read=1)
    newer = ("a", "v2", world.event(trigger, '["a","v2"]'))
    fired = await world.fires.fire_poll(PollFire(trigger.id, 1, {"value": 2}, (*again.candidates, newer)))
    assert (len(fired.fired), fired.duplicates) == (2, 1)
    assert await fired_keys(world, trigger) == ["a", "b", "c", '["a","v2"]']


async def test_a_seed_enters_the_ledger_and_fires_nothing(world):
    """What a first check saw is known afterwards and never became a run."""
    trigger = await world.trigger("poll")
    await world.fires.fire_poll(page(world, trigger, seed=(("old", ""), ("older", "v"))))
    fired = await world.fires.fire_poll(page(world, trigger, "old", "new", read=1))
    assert (len(fired.fired), fired.duplicates) == (1, 1)
    assert await world.triggers.known_items(trigger.id, [("old", ""), ("older", ""), ("older", "v")]) == {
        ("old", ""),
        ("older", "v"),
    }


async def test_a_batch_counts_the_items_that_were_known(world):
    """One run stands for the new items of a page; the check says how many of the others were known."""
    trigger = await world.trigger("poll")
    await world.fires.fire_poll(page(world, trigger, seed=(("a", ""), ("b", ""))))
    batch = page(world, trigger, "c", read=1, seed=(("a", ""), ("b", ""), ("d", "")))
    fired = await world.fires.fire_poll(batch)
    assert (len(fired.fired), fired.duplicates) == (1, 2)


async def test_the_loser_of_a_race_discards_its_page(world):
    """Of two checks that read the same cursor one records; the other writes nothing at all."""
    trigger = await world.trigger("poll")
    answers = await asyncio.gather(
        *(world.fires.fire_poll(page(world, trigger, f"{n}", skips=(Skip(trigger.id, "filtered"),))) for n in range(2))
    )
    assert sorted(answer.lost for answer in answers) == [False, True]
    assert len(await fired_keys(world, trigger)) == 1
    assert await state(world, trigger) == ({"value": 1}, 1)
    assert await world.skips(trigger) == {"filtered": 1}
    assert len(await checks(world, trigger)) == 1


async def test_a_page_that_meets_a_full_queue_is_not_consumed(world):
    """No ledger row, no cursor, no run: the items come again; a skip `quota` and a check say why."""
    trigger = await world.trigger("poll")
    await world.queued(trigger, 2)
    world.limit(queued_runs=2)
    fired = await world.fires.fire_poll(page(world, trigger, "a", "b"))
    assert (fired.full, fired.lost, fired.fired) == (True, False, ())
    assert await state(world, trigger) == (None, 0)
    assert await world.triggers.known_items(trigger.id, [("a", ""), ("b", "")]) == set()
    assert await world.skips(trigger) == {"quota": 2}
    assert (await checks(world, trigger))[0]["error"]["code"] == "queue_full"
    world.limit(queued_runs=10)
    assert len((await world.fires.fire_poll(page(world, trigger, "a", "b"))).fired) == 2


async def test_a_page_of_an_edited_trigger_is_not_consumed(world):
    """A page that was asked for before an edit is discarded, so that the new version still finds its items."""
    trigger = await world.trigger("poll")
    await world.rows("UPDATE triggers SET version = 2 WHERE id = %(id)s", id=trigger.id)
    assert (await world.fires.fire_poll(page(world, trigger, "a"))).lost
    assert await state(world, trigger) == (None, 0)
    assert await world.triggers.known_items(trigger.id, [("a", "")]) == set()
    assert await checks(world, trigger) == []


async def test_a_disabled_trigger_takes_no_page(world):
    """A check that ends after its trigger was disabled changes nothing."""
    trigger = await world.trigger("poll")
    await world.rows("UPDATE triggers SET enabled = false WHERE id = %(id)s", id=trigger.id)
    assert (await world.fires.fire_poll(page(world, trigger, "a"))).lost
    assert await state(world, trigger) == (None, 0)


async def test_the_ledger_remembers_longer_than_the_cursor(world):
    """An item whose run was recorded by another page is no run again, even under the same fire key."""
    trigger = await world.trigger("poll")
    await world.fires.fire_poll(page(world, trigger, "a"))
    await world.rows("DELETE FROM poll_ledger WHERE trigger_id = %(id)s", id=trigger.id)
    fired = await world.fires.fire_poll(page(world, trigger, "a", read=1))
    assert [one.status for one in fired.fired] == ["duplicate"]
    assert await fired_keys(world, trigger) == ["a"]


async def test_failures_are_counted_until_a_check_succeeds(world):
    """A failed check leaves the cursor and counts one more error; a good one sets the count back."""
    trigger = await world.trigger("poll")
    for _ in range(3):
        await world.triggers.poll_failed(trigger.id, {"error": {"code": "http_error"}})
    (loaded,) = await world.triggers.load([trigger.id])
    assert (loaded.consecutive_errors, loaded.cursor, loaded.cursor_version) == (3, None, 0)
    await world.fires.fire_poll(page(world, trigger))
    (loaded,) = await world.triggers.load([trigger.id])
    assert (loaded.consecutive_errors, loaded.cursor_version) == (0, 1)


async def test_the_last_hundred_checks_are_kept(world):
    """However many checks succeed or fail, a hundred rows stay, the latest ones."""
    trigger = await world.trigger("poll")
    await world.rows(
        "INSERT INTO checks SELECT %(id)s, clock_timestamp() - make_interval(mins => n), '{}'"
        " FROM generate_series(1, 150) n",
        id=trigger.id,
    )
    await world.fires.fire_poll(page(world, trigger))
    assert len(await checks(world, trigger)) == 100
    await world.triggers.poll_failed(trigger.id, {"error": {}})
    kept = await checks(world, trigger)
    assert (len(kept), kept[-1]) == (100, {"error": {}})


async def test_desired_and_changed_triggers(world):
    """Enabled triggers are desired in their version; each change of one is read on from the last number."""
    trigger, other = await world.trigger("poll"), await world.trigger("cron")
    assert await world.triggers.desired() == {trigger.id: 1, other.id: 1}
    seen = max(change.change for change in await world.triggers.changes(0))
    await world.rows(
        "UPDATE triggers SET enabled = false, change = nextval('trigger_changes') WHERE id = %(id)s", id=other.id
    )
    (change,) = await world.triggers.changes(seen)
    assert (change.id, change.enabled) == (other.id, False)
    assert await world.triggers.desired() == {trigger.id: 1}
    assert [one.id for one in await world.triggers.load([trigger.id, other.id, new_id()])] == [trigger.id]
