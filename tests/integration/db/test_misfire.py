"""A schedule whose service was away, from the row in the database to runs and skips; and new time zone rules."""

import asyncio
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from actors.watchers.cron import CronWatcher
from actors.watchers.ports import Ports
from taske_ray.core.times import format_time
from taske_ray.services import schedules

pytestmark = pytest.mark.integration
MINUTE = timedelta(minutes=1)
MINUTELY = {"cron": "* * * * *", "timezone": "UTC"}


@dataclass
class Runs:
    """Run hosts that take nothing."""

    begun: list = field(default_factory=list)

    def pick(self, _key):
        """No host."""

    def begin(self, fired):
        """Written down."""
        self.begun.extend(fired)


@dataclass
class Time:
    """The database's clock, somewhere else."""

    at: datetime

    def now(self):
        """The instant it stands at."""
        return self.at


async def schedule(world, due_at, misfire="once", spec=MINUTELY, kind="cron", **columns):
    """A trigger that is due at `due_at`, and stands as if enabled long before."""
    trigger = await world.trigger(kind, misfire=misfire, due_in=timedelta())
    values = {"spec": json.dumps(spec), "due": due_at, "id": trigger.id, "anchor": due_at, **columns}
    await world.rows(
        "UPDATE triggers SET spec = %(spec)s::jsonb, next_fire_at = %(due)s, anchor_at = %(anchor)s WHERE id = %(id)s",
        **values,
    )
    return trigger


async def watcher(world, trigger, now):
    """Its watcher as a host makes it after a start."""

    async def reload():
        found = await world.triggers.load([trigger.id])
        return found[0] if found else None

    row = await reload()
    return CronWatcher(row, Ports(Time(now), world.fires, Runs(), None), reload=reload)


async def outputs(world, trigger):
    rows = await world.rows(
        "SELECT scheduled_at, input FROM runs WHERE trigger_id = %(id)s ORDER BY scheduled_at", id=trigger.id
    )
    assert [row["input"]["scheduled_at"] for row in rows] == [format_time(row["scheduled_at"]) for row in rows]
    return [(row["scheduled_at"], row["input"]["missed_count"]) for row in rows]


async def misfires(world, trigger):
    rows = await world.rows("SELECT count, sample FROM skips WHERE trigger_id = %(id)s", id=trigger.id)
    return [(row["count"], row["sample"]) for row in rows]


@pytest.fixture
def now():
    """Twenty seconds and a bit after a minute, so that the latest instant is in time."""
    return datetime.now(UTC).replace(second=20, microsecond=5)


def latest(now):
    return now.replace(second=0, microsecond=0)


@pytest.mark.parametrize(
    ("misfire", "caught_up", "missed_counts", "suppressed"),
    [("skip", 0, [], 10), ("once", 1, [10], 9), ("all", 10, [1] * 10, 0)],
)
async def test_ten_minutes_away(world, now, misfire, caught_up, missed_counts, suppressed):
    """Ten missed instants: none, one or ten runs beside the one in time, and every suppressed one in a skip."""
    first = latest(now) - 10 * MINUTE
    trigger = await schedule(world, first, misfire)
    await (await watcher(world, trigger, now)).act()
    wanted = [(latest(now) - n * MINUTE) for n in range(caught_up, 0, -1)]
    assert await outputs(world, trigger) == [*zip(wanted, missed_counts, strict=True), (latest(now), 0)]
    found = await misfires(world, trigger)
    assert sum(count for count, _ in found) == suppressed
    if suppressed:
        last = latest(now) - (1 + caught_up) * MINUTE
        assert found[0][1] == {"first": format_time(first), "last": format_time(last)}
    assert (
        await world.value("SELECT next_fire_at FROM triggers WHERE id = %(id)s", id=trigger.id) == latest(now) + MINUTE
    )


@pytest.mark.parametrize("misfire", ["skip", "once", "all"])
async def test_a_week_away(world, now, misfire):
    """`all` makes up for the latest hundred only; runs and suppressed instants together are all there were."""
    offered = 7 * 24 * 60 + 1
    trigger = await schedule(world, latest(now) - 7 * timedelta(days=1), misfire)
    await (await watcher(world, trigger, now)).act()
    made = await outputs(world, trigger)
    assert len(made) == 1 + {"skip": 0, "once": 1, "all": 100}[misfire]
    assert len(made) + sum(count for count, _ in await misfires(world, trigger)) == offered
    assert [at for at, _ in made] == [latest(now) - n * MINUTE for n in range(len(made) - 1, -1, -1)]


@pytest.mark.parametrize("misfire", ["skip", "once", "all"])
async def test_only_the_last_day_is_made_up_for(world, now, misfire):
    """An instant missed more than 24 h ago is a skip under every policy."""
    due_at = latest(now) - timedelta(hours=25)
    spec = {"cron": f"{due_at.minute} {due_at.hour} {due_at.day} {due_at.month} *", "timezone": "UTC"}
    trigger = await schedule(world, due_at, misfire, spec)
    await (await watcher(world, trigger, now)).act()
    assert await outputs(world, trigger) == []
    assert [count for count, _ in await misfires(world, trigger)] == [1]


async def test_an_interval_makes_up_from_its_own_beat(world, now):
    """An interval's missed instants are those counted from its enabling, without drift."""
    trigger = await schedule(world, now - timedelta(seconds=50), "all", {"every": "PT20S"}, "interval")
    await world.rows("UPDATE triggers SET anchor_at = next_fire_at - interval '20 s' WHERE id = %(id)s", id=trigger.id)
    await (await watcher(world, trigger, now)).act()
    assert [at for at, _ in await outputs(world, trigger)] == [now - timedelta(seconds=n) for n in (50, 30, 10)]


async def test_two_services_that_come_back_make_up_once(world, now):
    """Watchers of two hosts, after a partition: each instant is one run, each suppressed one is counted once."""
    trigger = await schedule(world, latest(now) - 5 * MINUTE, "all")
    both = [await watcher(world, trigger, now) for _ in range(2)]
    await asyncio.gather(*(one.act() for one in both))
    assert len(await outputs(world, trigger)) == 6
    assert {one.due_at for one in both} == {(latest(now) + MINUTE).timestamp()}


async def test_a_watcher_that_lost_goes_on_from_the_row(world, now):
    """Somebody else moved the schedule to another instant: the watcher fires nothing and waits for that one."""
    trigger = await schedule(world, latest(now), "once")
    stale = await watcher(world, trigger, now)
    elsewhere = latest(now) + 7 * MINUTE
    await world.rows("UPDATE triggers SET next_fire_at = %(at)s WHERE id = %(id)s", at=elsewhere, id=trigger.id)
    await stale.act()
    assert await outputs(world, trigger) == []
    assert stale.due_at == elsewhere.timestamp()


async def test_switched_off_and_on_between_two_looks(world, now):
    """A watcher that finds its task disabled looks again, so that being enabled at once in the same version is seen."""
    trigger = await schedule(world, latest(now), "once")
    one = await watcher(world, trigger, now)
    await world.rows("UPDATE triggers SET enabled = false, next_fire_at = NULL WHERE id = %(id)s", id=trigger.id)
    await one.act()
    assert one.due_at == (now + timedelta(seconds=1)).timestamp()
    later = latest(now) + MINUTE
    await world.rows(
        "UPDATE triggers SET enabled = true, next_fire_at = %(at)s WHERE id = %(id)s", at=later, id=trigger.id
    )
    await one.act()
    assert one.due_at == later.timestamp()
    assert await outputs(world, trigger) == []


# clocks that jump ------------------------------------------------------------------------------------------------


async def test_a_clock_that_jumps_back_fires_nothing_twice(world, now):
    """An hour back after an instant was fired: the row has moved on, and what passes again is no instant (10.5)."""
    trigger = await schedule(world, latest(now), "all")
    one = await watcher(world, trigger, now)
    await one.act()
    assert len(await outputs(world, trigger)) == 1
    for minute in range(0, 61, 10):
        again = await watcher(world, trigger, now - timedelta(hours=1) + minute * MINUTE)
        await again.act()
    assert len(await outputs(world, trigger)) == 1
    assert await misfires(world, trigger) == []


async def test_an_instant_that_was_fired_is_never_a_second_run(world, now):
    """A row that was set back, whoever did it, meets the fire keys of what ran already."""
    trigger = await schedule(world, latest(now), "all")
    await (await watcher(world, trigger, now)).act()
    await world.rows("UPDATE triggers SET next_fire_at = %(at)s WHERE id = %(id)s", at=latest(now), id=trigger.id)
    await (await watcher(world, trigger, now)).act()
    assert len(await outputs(world, trigger)) == 1


async def test_a_clock_that_jumps_forward_makes_misfires(world, now):
    """An hour forward: the instants in between are missed, made up for by the policy, and all others counted."""
    trigger = await schedule(world, latest(now), "once")
    one = await watcher(world, trigger, now)
    await one.act()
    one._ports.time.at = now + timedelta(hours=1)
    await one.act()
    assert [count for _, count in await outputs(world, trigger)] == [0, 59, 0]
    assert sum(count for count, _ in await misfires(world, trigger)) == 58


# time zone rules ----------------------------------------------------------------------------------------------

DAILY = {"cron": "0 9 * * *", "timezone": "Asia/Seoul"}


async def instant(world, trigger):
    return await world.value("SELECT next_fire_at FROM triggers WHERE id = %(id)s", id=trigger.id)


async def test_new_time_zone_rules_move_instants_that_are_to_come(world, monkeypatch):
    """Where a zone's rules differ from the ones computed by, the next instant is computed anew, once."""
    await world.rows("DELETE FROM zone_rules")
    now = datetime.now(UTC)
    trigger = await schedule(world, now + timedelta(days=3, minutes=1), "once", DAILY)
    past = await schedule(world, now - timedelta(hours=30), "once", DAILY)
    due_at = await instant(world, past)
    assert await schedules.follow_zone_rules(world.database) == 1
    moved = await instant(world, trigger)
    assert now < moved < now + timedelta(days=1, minutes=1)
    assert (moved.hour, moved.minute) == (0, 0)
    assert await instant(world, past) == due_at
    assert await schedules.follow_zone_rules(world.database) == 0
    await world.rows(
        "UPDATE triggers SET next_fire_at = next_fire_at + interval '30 min' WHERE id = %(id)s", id=trigger.id
    )
    assert await schedules.follow_zone_rules(world.database) == 0
    monkeypatch.setattr(schedules, "zone_digest", lambda _: b"another tzdata")
    assert await schedules.follow_zone_rules(world.database) == 1
    assert await instant(world, trigger) == moved


def test_a_zone_is_known_by_its_file():
    """Zones with different rules have different digests; one that no file describes has none."""
    assert schedules.zone_digest("Asia/Seoul") != schedules.zone_digest("Europe/Berlin")
    assert schedules.zone_digest("Asia/Seoul") == schedules.zone_digest("Asia/Seoul")
    assert schedules.zone_digest("Mars/Olympus") is None
