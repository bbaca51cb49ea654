"""Housekeeping on a real PostgreSQL: what is over goes, what is not stays, and one host at a time does it."""

import asyncio
import os
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from actors.housekeeping import Housekeeping
from taske_ray.clock import SystemClock
from taske_ray.core.fire_keys import key_by_hand, key_from_outside, key_of_replay
from taske_ray.db import retention
from taske_ray.db.retention import Retention
from taske_ray.limits import Limits

pytestmark = pytest.mark.integration
DAY = timedelta(days=1)


def old_id(age):
    """A UUIDv7 as it was made `age` ago."""
    stamp = int((datetime.now(UTC) - age).timestamp() * 1000).to_bytes(6)
    return UUID(bytes=stamp + bytes([0x70 | os.urandom(1)[0] & 15]) + os.urandom(1) + b"\x80" + os.urandom(7))


async def old_run(world, trigger, age, status="succeeded"):
    """A run of one step with one attempt, as made `age` ago."""
    run_id = old_id(age)
    values = {"id": run_id, "user": trigger.user_id, "task": trigger.task_id, "status": status}
    await world.rows(
        "INSERT INTO runs (id, user_id, task_id, task_version, status)"
        " VALUES (%(id)s, %(user)s, %(task)s, 1, %(status)s)",
        **values,
    )
    await world.rows(
        "INSERT INTO steps (run_id, step, key, capability, status) VALUES (%(id)s, 1, 'a', 'c', 'succeeded')", id=run_id
    )
    await world.rows(
        "INSERT INTO attempts (run_id, step, number, fence, status) VALUES (%(id)s, 1, 1, 1, 'succeeded')", id=run_id
    )
    return run_id


async def weeks(world, parent):
    found = await world.rows(
        "SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = %(p)s::regclass", p=parent
    )
    return {row["name"].removeprefix(f"{parent}_") for row in found}


async def counts(world):
    return [await world.value(f"SELECT count(*)::int FROM {table}") for table in ("runs", "steps", "attempts")]


async def left(world, *run_ids):
    found = await world.rows("SELECT id FROM runs WHERE id = ANY(%(ids)s)", ids=list(run_ids))
    return {row["id"] for row in found}


@pytest.fixture
async def keep(world):
    for parent in ("runs", "steps", "attempts"):
        for week in await weeks(world, parent) - {"rest"}:
            if datetime.strptime(f"{week}1", "%Gw%V%u").replace(tzinfo=UTC) < datetime.now(UTC) - 9 * DAY:
                await world.rows(f"DROP TABLE {parent}_{week}")
    return Retention(world.engine)


@pytest.fixture
def housekeeping(world):
    return Housekeeping(world.engine, clock=SystemClock())


async def ensure_week(world, age):
    await world.rows("SELECT ensure_week(clock_timestamp() - %(age)s)", age=age)


async def test_weeks_are_made_ahead(world, keep):
    """This week and the next three have partitions of all three tables; ensuring again makes nothing."""
    newest = max(await weeks(world, "runs") - {"rest"})
    for parent in ("runs", "steps", "attempts"):
        await world.rows(f"DROP TABLE {parent}_{newest}")
    assert await keep.ensure_weeks() == 3
    assert await keep.ensure_weeks() == 0
    assert newest in await weeks(world, "attempts")


async def test_a_week_whose_runs_lie_in_the_rest_stays_without_a_partition(world, keep):
    """Rows that came before their partition was made stay where they are, and the other weeks are made all the same."""
    kept = sorted(await weeks(world, "runs") - {"rest"})
    for parent in ("runs", "steps", "attempts"):
        for week in kept[-2:]:
            await world.rows(f"DROP TABLE {parent}_{week}")
    trigger = await world.trigger()
    await old_run(world, trigger, -14 * DAY)
    assert await keep.ensure_weeks() == 3
    await world.rows("TRUNCATE runs, steps, attempts")
    assert await keep.ensure_weeks() == 3


async def test_an_old_week_without_unfinished_runs_is_dropped(world, keep):
    """Partitions older than 30 days go as a whole, with steps and attempts; younger ones stay."""
    trigger = await world.trigger()
    for age in (45 * DAY, 16 * DAY):
        await ensure_week(world, age)
    old, young = await old_run(world, trigger, 45 * DAY), await old_run(world, trigger, 16 * DAY)
    before = {parent: await weeks(world, parent) for parent in ("runs", "steps", "attempts")}
    assert await keep.drop_old_weeks() == 1
    assert await left(world, old, young) == {young}
    assert await counts(world) == [1, 1, 1]
    for parent, was in before.items():
        assert len(was - await weeks(world, parent)) == 1


@pytest.mark.parametrize("status", ["queued", "running", "waiting", "needs_attention"])
async def test_an_old_week_with_an_unfinished_run_keeps_only_that(world, keep, status):
    """A partition with an unfinished run stays; its finished rows are deleted in batches, with steps and attempts."""
    trigger = await world.trigger()
    await ensure_week(world, 45 * DAY)
    finished = [await old_run(world, trigger, 45 * DAY, ended) for ended in ("succeeded", "failed", "cancelled")]
    unfinished = await old_run(world, trigger, 45 * DAY, status)
    assert await keep.drop_old_weeks() == 0
    assert await keep.delete_old_runs() == 3
    assert await left(world, *finished, unfinished) == {unfinished}
    assert await counts(world) == [1, 1, 1]
    await world.rows("UPDATE runs SET status = 'failed' WHERE id = %(id)s", id=unfinished)
    assert await keep.drop_old_weeks() == 1


async def test_old_runs_outside_any_week_are_deleted(world, keep):
    """What lies in the default partition goes by rows."""
    trigger = await world.trigger()
    run_id = await old_run(world, trigger, 50 * DAY)
    assert await keep.delete_old_runs() == 1
    assert await left(world, run_id) == set()


@pytest.mark.parametrize(
    ("parent", "week", "days"), [("users", "2020w01", 30), ("runs", "2020w01; DROP", 30), ("runs", "this", 30)]
)
async def test_nothing_else_can_be_dropped(world, parent, week, days):
    """The owner's function refuses other tables, other names, and weeks that are not over."""
    week = datetime.now(UTC).strftime("%Gw%V") if week == "this" else week
    with pytest.raises(Exception, match="is to be kept"):
        await world.rows("SELECT drop_partition(%(p)s, %(w)s, make_interval(days => %(d)s))", p=parent, w=week, d=days)


@pytest.mark.usefixtures("keep")
async def test_a_user_keeps_the_newest_runs(world):
    """Beyond the limit the oldest finished runs go; unfinished ones and other users' runs stay."""
    keep = Retention(world.engine, Limits(history_runs=3))
    mine, other = await world.trigger(), await world.trigger()
    parked = await old_run(world, mine, timedelta(hours=9), "needs_attention")
    old = [await old_run(world, mine, timedelta(hours=8 - n)) for n in range(5)]
    foreign = await old_run(world, other, timedelta(hours=20))
    users, after = await keep.users_with_surplus(None)
    assert users == [mine.user_id]
    assert await keep.users_with_surplus(after) == ([], None)
    assert await keep.delete_surplus_runs(mine.user_id) == 2
    assert await left(world, parked, *old, foreign) == {parked, foreign, *old[-3:]}
    assert await counts(world) == [5, 5, 5]


@pytest.mark.parametrize(
    ("kind", "key", "days"),
    [
        ("webhook", "d", 7),
        ("webhook", key_from_outside("manual:1"), 7),
        ("cron", "2027", 2),
        ("interval", "2027", 2),
        ("poll", "i", 30),
        ("poll", key_from_outside("replay:1"), 30),
        ("webhook", key_by_hand("1"), 1),
        ("cron", key_of_replay("1"), 1),
    ],
)
async def test_fire_keys_live_on_their_own_terms(world, keep, kind, key, days):
    """A ledger row stays until its term is over and goes then."""
    trigger = await world.trigger(kind)
    for name, age in (("young", days - 0.1), ("old", days + 0.1)):
        await world.rows(
            "INSERT INTO events (trigger_id, fire_key, run_id, recorded_at)"
            " VALUES (%(t)s, %(k)s, %(t)s, clock_timestamp() - %(age)s)",
            t=trigger.id,
            k=key + name,
            age=timedelta(days=age),
        )
    assert await keep.prune_events() == 1
    assert await world.value("SELECT fire_key FROM events") == f"{key}young"


async def test_polled_items_stay_while_their_list_stands_still(world, keep):
    """An item goes 30 days after the last check that saw others without it; a list that never changes loses nothing."""
    moving, still = await world.trigger("poll"), await world.trigger("poll")
    for trigger, key, age in ((moving, "old", 40), (moving, "new", 1), (still, "a", 80), (still, "b", 75)):
        await world.rows(
            "INSERT INTO poll_ledger (trigger_id, key, seen_at) VALUES (%(t)s, %(k)s, clock_timestamp() - %(age)s)",
            t=trigger.id,
            k=key,
            age=timedelta(days=age),
        )
    assert await keep.prune_ledger() == 1
    rows = await world.rows("SELECT key FROM poll_ledger ORDER BY key")
    assert [row["key"] for row in rows] == ["a", "b", "new"]


async def test_the_rest_goes_on_its_own_terms(world, keep):
    """Old answers, skips, checks, tokens, failed logins and ended hosts go; young ones and live hosts stay."""
    trigger, live = await world.trigger(), await world.host()
    ended = await world.host()
    await world.rows(
        "UPDATE hosts SET state = 'dead', expires_at = clock_timestamp() - interval '2 days' WHERE id = %(id)s",
        id=ended,
    )
    for age in (timedelta(), 40 * DAY):
        values = {
            "t": trigger.id,
            "u": trigger.user_id,
            "k": str(age),
            "at": datetime.now(UTC) - age,
            "h": str(age).encode(),
        }
        for statement in (
            (
                "INSERT INTO idempotency_keys (user_id, key, request_hash, created_at)"
                " VALUES (%(u)s, %(k)s, %(h)s, %(at)s)"
            ),
            "INSERT INTO skips (trigger_id, reason, minute, last_at) VALUES (%(t)s, 'quota', %(at)s, %(at)s)",
            "INSERT INTO checks (trigger_id, result, checked_at) VALUES (%(t)s, '{}', %(at)s)",
            "INSERT INTO login_failures (email, failed_at) VALUES (%(k)s, %(at)s)",
            "INSERT INTO one_time_tokens (hash, user_id, purpose, expires_at) VALUES (%(h)s, %(u)s, 'verify', %(at)s)",
        ):
            await world.rows(statement, **values)
    await keep.prune_rest()
    tables = ("idempotency_keys", "skips", "checks", "login_failures", "one_time_tokens")
    assert [await world.value(f"SELECT count(*)::int FROM {table}") for table in tables] == [1] * 5
    assert await world.value("SELECT id FROM hosts") == live


async def test_one_host_keeps_house_once_an_hour(world, housekeeping):
    """Of many hosts that ask at once one has its turn, and nobody again within the hour."""
    await world.rows("UPDATE chores SET begun_at = clock_timestamp() - interval '61 min'")
    assert sorted(await asyncio.gather(*(housekeeping.ask() for _ in range(5)))) == [False] * 4 + [True]
    assert not await housekeeping.ask()


@pytest.mark.usefixtures("keep")
async def test_batches_follow_until_nothing_is_left(world, monkeypatch):
    """One round does all there is, batch by batch."""
    monkeypatch.setattr(retention, "batch", 2)
    monkeypatch.setattr("actors.housekeeping.batch", 2)
    housekeeping = Housekeeping(world.engine, clock=SystemClock(), limits=Limits(history_runs=1))
    trigger = await world.trigger()
    for n in range(6):
        await old_run(world, trigger, timedelta(hours=n + 1))
    await housekeeping.keep_house()
    assert await counts(world) == [1, 1, 1]
