"""`explain` for schedules: what the service missed while it was away, by which policy, and what comes next."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from actors.watchers.cron import CronWatcher
from actors.watchers.ports import Ports
from taske_ray.clock import new_id
from taske_ray.core.ids import parse_id
from taske_ray.db.triggers import TriggerStore
from taske_ray.limits import figures

pytestmark = pytest.mark.integration
ACTIONS = [{"capability": "http.request", "params": {"url": "https://example.com/"}}]


class Now:
    """The database's clock, now."""

    def now(self):
        """This moment."""
        return datetime.now(UTC)


class NoRuns:
    """Run hosts that take nothing."""

    def pick(self, _key):
        """No host."""

    def begin(self, fired):
        """Nothing to tell anybody."""


async def minutely(mina, misfire):
    params = {"cron": "* * * * *", "timezone": "Asia/Seoul", "misfire": misfire}
    document = {"name": misfire, "trigger": {"capability": "system.schedule.cron", "params": params}}
    return (await mina.post("/tasks", json=document | {"actions": ACTIONS})).json()


async def come_back(database, store, trigger_id, away):
    """The service was away for so long: the row's instant has passed, and a watcher starts."""
    passed = datetime.now(UTC).replace(second=0, microsecond=0) - away
    await database.fetch(
        "UPDATE triggers SET next_fire_at = %(at)s WHERE id = %(id)s", {"at": passed, "id": trigger_id}
    )
    (row,) = await TriggerStore(database).load([trigger_id])

    async def reload():
        return row

    await CronWatcher(row, Ports(Now(), store, NoRuns(), None), reload=reload).act()


@pytest.mark.parametrize(
    ("misfire", "words", "runs"),
    [("skip", "are left out", 0), ("once", "become one run", 1), ("all", "a run each", 10)],
)
async def test_explain_tells_what_was_missed(mina, database, store, misfire, words, runs):
    """The policy in words, the count of what it left out with the range it covers, and the next instant."""
    task = await minutely(mina, misfire)
    await come_back(database, store, parse_id("trigger", task["trigger"]["id"]), timedelta(minutes=10))
    told = (await mina.get(f"/tasks/{task['id']}/explain")).json()
    assert told["misfire"] == misfire
    assert any(words in note for note in told["notes"])
    missed = [skip for skip in told["skips"] if skip["reason"] == "misfire"]
    made = (await mina.get("/runs", params={"task_id": task["id"]})).json()["items"]
    in_time = len(made) - runs  # none or one: the latest instant is in time for its first half minute
    assert in_time in (0, 1)
    assert len(made) + sum(skip["count"] for skip in missed) == 11
    for skip in missed:
        assert datetime.fromisoformat(skip["sample"]["first"]) <= datetime.fromisoformat(skip["sample"]["last"])
    assert datetime.fromisoformat(told["next_fires"][0]) > datetime.now(UTC) - timedelta(seconds=5)


async def test_what_passes_while_disabled_is_no_instant(mina, database):
    """A schedule that is switched on again counts from that moment: nothing is made up for, nothing is a skip."""
    task = await minutely(mina, "all")
    trigger_id = parse_id("trigger", task["trigger"]["id"])
    await mina.post(f"/tasks/{task['id']}/disable")
    off = await database.fetch("SELECT enabled, next_fire_at FROM triggers WHERE id = %(id)s", {"id": trigger_id})
    assert (off[0]["enabled"], off[0]["next_fire_at"]) == (False, None)
    await asyncio.gather(*(mina.post(f"/tasks/{task['id']}/enable") for _ in range(3)))
    on = await database.fetch("SELECT next_fire_at FROM triggers WHERE id = %(id)s", {"id": trigger_id})
    assert timedelta() < on[0]["next_fire_at"] - datetime.now(UTC) <= timedelta(minutes=1)
    told = (await mina.get(f"/tasks/{task['id']}/explain")).json()
    assert told["skips"] == []


async def test_explain_tells_what_is_used_and_what_waits(mina, database):
    """Each limit with its figure and code; what is used of those that can be counted; why runs wait or failed."""
    task = await minutely(mina, "all")
    ids = {"t": parse_id("task", task["id"]), "g": parse_id("trigger", task["trigger"]["id"])}
    runs = [
        ("failed", '{"code": "http_error"}'),
        ("failed", '{"code": "http_error"}'),
        ("queued", None),
        ("waiting", None),
    ]
    for status, error in runs:
        values = {"i": new_id(), "s": status, "e": error, **ids}
        await database.fetch(
            "INSERT INTO runs (id, user_id, task_id, task_version, trigger_id, status, error)"
            " SELECT %(i)s, user_id, %(t)s, 1, %(g)s, %(s)s, %(e)s::jsonb FROM tasks WHERE id = %(t)s",
            values,
        )
    await database.fetch(
        "INSERT INTO steps (run_id, step, key, capability, status, error) VALUES (%(i)s, 1, 'a', 'x', 'running',"
        """ '{"code": "breaker_open"}')""",
        values,
    )
    told = (await mina.get(f"/tasks/{task['id']}/explain")).json()
    found = {(one["status"], one["code"]): one["count"] for one in told["outcomes"]}
    assert found == {("failed", "http_error"): 2, ("queued", "queued"): 1, ("waiting", "breaker_open"): 1}
    limits = {one["name"]: one for one in told["limits"]}
    assert set(limits) == set(figures)
    assert limits["queued_runs"] == {"name": "queued_runs", "limit": 100_000, "code": "queue_full", "used": 2}
    assert limits["tasks"]["used"] >= 1
    assert any("1 wait: breaker_open" in note for note in told["notes"])


async def test_explain_says_why_a_task_was_switched_off(mina, database):
    """The reason stands with the task and in words."""
    task = await minutely(mina, "once")
    await mina.post(f"/tasks/{task['id']}/disable")
    reason = "failing: 50 failed runs in a row"
    values = {"id": parse_id("task", task["id"]), "r": reason}
    await database.fetch("UPDATE triggers SET paused_reason = %(r)s WHERE task_id = %(id)s", values)
    told = (await mina.get(f"/tasks/{task['id']}/explain")).json()
    assert told["paused_reason"] == reason
    assert f"The trigger is switched off: {reason}." in told["notes"]
    assert (await mina.post(f"/tasks/{task['id']}/enable")).json()["trigger"].get("paused_reason") is None


@pytest.mark.parametrize(
    ("capability", "params", "minutes", "failed", "told"),
    [
        ("http.poll", {"key": "id", "every": "PT1M"}, 5, True, False),
        ("http.poll", {"key": "id", "every": "PT1M"}, 20, False, True),
        ("http.poll", {"key": "id", "every": "PT1M"}, 20, True, True),
        ("rss.new_item", {}, 40, False, False),
        ("rss.new_item", {}, 50, False, True),
    ],
)
async def test_explain_says_when_a_poll_is_blind(mina, database, capability, params, minutes, failed, told):
    """No successful check for three intervals, the task's or the capability's, and a quarter of an hour is told."""
    params = {"url": "https://example.com/", **params}
    document = {"name": "poll", "trigger": {"capability": capability, "params": params}, "actions": ACTIONS}
    task = (await mina.post("/tasks", json=document)).json()
    values = {"id": parse_id("trigger", task["trigger"]["id"]), "m": minutes}
    results = [(values["m"], '{"fetched": 0}' if not failed else '{"error": {"code": "x"}}'), (0, '{"error": {}}')]
    for ago, result in results:
        await database.fetch(
            "INSERT INTO checks (trigger_id, checked_at, result)"
            " VALUES (%(id)s, clock_timestamp() - make_interval(mins => %(a)s), %(r)s::jsonb)",
            {"id": values["id"], "a": ago, "r": result},
        )
    notes = (await mina.get(f"/tasks/{task['id']}/explain")).json()["notes"]
    assert any("No check has succeeded since" in note for note in notes) is told
