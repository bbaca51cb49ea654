"""CronWatcher: fires its instants once, treats missed ones by the policy, and believes the row."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from actors.watchers.cron import CronWatcher
from actors.watchers.webhook import WebhookWatcher

NOON = datetime(2027, 5, 4, 12, tzinfo=UTC)
HOURLY = {"cron": "0 * * * *", "timezone": "UTC"}


async def test_an_instant_is_fired_with_its_time_as_key(world):
    """The run knows the instant and the moment; the row and the timer move on by an hour; the host is nudged."""
    trigger = world.trigger("cron", spec=HOURLY, next_fire_at=NOON)
    watcher = CronWatcher(trigger, world.ports, reload=world.reload)
    assert watcher.due_at == NOON.timestamp()
    world.clock.advance(0.25)
    await watcher.act()
    (fire,) = world.fired
    assert (fire.fire_key, fire.scheduled_at, fire.host) == ("2027-05-04T12:00:00Z", NOON, world.host)
    assert fire.input["scheduled_at"].startswith("2027-05-04T12:00:00")
    assert fire.input["missed_count"] == 0
    assert (fire.task_version, fire.trigger_version) == (1, 1)
    assert [one.run_id for one in world.begun] == [fire.run_id]
    assert watcher.due_at == (NOON + timedelta(hours=1)).timestamp()
    assert world.row.next_fire_at == NOON + timedelta(hours=1)


async def test_a_timer_that_rings_early_fires_nothing(world):
    """If the database's clock has not come so far, the watcher waits on."""
    trigger = world.trigger("cron", spec=HOURLY, next_fire_at=NOON + timedelta(milliseconds=1))
    watcher = CronWatcher(trigger, world.ports, reload=world.reload)
    await watcher.act()
    assert (world.fired, watcher.due_at) == ([], trigger.next_fire_at.timestamp())


async def test_two_watchers_of_one_trigger_fire_once(world):
    """After a partition the second watcher finds the row moved, fires nothing and goes on with the next instant."""
    trigger = world.trigger("cron", spec=HOURLY, next_fire_at=NOON)
    one, two = (CronWatcher(trigger, world.ports, reload=world.reload) for _ in range(2))
    await one.act()
    await two.act()
    assert len(world.fired) == len(world.begun) == 1
    assert one.due_at == two.due_at
    world.clock.advance(3600)
    await two.act()
    await one.act()
    assert [fire.fire_key for fire in world.fired] == ["2027-05-04T12:00:00Z", "2027-05-04T13:00:00Z"]


async def test_an_interval_counts_from_its_anchor_without_drift(world):
    """However late the watcher acts, the next instant stays on the grid."""
    trigger = world.trigger(
        "interval", spec={"every": "PT10M"}, anchor_at=NOON - timedelta(minutes=10), next_fire_at=NOON
    )
    watcher = CronWatcher(trigger, world.ports, reload=world.reload)
    world.clock.advance(7)
    await watcher.act()
    assert watcher.due_at == (NOON + timedelta(minutes=10)).timestamp()


@pytest.mark.parametrize(("misfire", "fired", "skipped"), [("skip", 0, 5), ("once", 1, 4), ("all", 5, 0)], ids=str)
async def test_missed_instants_follow_the_policy_and_leave_a_skip(world, misfire, fired, skipped):
    """After five and a half hours away each offered instant is a run or counted in one skip."""
    trigger = world.trigger("cron", spec=HOURLY, next_fire_at=NOON, misfire=misfire)
    world.clock.advance(4.5 * 3600)
    watcher = CronWatcher(trigger, world.ports, reload=world.reload)
    await watcher.act()
    assert len(world.fired) == fired
    assert sum(skip.count for skip in world.skips) == skipped
    assert {skip.reason for skip in world.skips} <= {"misfire"}
    assert [fire.scheduled_at for fire in world.fired] == sorted(fire.scheduled_at for fire in world.fired)
    if misfire == "once":
        assert world.fired[0].input["missed_count"] == 5
    assert watcher.due_at == (NOON + timedelta(hours=5)).timestamp()


async def test_an_edited_schedule_is_not_fired_by_its_old_watcher(world):
    """The row has another version: the old watcher changes nothing and looks again until it is replaced."""
    trigger = world.trigger("cron", spec=HOURLY, next_fire_at=NOON)
    watcher = CronWatcher(trigger, world.ports, reload=world.reload)
    world.row = replace(world.row, version=2)
    for second in range(1, 4):
        await watcher.act()
        assert watcher.due_at == NOON.timestamp() + second
        world.clock.advance(1)
    assert (world.fired, world.row.next_fire_at) == ([], NOON)


async def test_a_schedule_that_was_switched_off_and_on_goes_on_from_its_row(world):
    """When the row was moved by somebody else, the watcher reads it again and keeps to its new grid."""
    trigger = world.trigger("interval", spec={"every": "PT10M"}, anchor_at=NOON, next_fire_at=NOON)
    watcher = CronWatcher(trigger, world.ports, reload=world.reload)
    anchor = NOON + timedelta(minutes=3)
    world.row = replace(world.row, anchor_at=anchor, next_fire_at=anchor + timedelta(minutes=10))
    await watcher.act()
    assert (world.fired, watcher.due_at) == ([], (NOON + timedelta(minutes=13)).timestamp())
    world.clock.advance(13 * 60)
    await watcher.act()
    assert [fire.scheduled_at for fire in world.fired] == [NOON + timedelta(minutes=13)]
    assert watcher.due_at == (NOON + timedelta(minutes=23)).timestamp()


async def test_a_disabled_schedule_that_is_enabled_again_unnoticed_fires_again(world):
    """A watcher that met a disabled row looks every second, and fires what is due once it is enabled."""
    trigger = world.trigger("cron", spec=HOURLY, next_fire_at=NOON)
    watcher = CronWatcher(trigger, world.ports, reload=world.reload)
    row, world.row = world.row, None
    await watcher.act()
    assert world.fired == []
    world.row = row
    world.clock.advance(1)
    await watcher.act()
    assert [fire.scheduled_at for fire in world.fired] == [NOON]


async def test_a_schedule_without_a_next_instant_rests(world):
    """A schedule that is not due any more has no timer and does nothing when it is poked."""
    watcher = CronWatcher(world.trigger("cron", spec=HOURLY), world.ports, reload=world.reload)
    await watcher.act()
    assert (watcher.due_at, world.fired) == (None, [])


async def test_without_a_live_host_the_run_is_queued(world):
    """No host to name: the event is recorded all the same."""
    world.host = None
    watcher = CronWatcher(world.trigger("cron", spec=HOURLY, next_fire_at=NOON), world.ports, reload=world.reload)
    await watcher.act()
    assert world.fired[0].host is None


async def test_a_hook_is_never_due(world):
    """The watcher of a webhook waits for others."""
    watcher = WebhookWatcher(world.trigger("webhook"))
    await watcher.act()
    assert watcher.due_at is None
