"""Firing on a real PostgreSQL: one run per key, owned at once where that is fair, and a row for what did not run."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from taske_ray.clock import new_id
from taske_ray.db import fires
from taske_ray.db.fire_values import ScheduleFire, Skip

pytestmark = pytest.mark.integration
LATE = timedelta(seconds=-3)


async def count_runs(world, trigger):
    return await world.value("SELECT count(*)::int FROM runs WHERE trigger_id = %(id)s", id=trigger.id)


async def test_a_new_event_becomes_one_run_with_its_input_and_version(world):
    """The run carries the event's input, pins the task version and is queued where no host was chosen."""
    trigger = await world.trigger()
    fired = await world.fires.fire(world.event(trigger, "a", input={"n": [1, "ü", None]}))
    run = await world.run(fired.run_id)
    assert (fired.status, fired.assigned) == ("created", None)
    assert (run["status"], run["fence"], run["owner"]) == ("queued", 0, None)
    assert (run["task_version"], run["fire_key"], run["input"]) == (1, "a", {"n": [1, "ü", None]})


async def test_the_same_event_again_answers_the_first_run(world):
    """A repeated key makes nothing and answers with the run that exists."""
    trigger = await world.trigger()
    first = await world.fires.fire(world.event(trigger, "a"))
    again = await world.fires.fire(world.event(trigger, "a"))
    assert (again.status, again.run_id) == ("duplicate", first.run_id)
    assert await count_runs(world, trigger) == 1


async def test_fifty_at_once_are_one_run_and_one_answer(world):
    """Fifty concurrent deliveries of one event, through two processes' stores, give one run and one run id."""
    trigger = await world.trigger()
    other = fires.FireStore(world.database)
    stores = (world.fires, other)
    answers = await asyncio.gather(*(stores[n % 2].fire(world.event(trigger, "same")) for n in range(50)))
    await other.close()
    assert len({answer.run_id for answer in answers}) == 1
    assert sorted(answer.status for answer in answers) == ["created"] + ["duplicate"] * 49
    assert await count_runs(world, trigger) == 1
    assert await world.value("SELECT count(*)::int FROM events WHERE trigger_id = %(id)s", id=trigger.id) == 1


async def test_the_same_key_of_two_triggers_are_two_events(world):
    """Fire keys are scoped to their trigger."""
    one, two = await world.trigger(), await world.trigger()
    answers = [await world.fires.fire(world.event(trigger, "a")) for trigger in (one, two)]
    assert [answer.status for answer in answers] == ["created", "created"]


async def test_a_commit_whose_answer_was_lost_is_repeated_without_harm(world):
    """The same event with the same run id answers `created` again, with the owner it was given."""
    trigger, host = await world.trigger(), await world.host()
    event = world.event(trigger, "a", host=host)
    first = await world.fires.fire(event)
    again = await world.fires.fire(event)
    assert first.assigned is not None
    assert again == first
    assert await count_runs(world, trigger) == 1


async def test_a_live_host_gets_the_run_at_once(world):
    """A run for a live host with room is born running, owned, with fence and claims of one."""
    trigger, host = await world.trigger(), await world.host()
    fired = await world.fires.fire(world.event(trigger, "a", host=host))
    run = await world.run(fired.run_id)
    assert (run["status"], run["owner"], run["fence"], run["claims"]) == ("running", host, 1, 1)
    assert run["assigned_at"] is not None
    assert (fired.assigned.host, fired.assigned.fence, fired.assigned.input) == (host, 1, {"key": "a"})


@pytest.mark.parametrize(
    "how", ["unknown", "dead", "drained", "lease over", "lease nearly over", "full"], ids=lambda how: how
)
async def test_a_host_that_cannot_take_it_leaves_the_run_queued(world, how):
    """A host that is not live, whose lease ends within 5 s, or that is full gets nothing; the run is queued."""
    trigger = await world.trigger()
    lease_s = {"lease over": -1, "lease nearly over": 4}.get(how, 30)
    host = await world.host(capacity=0 if how == "full" else 100, lease_s=lease_s)
    if how in ("dead", "drained"):
        await world.rows("UPDATE hosts SET state = %(state)s WHERE id = %(id)s", state=how, id=host)
    fired = await world.fires.fire(world.event(trigger, "a", host=new_id() if how == "unknown" else host))
    assert (fired.status, fired.assigned) == ("created", None)
    assert (await world.run(fired.run_id))["status"] == "queued"


async def test_a_batch_fills_a_host_to_its_capacity_and_no_further(world):
    """Of twelve events in one batch for a host of five slots, five are owned and seven queued."""
    host = await world.host(capacity=5)
    triggers = [await world.trigger() for _ in range(12)]
    answers = await asyncio.gather(*(world.fires.fire(world.event(t, "a", host=host)) for t in triggers))
    assert sum(answer.assigned is not None for answer in answers) == 5
    assert await world.value("SELECT count(*)::int FROM runs WHERE owner = %(id)s", id=host) == 5


async def test_nothing_overtakes_the_queue_of_its_user(world):
    """While a due run of the user waits, new ones queue behind it; another user's run starts at once."""
    trigger, other, host = await world.trigger(), await world.trigger(), await world.host()
    await world.queued(trigger, 1)
    behind = await world.fires.fire(world.event(trigger, "later", host=host))
    free = await world.fires.fire(world.event(other, "a", host=host))
    assert (behind.assigned is None, free.assigned is None) == (True, False)


async def test_a_run_that_waits_for_later_is_not_overtaken(world):
    """A run that sleeps until tomorrow is no queue."""
    trigger, host = await world.trigger(), await world.host()
    (sleeping,) = await world.queued(trigger, 1)
    await world.rows(
        "UPDATE runs SET status = 'waiting', available_at = clock_timestamp() + interval '1 day' WHERE id = %(id)s",
        id=sleeping,
    )
    assert (await world.fires.fire(world.event(trigger, "a", host=host))).assigned is not None


@pytest.mark.parametrize("how", ["deleted", "disabled", "edited"])
async def test_a_trigger_that_is_no_longer_what_was_checked_fires_nothing(world, how):
    """A deleted or disabled trigger, or another version than the one checked against, answers `gone`."""
    trigger = await world.trigger()
    change = {
        "deleted": "DELETE FROM tasks WHERE id = %(id)s",
        "disabled": "UPDATE triggers SET enabled = false WHERE task_id = %(id)s",
        "edited": "UPDATE triggers SET version = 2 WHERE task_id = %(id)s",
    }[how]
    await world.rows(change, id=trigger.task_id)
    assert (await world.fires.fire(world.event(trigger, "a"))).status == "gone"
    assert await count_runs(world, trigger) == 0


async def test_by_hand_a_disabled_trigger_fires_in_any_version(world):
    """A run by hand, or a replay of an older version, needs the trigger only to exist."""
    trigger = await world.trigger()
    await world.rows("UPDATE triggers SET enabled = false, version = 2 WHERE id = %(id)s", id=trigger.id)
    event = world.event(trigger, "by hand", trigger_version=None, must_be_enabled=False)
    assert (await world.fires.fire(event)).status == "created"


async def test_an_edit_changes_no_run_in_flight(world):
    """A run keeps the version it was fired with, and that version's text can still be read."""
    trigger, host = await world.trigger(), await world.host()
    fired = await world.fires.fire(world.event(trigger, "a"))
    await world.rows("UPDATE tasks SET version = 2, name = 'new' WHERE id = %(id)s", id=trigger.task_id)
    await world.rows(
        "INSERT INTO task_versions (task_id, version, user_id, spec, pins) VALUES (%(t)s, 2, %(u)s, '{}', '{}')",
        t=trigger.task_id,
        u=trigger.user_id,
    )
    (claimed,) = await world.store(host).claim(share=10, most=10)
    text = await world.store(host).task(claimed.task_id, claimed.task_version)
    assert (claimed.run_id, claimed.task_version) == (fired.run_id, 1)
    assert text.spec["actions"][0]["capability"] == "http.request"


async def test_a_full_queue_answers_full_and_records_nothing(world):
    """At the limit of queued runs an event is neither run nor event, so that it may come again; others go on."""
    trigger, other = await world.trigger(), await world.trigger()
    await world.queued(trigger, 3)
    world.limit(queued_runs=3)
    assert (await world.fires.fire(world.event(trigger, "a"))).status == "full"
    assert (await world.fires.fire(world.event(other, "a"))).status == "created"
    world.limit(queued_runs=4)
    assert (await world.fires.fire(world.event(trigger, "a"))).status == "created"


async def test_one_bad_event_fails_alone(world):
    """An event that the database refuses fails by itself; its batch neighbours become runs."""
    trigger = await world.trigger()
    bad = world.event(trigger, "nul \0 byte")
    good = [world.event(trigger, f"good {n}") for n in range(5)]
    answers = await asyncio.gather(*(world.fires.fire(e) for e in [*good, bad]), return_exceptions=True)
    assert [answer.status for answer in answers[:5]] == ["created"] * 5
    assert isinstance(answers[5], Exception)
    assert await count_runs(world, trigger) == 5


# schedules ------------------------------------------------------------------------------------------------------------


def due_fire(world, trigger, at, key="instant", **more):
    """The schedule's instant `at`, which moves on by a minute."""
    return ScheduleFire(
        trigger_id=trigger.id,
        version=trigger.version,
        expected=at,
        next_fire_at=at + timedelta(minutes=1),
        fires=(world.event(trigger, key, scheduled_at=at),),
        **more,
    )


async def due_at(world, trigger):
    return await world.value("SELECT next_fire_at FROM triggers WHERE id = %(id)s", id=trigger.id)


async def test_an_instant_fires_and_the_schedule_moves_in_one_transaction(world):
    """The run knows its instant, and the trigger's next instant is the one after it."""
    trigger = await world.trigger("cron", due_in=LATE)
    at = await due_at(world, trigger)
    (fired,) = await world.fires.fire_schedule(due_fire(world, trigger, at))
    assert (await world.run(fired.run_id))["scheduled_at"] == at
    assert await due_at(world, trigger) == at + timedelta(minutes=1)


async def test_two_watchers_fire_an_instant_once(world):
    """Of two watchers in two processes, and two in one batch, one fires; the others are told that it moved."""
    trigger = await world.trigger("cron", due_in=LATE)
    at = await due_at(world, trigger)
    other = fires.FireStore(world.database)
    missed = (Skip(trigger.id, "misfire", 3),)
    answers = await asyncio.gather(
        *(
            store.fire_schedule(due_fire(world, trigger, at, skips=missed))
            for store in (world.fires, other, world.fires)
        )
    )
    await other.close()
    assert sorted(answer is None for answer in answers) == [False, True, True]
    assert await count_runs(world, trigger) == 1
    assert await world.skips(trigger) == {"misfire": 3}
    assert await due_at(world, trigger) == at + timedelta(minutes=1)


async def test_in_one_batch_only_the_expected_instant_moves(world):
    """A watcher with an outdated instant does not fire because its neighbour in the batch is right."""
    trigger = await world.trigger("cron", due_in=LATE)
    at = await due_at(world, trigger)
    stale = at - timedelta(minutes=5)
    wrong, right = await asyncio.gather(
        world.fires.fire_schedule(due_fire(world, trigger, stale, "stale")),
        world.fires.fire_schedule(due_fire(world, trigger, at, "right")),
    )
    assert (wrong is None, right is None) == (True, False)
    assert await world.value("SELECT fire_key FROM runs WHERE trigger_id = %(id)s", id=trigger.id) == "right"


@pytest.mark.parametrize("how", ["disabled", "edited"])
async def test_a_schedule_that_changed_does_not_move(world, how):
    """A disabled schedule, or one in another version, fires nothing and keeps its instant."""
    trigger = await world.trigger("cron", due_in=LATE)
    at = await due_at(world, trigger)
    change = {"disabled": "enabled = false", "edited": "version = 2"}[how]
    await world.rows(f"UPDATE triggers SET {change} WHERE id = %(id)s", id=trigger.id)
    assert await world.fires.fire_schedule(due_fire(world, trigger, at)) is None
    assert await count_runs(world, trigger) == 0
    assert await due_at(world, trigger) == at


async def test_an_instant_that_meets_a_full_queue_leaves_a_skip(world):
    """A schedule moves on over a full queue, and the instant that did not run is a skip `quota`."""
    trigger = await world.trigger("cron", due_in=LATE)
    at = await due_at(world, trigger)
    await world.queued(trigger, 2)
    world.limit(queued_runs=2)
    (fired,) = await world.fires.fire_schedule(due_fire(world, trigger, at))
    assert fired.status == "full"
    assert await world.skips(trigger) == {"quota": 1}
    assert await due_at(world, trigger) == at + timedelta(minutes=1)


async def test_the_sweep_sees_schedules_a_second_late_and_nothing_else(world):
    """Due since more than a second, enabled and a schedule: only then the sweep takes it."""
    late = await world.trigger("cron", due_in=LATE)
    interval = await world.trigger("interval", due_in=LATE)
    await world.trigger("cron", due_in=timedelta(seconds=60))
    await world.trigger("poll", due_in=LATE)
    off = await world.trigger("cron", due_in=LATE)
    await world.rows("UPDATE triggers SET enabled = false WHERE id = %(id)s", id=off.id)
    assert {trigger.id for trigger in await world.triggers.overdue()} == {late.id, interval.id}


# skips ------------------------------------------------------------------------------------------------------


async def test_a_flood_of_skips_is_one_row_a_minute(world):
    """Five hundred skips of one reason are at most two rows, for two minutes, with their count and one sample."""
    trigger = await world.trigger()
    await asyncio.gather(
        *(world.fires.skip(Skip(trigger.id, "invalid_signature", sample={"n": n})) for n in range(500))
    )
    found = await world.rows("SELECT * FROM skips WHERE trigger_id = %(id)s ORDER BY minute", id=trigger.id)
    assert len(found) <= 2
    assert sum(row["count"] for row in found) == 500
    assert found[0]["sample"] == {"n": 0}


async def test_skips_of_several_reasons_stay_apart(world):
    """Each reason has its own row, and a range counts as many as it stands for."""
    trigger = await world.trigger()
    for skip in (Skip(trigger.id, "misfire", 17), Skip(trigger.id, "duplicate"), Skip(trigger.id, "misfire", 3)):
        await world.fires.skip(skip)
    assert await world.skips(trigger) == {"misfire": 20, "duplicate": 1}


async def test_the_database_refuses_a_second_event_of_one_key(world):
    """Writing a second ledger row by hand is refused by the primary key."""
    trigger = await world.trigger()
    await world.fires.fire(world.event(trigger, "a"))
    insert = "INSERT INTO events (trigger_id, fire_key, run_id) VALUES (%(t)s, 'a', %(r)s)"
    with pytest.raises(Exception, match="events_pkey"):
        await world.rows(insert, t=trigger.id, r=new_id())


async def test_runs_of_every_week_have_a_partition(world):
    """This week and the next three have partitions; an id of any other time still has a place."""
    names = {
        row["name"]
        for row in await world.rows(
            "SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = 'runs'::regclass"
        )
    }
    now = datetime.now(UTC)
    for week in range(4):
        year, number, _ = (now + timedelta(weeks=week)).isocalendar()
        assert f"runs_{year}w{number:02}" in names
    assert "runs_rest" in names
    trigger = await world.trigger()
    fired = await world.fires.fire(world.event(trigger, "a"))
    year, number, _ = now.isocalendar()
    where = await world.value("SELECT tableoid::regclass::text FROM runs WHERE id = %(id)s", id=fired.run_id)
    assert where == f"runs_{year}w{number:02}"


async def test_ensuring_a_week_twice_changes_nothing(world):
    """`ensure_week` may be called again and again, and for any instant."""
    for _ in range(2):
        await world.rows("SELECT ensure_week('2031-01-01T00:00:00Z')")
    bound = await world.value(
        "SELECT pg_get_expr(relpartbound, oid) FROM pg_class WHERE relname = 'attempts_2031w01'",
    )
    monday = int(datetime(2030, 12, 30, tzinfo=UTC).timestamp() * 1000)
    assert f"{monday:012x}" in bound.replace("-", "")
