"""Overlap policies on a real PostgreSQL: what happens to an event whose task has a live run."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from taske_ray.clock import new_id
from taske_ray.core.progress import Decision
from taske_ray.core.run import Progress, RunStatus, Step, StepStatus
from taske_ray.db.audit import Entry
from taske_ray.db.fire_values import PollFire, ScheduleFire
from taske_ray.db.fires import FireStore
from taske_ray.db.runs import resolve_run
from taske_ray.db.tasks import TaskRows, TaskText, TriggerRow

pytestmark = pytest.mark.integration


def event(world, trigger, key, overlap, **more):
    return world.event(trigger, key, overlap=overlap, **more)


async def statuses(world, trigger):
    rows = await world.rows("SELECT status FROM runs WHERE trigger_id = %(id)s ORDER BY id", id=trigger.id)
    return [row["status"] for row in rows]


async def finish(world, run_id, status="succeeded"):
    await world.rows(
        "UPDATE runs SET status = %(status)s, owner = NULL, finished_at = clock_timestamp() WHERE id = %(id)s",
        id=run_id,
        status=status,
    )


async def claimable(world):
    return await world.value(
        "SELECT count(*)::int FROM runs WHERE status = 'queued' AND available_at <= clock_timestamp()"
    )


async def edited(world, trigger, overlap):
    """Save the next version of the trigger's task with that policy; the trigger as it is now."""
    text = TaskText(
        "t", enabled=True, overlap=overlap, spec={}, pins={}, trigger=TriggerRow("webhook", "webhook.x", 1, None, {})
    )
    entry = Entry(new_id(), "task.replace", trigger.user_id)
    ids = {"owner": trigger.user_id, "task_id": trigger.task_id, "trigger_id": trigger.id}
    version = await TaskRows(world.database).replace(**ids, expected=trigger.version, task=text, entry=entry)
    return replace(trigger, version=version)


async def resolved(world, trigger, run_id):
    """Decide that the parked run's step is to be sent again."""
    await world.rows(
        "INSERT INTO steps (run_id, step, key, capability, status) VALUES (%(id)s, 1, 'a', 'x', 'unknown')", id=run_id
    )
    decision = Decision(Progress({}, {}, {}), RunStatus.QUEUED, steps=(Step(1, "a", "x", StepStatus.PENDING),))
    entry = Entry(new_id(), "run.resolve", trigger.user_id)
    assert await resolve_run(world.database, owner=trigger.user_id, run_id=run_id, decision=decision, entry=entry)


@pytest.mark.parametrize("live", ["queued", "running", "waiting"])
async def test_skip_leaves_a_skip_while_a_run_is_live(world, live):
    """While a run of the task is queued, running or waiting an event is a skip `quota` with detail `overlap`."""
    trigger = await world.trigger(overlap="skip")
    first = await world.fires.fire(event(world, trigger, "a", "skip"))
    await finish(world, first.run_id, live)
    assert (await world.fires.fire(event(world, trigger, "b", "skip"))).status == "overlap"
    sample = await world.value("SELECT sample FROM skips WHERE trigger_id = %(id)s", id=trigger.id)
    assert await world.skips(trigger) == {"quota": 1}
    assert sample == {"fire_key": "b", "detail": "overlap"}
    assert await statuses(world, trigger) == [live]


@pytest.mark.parametrize("ended", ["succeeded", "failed", "cancelled", "needs_attention"])
async def test_skip_lets_the_next_one_run_once_none_is_live(world, ended):
    """After the run has ended, or is parked for a person, the next event is a run, even one skipped before."""
    trigger = await world.trigger(overlap="skip")
    first = await world.fires.fire(event(world, trigger, "a", "skip"))
    assert (await world.fires.fire(event(world, trigger, "b", "skip"))).status == "overlap"
    await finish(world, first.run_id, ended)
    assert (await world.fires.fire(event(world, trigger, "b", "skip"))).status == "created"


async def test_of_many_at_once_one_runs(world):
    """Forty different events at once, through two stores, are one run and 39 skips; the same again is a duplicate."""
    trigger, host = await world.trigger(overlap="skip"), await world.host()
    other = FireStore(world.engine)
    stores = (world.fires, other)
    answers = await asyncio.gather(
        *(stores[n % 2].fire(event(world, trigger, f"{n}", "skip", host=host)) for n in range(40))
    )
    await other.close()
    created = [n for n, answer in enumerate(answers) if answer.status == "created"]
    assert len(created) == 1
    assert answers[created[0]].assigned is not None
    assert await world.skips(trigger) == {"quota": 39}
    again = await world.fires.fire(event(world, trigger, f"{created[0]}", "skip"))
    assert (again.status, again.run_id) == ("duplicate", answers[created[0]].run_id)


async def test_copies_of_one_delivery_are_one_run_under_a_policy_too(world):
    """Fifty copies of one event for a task that skips are one run and 49 duplicates, and no skip `quota`."""
    trigger = await world.trigger(overlap="skip")
    answers = await asyncio.gather(*(world.fires.fire(event(world, trigger, "same", "skip")) for _ in range(50)))
    assert sorted(answer.status for answer in answers) == ["created"] + ["duplicate"] * 49
    assert len({answer.run_id for answer in answers}) == 1
    assert await world.skips(trigger) == {}


async def test_queue_keeps_one_waiting(world):
    """Of ten events one runs, one is held back until it has ended, and eight are skips."""
    trigger, host = await world.trigger(overlap="queue"), await world.host()
    answers = await asyncio.gather(
        *(world.fires.fire(event(world, trigger, f"{n}", "queue", host=host)) for n in range(10))
    )
    assert sorted(answer.status for answer in answers) == ["created"] * 2 + ["overlap"] * 8
    assert sum(answer.assigned is not None for answer in answers) == 1
    assert await statuses(world, trigger) == ["running", "queued"]
    assert await claimable(world) == 0
    assert await world.skips(trigger) == {"quota": 8}


async def test_what_was_held_back_goes_to_the_queue_when_the_other_has_ended(world):
    """A held run is let go when no run of the task is live, not before, and then another may be held."""
    trigger, host = await world.trigger(overlap="queue"), await world.host()
    running = await world.fires.fire(event(world, trigger, "a", "queue", host=host))
    held = await world.fires.fire(event(world, trigger, "b", "queue", host=host))
    assert (held.status, held.assigned) == ("created", None)
    assert await world.triggers.release_held() == 0
    await finish(world, running.run_id, "waiting")
    assert await world.triggers.release_held() == 0
    await finish(world, running.run_id)
    assert await world.triggers.release_held() == 1
    assert await claimable(world) == 1
    assert (await world.fires.fire(event(world, trigger, "c", "queue"))).status == "created"
    assert await claimable(world) == 1


async def test_a_run_by_hand_is_never_refused_but_counts(world):
    """What is fired by hand starts beside a live run, and the trigger's own events wait for it."""
    trigger = await world.trigger(overlap="skip")
    await world.fires.fire(event(world, trigger, "a", "skip"))
    by_hand = world.event(trigger, "manual:1", trigger_version=None, must_be_enabled=False)
    assert (await world.fires.fire(by_hand)).status == "created"
    rows = await world.rows("SELECT exclusive FROM runs WHERE trigger_id = %(id)s", id=trigger.id)
    assert [row["exclusive"] for row in rows] == [True, True]


async def test_allow_leaves_runs_side_by_side(world):
    """Without a policy every event is a run, and none is marked."""
    trigger = await world.trigger()
    answers = await asyncio.gather(*(world.fires.fire(world.event(trigger, f"{n}")) for n in range(5)))
    assert {answer.status for answer in answers} == {"created"}
    assert await world.value("SELECT bool_or(exclusive) FROM runs") is False


async def test_a_schedule_skips_an_instant_while_its_run_is_live(world):
    """The schedule moves on, and the instant that met a live run is a skip."""
    trigger = await world.trigger("interval", due_in=timedelta(seconds=-3), overlap="skip")
    at = await world.value("SELECT next_fire_at FROM triggers WHERE id = %(id)s", id=trigger.id)
    for n, expected in enumerate(["created", "overlap"]):
        instant = at + timedelta(seconds=n)
        fire = event(world, trigger, instant.isoformat(), "skip", scheduled_at=instant)
        due = ScheduleFire(trigger.id, 1, instant, instant + timedelta(seconds=1), (fire,))
        (fired,) = await world.fires.fire_schedule(due)
        assert fired.status == expected
    assert await world.skips(trigger) == {"quota": 1}


async def test_a_poll_records_the_items_that_may_not_run_and_moves_on(world):
    """Of a page of four for a task that queues, one runs, one is held, two are skips; the cursor passes all four."""
    trigger = await world.trigger("poll", overlap="queue")
    page = PollFire(
        trigger_id=trigger.id,
        cursor_version=0,
        cursor={"value": 1},
        candidates=tuple((key, "", event(world, trigger, key, "queue")) for key in "abcd"),
    )
    fired = await world.fires.fire_poll(page)
    assert [one.status for one in fired.fired] == ["created", "created", "overlap", "overlap"]
    assert await world.skips(trigger) == {"quota": 2}
    assert await world.value("SELECT cursor FROM triggers WHERE id = %(id)s", id=trigger.id) == {"value": 1}
    assert await world.value("SELECT result ->> 'emitted' FROM checks WHERE trigger_id = %(id)s", id=trigger.id) == "2"


@pytest.mark.parametrize("live", ["queued", "running", "waiting"])
async def test_runs_from_before_an_edit_count(world, live):
    """A task that allowed overlaps and skips them from now on: its live runs count; those that ended do not."""
    trigger = await world.trigger()
    before = [(await world.fires.fire(world.event(trigger, key))).run_id for key in "ab"]
    await finish(world, before[0])
    await finish(world, before[1], live)
    trigger = await edited(world, trigger, "skip")
    assert (await world.fires.fire(event(world, trigger, "c", "skip"))).status == "overlap"
    await finish(world, before[1])
    assert (await world.fires.fire(event(world, trigger, "d", "skip"))).status == "created"
    rows = await world.rows("SELECT exclusive FROM runs WHERE trigger_id = %(id)s ORDER BY id", id=trigger.id)
    assert [row["exclusive"] for row in rows] == [False, True, True]


async def test_a_task_that_queues_from_now_on_holds_back_behind_runs_from_before(world):
    """The next event is held until all live runs from before the edit have ended."""
    trigger, host = await world.trigger(), await world.host()
    before = [(await world.fires.fire(world.event(trigger, key, host=host))).run_id for key in "ab"]
    trigger = await edited(world, trigger, "queue")
    held = await world.fires.fire(event(world, trigger, "c", "queue", host=host))
    assert (held.status, held.assigned) == ("created", None)
    released = []
    for run_id in before:
        released.append(await world.triggers.release_held())
        await finish(world, run_id)
    assert [*released, await world.triggers.release_held()] == [0, 0, 1]


async def test_an_edit_that_still_allows_overlaps_marks_nothing(world):
    """Runs of a task without a policy stay unmarked."""
    trigger = await world.trigger()
    await world.fires.fire(world.event(trigger))
    await edited(world, trigger, "allow")
    assert await world.value("SELECT bool_or(exclusive) FROM runs") is False


async def test_a_parked_run_that_goes_on_waits_for_one_that_is_live_by_now(world):
    """Of two that are held behind a third, the older goes on when that ended, and the other after it."""
    trigger = await world.trigger(overlap="queue")
    parked = (await world.fires.fire(event(world, trigger, "a", "queue"))).run_id
    await finish(world, parked, "needs_attention")
    running = (await world.fires.fire(event(world, trigger, "b", "queue"))).run_id
    held = (await world.fires.fire(event(world, trigger, "c", "queue"))).run_id
    await finish(world, running, "running")
    await resolved(world, trigger, parked)
    assert await claimable(world) == 0
    order = []
    for run_id in (running, parked, held):
        assert await world.triggers.release_held() == (0 if run_id == running else 1)
        order.append(await claimable(world))
        await finish(world, run_id)
    assert order == [0, 1, 1]


async def test_a_parked_run_that_goes_on_alone_is_not_held(world):
    """No other run of its task is live: it may be claimed at once."""
    trigger = await world.trigger(overlap="skip")
    parked = (await world.fires.fire(event(world, trigger, "a", "skip"))).run_id
    await finish(world, parked, "needs_attention")
    await resolved(world, trigger, parked)
    assert await claimable(world) == 1
