"""A task that does nothing but fail is switched off, with a reason and a mail; one success and it is not."""

from datetime import timedelta

import pytest

from taske_ray.clock import new_id
from taske_ray.db.run_ends import RunEnds
from taske_ray.limits import Limits
from taske_ray.services.failures import Failures

pytestmark = pytest.mark.integration


@pytest.fixture
def failures(world):
    """What tells, on a service that switches off after five failed runs in a row."""
    return Failures(RunEnds(world.engine), world.fires, Limits(failed_runs=5))


async def ended(world, trigger, *statuses, ago=timedelta()):
    """Runs of that trigger that ended like this, one after another, so long ago."""
    for status in statuses:
        run_id = new_id()
        await world.rows(
            "INSERT INTO runs (id, user_id, task_id, task_version, trigger_id, status, created_at, finished_at)"
            " VALUES (%(i)s, %(u)s, %(t)s, 1, %(g)s, %(s)s, clock_timestamp() - %(a)s, clock_timestamp() - %(a)s)",
            i=run_id,
            u=trigger.user_id,
            t=trigger.task_id,
            g=trigger.id,
            s=status,
            a=ago,
        )
        if status == "failed":
            await world.rows("INSERT INTO run_ends VALUES (%(id)s, 1, 'failed')", id=run_id)


async def state(world, trigger):
    """Whether the task and its trigger are enabled, and why not."""
    statement = (
        "SELECT k.enabled AS task, g.enabled AS trigger, g.paused_reason, g.next_fire_at, g.change FROM tasks k"
        " JOIN triggers g ON g.task_id = k.id WHERE k.id = %(id)s"
    )
    return (await world.rows(statement, id=trigger.task_id))[0]


@pytest.fixture
async def trigger(world):
    """A schedule that was switched on ten days ago."""
    found = await world.trigger("cron", due_in=timedelta(hours=1))
    await world.rows("UPDATE triggers SET updated_at = now() - interval '10 days' WHERE id = %(id)s", id=found.id)
    await world.rows("UPDATE users SET status = 'active' WHERE id = %(id)s", id=found.user_id)
    return found


async def test_after_so_many_failures_in_a_row(world, failures, trigger):
    """Four failures change nothing; the fifth switches off task and trigger, says why, and writes to the owner once."""
    before = await state(world, trigger)
    await ended(world, trigger, *["failed"] * 4)
    await failures.tell()
    assert await state(world, trigger) == before
    await ended(world, trigger, *["failed"] * 3)
    await failures.tell()
    after = await state(world, trigger)
    assert (after["task"], after["trigger"], after["next_fire_at"]) == (False, False, None)
    assert after["paused_reason"] == "failing: 7 failed runs in a row"
    assert after["change"] > before["change"]
    await ended(world, trigger, "failed")
    await failures.tell()
    mails = await world.rows("SELECT subject, body_text FROM mails WHERE purpose = 'task_switched_off'")
    assert [mail["subject"] for mail in mails] == ['Task "t" was switched off']
    assert "taske task enable task_" in mails[0]["body_text"]


async def test_one_success_begins_anew(world, failures, trigger):
    """What failed before a run that succeeded is forgotten; a run that was cancelled, or waits, is no success."""
    await ended(world, trigger, *["failed"] * 4, "succeeded", *["failed"] * 4)
    await failures.tell()
    assert (await state(world, trigger))["task"]
    await ended(world, trigger, "cancelled", "needs_attention", "waiting", "failed")
    await failures.tell()
    assert not (await state(world, trigger))["task"]


async def test_a_task_that_is_saved_or_switched_on_begins_anew(world, failures, trigger):
    """Failures of before the last change say nothing about the task as it is now."""
    await ended(world, trigger, *["failed"] * 4, ago=timedelta(hours=1))
    await world.rows("UPDATE triggers SET updated_at = now() WHERE id = %(id)s", id=trigger.id)
    await ended(world, trigger, *["failed"] * 4)
    await failures.tell()
    assert (await state(world, trigger))["task"]


async def test_after_so_many_hours_of_nothing_but_failures(world, failures, trigger):
    """Two failures that are five days apart, with nothing that succeeded since the first, are enough."""
    await ended(world, trigger, "failed", ago=timedelta(hours=119))
    await ended(world, trigger, "failed")
    await failures.tell()
    assert (await state(world, trigger))["task"]
    earlier = "UPDATE runs SET finished_at = finished_at - interval '2 h' WHERE finished_at < now() - interval '1 h'"
    await world.rows(earlier)
    await ended(world, trigger, "failed")
    await failures.tell()
    assert (await state(world, trigger))["paused_reason"] == "failing: no run has succeeded for 120 hours"


async def test_without_limits_nothing_is_switched_off(world, trigger):
    """An operator may lift both."""
    failures = Failures(RunEnds(world.engine), world.fires, Limits(failed_runs=None, failing_hours=None))
    await ended(world, trigger, "failed", ago=timedelta(days=9))
    await ended(world, trigger, *["failed"] * 60)
    await failures.tell()
    assert (await state(world, trigger))["task"]


async def test_others_are_left_alone(world, failures, trigger):
    """Of two tasks whose runs fail in the same moment only the one that fails all the time is switched off."""
    other = await world.trigger(user_id=trigger.user_id)
    await ended(world, other, "failed")
    await ended(world, trigger, *["failed"] * 5)
    await failures.tell()
    assert [(await state(world, one))["task"] for one in (trigger, other)] == [False, True]
