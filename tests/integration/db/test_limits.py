"""What one user may take when events are recorded: running, queued and daily runs (durability, 4.1 and 12)."""

import asyncio
from datetime import timedelta

import pytest

from taske_ray.db.fire_values import ScheduleFire
from taske_ray.db.fires import FireStore
from taske_ray.db.runs import Advance
from taske_ray.limits import profiles

pytestmark = pytest.mark.integration
LATE = timedelta(seconds=-3)


async def at_once(world, trigger, host, count):
    """How many of so many events of a trigger, in one batch, were born running."""
    events = [world.event(trigger, f"{trigger.id} {host} {n}", host=host) for n in range(count)]
    return sum(one.assigned is not None for one in await asyncio.gather(*map(world.fires.fire, events)))


def due_fire(world, trigger, at):
    """The schedule's instant `at`, which moves on by a minute."""
    fires = (world.event(trigger, "instant", scheduled_at=at),)
    return ScheduleFire(trigger.id, trigger.version, at, at + timedelta(minutes=1), fires)


# running runs -----------------------------------------------------------------------------------------------


async def test_a_user_alone_may_have_every_slot(world):
    """Nobody else waits: a batch of one user fills the host."""
    host, trigger = await world.host(capacity=40), await world.trigger()
    assert await at_once(world, trigger, host, 60) == 40


async def test_while_others_wait_a_user_has_half_of_the_slots(world):
    """Somebody else's due run is queued: what is running already counts, and beyond half of the slots runs queue."""
    host, trigger, other = await world.host(capacity=40), await world.trigger(), await world.trigger()
    assert await at_once(world, trigger, host, 8) == 8
    await world.queued(other, 1)
    second = await world.trigger(user_id=trigger.user_id)
    assert await at_once(world, second, host, 30) == 12
    third = await world.trigger(user_id=trigger.user_id)
    assert await at_once(world, third, host, 1) == 0


async def test_half_of_few_slots_is_ten(world):
    """Where there are few slots a user may have ten of them all the same."""
    host, trigger, other = await world.host(capacity=12), await world.trigger(), await world.trigger()
    await world.queued(other, 1)
    assert await at_once(world, trigger, host, 12) == 10


async def test_who_sleeps_waits_for_no_slot(world):
    """A run of somebody else that is due tomorrow leaves a user all the slots; so does one that executes alone."""
    host, trigger, other = await world.host(capacity=40), await world.trigger(), await world.trigger()
    asleep, suspect = await world.queued(other, 2)
    await world.rows("UPDATE runs SET available_at = now() + interval '1 day' WHERE id = %(id)s", id=asleep)
    await world.rows("UPDATE runs SET crashes = 2 WHERE id = %(id)s", id=suspect)
    assert await at_once(world, trigger, host, 30) == 30


async def test_a_share_holds_on_the_fast_path(world):
    """With ten running runs a user, the eleventh of a batch is queued, and of the next batch all; others start."""
    world.limit(running_runs=10)
    host, trigger, other = await world.host(), await world.trigger(), await world.trigger()
    assert await at_once(world, trigger, host, 25) == 10
    assert await at_once(world, other, host, 3) == 3
    running = "SELECT count(*)::int FROM runs WHERE status = 'running' AND user_id = %(u)s"
    assert await world.value(running, u=trigger.user_id) == 10


async def test_a_share_counts_runs_on_every_host(world):
    """Where a user's runs execute makes no difference."""
    world.limit(running_runs=10)
    one, two = await world.host(), await world.host()
    trigger = await world.trigger()
    assert (await at_once(world, trigger, one, 6), await at_once(world, trigger, two, 6)) == (6, 4)


async def test_runs_that_the_share_left_out_do_not_use_up_the_host(world):
    """Of a batch whose first hundred belong to one user, the other user's run still gets its slot."""
    world.limit(running_runs=10)
    host, flood, other = await world.host(capacity=20), await world.trigger(), await world.trigger()
    events = [world.event(flood, f"{n}", host=host) for n in range(100)] + [world.event(other, "one", host=host)]
    fired = await asyncio.gather(*map(world.fires.fire, events))
    assert fired[-1].assigned is not None


async def test_a_flood_leaves_others_their_turn(world):
    """A queues 3,000 runs, B 30 behind them: B's last run starts within its first 90 claims (12.1)."""
    flood, late, host = await world.trigger(), await world.trigger(), await world.host(capacity=200)
    many = "SELECT gen_random_uuid(), %(u)s, %(t)s, 1, %(g)s, 'queued' FROM generate_series(1, 3000)"
    insert = f"INSERT INTO runs (id, user_id, task_id, task_version, trigger_id, status) {many}"
    await world.rows(insert, u=flood.user_id, t=flood.task_id, g=flood.id)
    wanted = set(await world.queued(late, 30))
    store, order = world.store(host), []
    while not wanted <= set(order):
        taken = await store.claim(most=100)
        order += [run.run_id for run in taken]
        await asyncio.gather(*(store.advance(Advance(run.run_id, run.fence, "succeeded")) for run in taken))
    before_its_last = max(order.index(run_id) for run_id in wanted) + 1
    assert before_its_last <= 90


# queued runs --------------------------------------------------------------------------------------------------


async def test_a_batch_fills_a_queue_to_its_limit_and_no_further(world):
    """Of fifty events at once for a queue of twenty, twenty are runs, thirty are neither run nor event."""
    world.limit(queued_runs=20)
    trigger = await world.trigger()
    fired = await asyncio.gather(*(world.fires.fire(world.event(trigger, f"{n}")) for n in range(50)))
    assert [sum(one.status == status for one in fired) for status in ("created", "full")] == [20, 30]
    assert await world.value("SELECT count(*)::int FROM events") == 20


async def test_copies_of_one_delivery_take_one_place(world):
    """Fifty copies of a delivery that has the last place are one run and forty-nine equal answers."""
    world.limit(queued_runs=1)
    trigger = await world.trigger()
    fired = await asyncio.gather(*(world.fires.fire(world.event(trigger, "same")) for _ in range(50)))
    assert sorted(one.status for one in fired) == ["created"] + ["duplicate"] * 49
    assert len({one.run_id for one in fired}) == 1


# the runs of a day --------------------------------------------------------------------------------------------


async def test_a_day_has_so_many_runs(world):
    """The sixth run of a day is refused, whatever became of the others; another user has days of their own."""
    world.limit(runs_per_day=5)
    trigger, other = await world.trigger(), await world.trigger()
    fired = await asyncio.gather(*(world.fires.fire(world.event(trigger, f"{n}")) for n in range(9)))
    assert sorted(one.status for one in fired) == ["created"] * 5 + ["spent"] * 4
    await world.rows("UPDATE runs SET status = 'succeeded'")
    assert (await world.fires.fire(world.event(trigger, "later"))).status == "spent"
    assert (await world.fires.fire(world.event(other, "a"))).status == "created"


async def test_what_became_no_run_is_not_counted(world):
    """Copies, and events of a trigger that is gone, use up nothing of the day."""
    world.limit(runs_per_day=3)
    trigger, gone = await world.trigger(), await world.trigger()
    await world.rows("UPDATE triggers SET enabled = false WHERE id = %(id)s", id=gone.id)
    for _ in range(4):
        await world.fires.fire(world.event(trigger, "same"))
    await world.fires.fire(world.event(gone, "a"))
    assert await world.rows("SELECT user_id, runs FROM run_counts") == [{"user_id": trigger.user_id, "runs": 1}]
    assert (await world.fires.fire(world.event(trigger, "same"))).status == "duplicate"


async def test_the_next_day_begins_anew(world):
    """What was used up yesterday (UTC) is yesterday's."""
    world.limit(runs_per_day=1)
    trigger = await world.trigger()
    await world.fires.fire(world.event(trigger, "a"))
    assert (await world.fires.fire(world.event(trigger, "b"))).status == "spent"
    await world.rows("UPDATE run_counts SET day = day - 1")
    assert (await world.fires.fire(world.event(trigger, "b"))).status == "created"


async def test_without_a_limit_nothing_is_counted(world):
    """The machine's owner pays for no counter."""
    await world.fires.fire(world.event(await world.trigger(), "a"))
    assert await world.rows("SELECT * FROM run_counts") == []


async def test_an_instant_of_a_spent_day_leaves_a_skip(world):
    """A schedule moves on, and what it did not run is a skip `quota` with the reason."""
    world.limit(runs_per_day=1)
    first = await world.trigger()
    trigger = await world.trigger("cron", user_id=first.user_id, due_in=LATE)
    await world.fires.fire(world.event(first, "a"))
    at = await world.value("SELECT next_fire_at FROM triggers WHERE id = %(id)s", id=trigger.id)
    (fired,) = await world.fires.fire_schedule(due_fire(world, trigger, at))
    assert fired.status == "spent"
    assert await world.value("SELECT sample ->> 'detail' FROM skips WHERE trigger_id = %(i)s", i=trigger.id) == (
        "runs_per_day"
    )


async def test_two_processes_share_a_day(world):
    """Two stores that record at the same time count in one place."""
    world.limit(runs_per_day=100)
    trigger, other = await world.trigger(), FireStore(world.engine, limits=profiles["public"])
    stores = (world.fires, other)
    await asyncio.gather(*(stores[n % 2].fire(world.event(trigger, f"{n}")) for n in range(60)))
    await other.close()
    assert await world.value("SELECT runs FROM run_counts") == 60
