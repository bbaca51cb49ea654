"""Triggers and their watchers on real actors: what fires, what was missed, and how a change reaches a watcher."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from actors import cluster
from actors.supervisor import TriggerSupervisor
from tests.cluster.dense import OneWatcherEach
from tests.cluster.engine import post, trigger_id
from tests.cluster.kills import kill_host
from tests.cluster.receiver import Answer
from tests.facts import until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(120, func_only=True)]

NEVER = {"capability": "system.schedule.cron", "params": {"cron": "0 0 29 2 *"}}
EVERY_SECOND = {"capability": "system.schedule.interval", "params": {"every": "PT1S"}}


async def test_an_interval_fires_every_second(engine, receiver):
    """Each second has exactly one run, told which instant it stands for, and late by little."""
    url = receiver.serve()
    task = await engine.task(post(url, {"at": "{{ trigger.output.scheduled_at }}"}), trigger=EVERY_SECOND)
    await engine.until_received(receiver, url, count=4)
    await engine.services.tasks.switch(task["id"], owner=engine.owner, enabled=False)
    runs = await engine.runs(task)
    instants = [instant(run["trigger_output"]["scheduled_at"]) for run in runs]
    assert {later - earlier for earlier, later in pairwise(instants)} == {timedelta(seconds=1)}
    assert all(run["trigger_output"]["missed_count"] == 0 for run in runs)
    late = [instant(run["trigger_output"]["fired_at"]) - at for run, at in zip(runs, instants, strict=True)]
    assert max(late) < timedelta(seconds=1)


@pytest.mark.parametrize("misfire", ["once", "all", "skip"])
async def test_instants_missed_while_nobody_watched_are_treated_by_policy(engine, receiver, misfire):
    """Of missed minutes `once` fires the last, `all` fires each, `skip` none; what did not fire leaves a skip."""
    cron = {"capability": "system.schedule.cron", "params": {"cron": "* * * * *", "misfire": misfire}}
    task = await engine.task(post(receiver.serve()), trigger=cron)
    await until(lambda: engine.watches(task, 1), 10, "watching")
    await kill_host(engine, "watcher")
    first = (await now(engine)).replace(second=0, microsecond=0) - timedelta(minutes=5)
    await engine.rows(
        "UPDATE triggers SET next_fire_at = %(first)s WHERE id = %(id)s", first=first, id=trigger_id(task)
    )
    following = await until(lambda: moved(engine, task), 60, "catching up")
    runs, skips = await engine.runs(task), await engine.skips(task)
    await engine.services.tasks.delete(task["id"], owner=engine.owner)
    in_time = [run for run in runs if not run["trigger_output"]["missed_count"]]
    counts = [run["trigger_output"]["missed_count"] for run in runs if run not in in_time]
    missed = (following - first) // timedelta(minutes=1) - len(in_time)
    assert missed >= 5
    expected = {"once": ([missed], missed - 1), "all": ([1] * missed, 0), "skip": ([], missed)}
    assert (counts, skips.get("misfire", 0)) == expected[misfire]


async def test_a_poll_runs_once_for_each_new_item(engine, receiver):
    """What is there at first is only remembered; afterwards each new item becomes one run."""
    listed = receiver.serve(Answer([{"id": 1}, {"id": 2}]))
    poll = {"capability": "http.poll", "params": {"url": listed, "key": "id", "every": "PT1S"}}
    url = receiver.serve()
    task = await engine.task(post(url, {"id": "{{ trigger.output.item.id }}"}), trigger=poll)
    await engine.until_received(receiver, listed, count=2)
    assert not await engine.runs(task)
    receiver.answer(listed, Answer([{"id": 1}, {"id": 2}, {"id": 3}, {"id": 4}]))
    await engine.until_received(receiver, url, count=2)
    seen = len(receiver.at(listed))
    await engine.until_received(receiver, listed, count=seen + 2)
    assert sorted(each.body["id"] for each in receiver.at(url)) == [3, 4]
    assert len(await engine.runs(task)) == 2
    await engine.services.tasks.delete(task["id"], owner=engine.owner)


async def test_each_change_of_a_task_reaches_its_watcher_within_a_second(engine):
    """Created, edited, disabled, enabled, deleted: the supervisor watches the version that holds, or none."""
    tasks, owner = engine.services.tasks, engine.owner
    task = await engine.task(post("http://example.com"), trigger=NEVER)
    await until(lambda: engine.watches(task, 1), 1, "watching a new task")
    edited = {"name": "another", "trigger": NEVER, "actions": task_actions(task)}
    await tasks.replace(task["id"], edited, owner=owner)
    await until(lambda: engine.watches(task, 2), 1, "watching the edited task")
    await tasks.switch(task["id"], owner=owner, enabled=False)
    await until(lambda: engine.watches(task, None), 1, "forgetting a disabled task")
    await tasks.switch(task["id"], owner=owner, enabled=True)
    await until(lambda: engine.watches(task, 2), 1, "watching the enabled task")
    await tasks.delete(task["id"], owner=owner)
    await until(lambda: engine.watches(task, None), 1, "forgetting a deleted task")


async def test_with_one_watcher_per_host_every_trigger_has_its_own_actor(engine, every_minute):
    """With TASKE_WATCHERS_PER_HOST=1 three triggers are watched by three processes; back at many, by one."""
    for task in await engine.services.tasks.list(owner=engine.owner, limit=200):
        if task["id"] != every_minute["id"]:
            await engine.services.tasks.delete(task["id"], owner=engine.owner)
    before = {trigger_id(every_minute)}
    tasks = [await engine.task(post("http://example.com"), trigger=NEVER) for _ in range(2)]
    wanted = before | {trigger_id(task) for task in tasks}
    await another_supervisor(OneWatcherEach)
    try:
        await until(lambda: spread(engine, wanted), 60, "an actor for each trigger")
    finally:
        for task in tasks:
            await engine.services.tasks.delete(task["id"], owner=engine.owner)
        await another_supervisor(TriggerSupervisor)
    await until(lambda: spread(engine, before, hosts=1), 60, "one actor for all")


async def test_every_minute_of_the_session_was_fired_once(engine, every_minute):
    """Whatever other tests have killed: every whole minute has one run or a counted skip, and none has two."""

    async def due():
        return [run for run in await engine.runs(every_minute) if run["trigger_output"]["missed_count"] == 0]

    await until(due, 75, "a whole minute")
    runs = await engine.runs(every_minute)
    instants = sorted(instant(run["trigger_output"]["scheduled_at"]) for run in runs)
    assert all(at.second == 0 for at in instants)
    assert len(set(instants)) == len(instants)
    minutes = (instants[-1] - instants[0]) // timedelta(minutes=1) + 1
    assert len(instants) + (await engine.skips(every_minute)).get("misfire", 0) >= minutes


async def another_supervisor(cls):
    """The hosts stay, who looks after them changes."""
    await cluster.kill(cluster.SUPERVISOR)

    async def gone():
        return await cluster.find(cluster.SUPERVISOR) is None

    await until(gone, 10, "the supervisor's end")
    await cluster.call(await cluster.spawn_supervisor(cls), "ready", timeout_s=30)


async def spread(engine, wanted, hosts=None):
    """Whether exactly these triggers are watched, each by a host of its own unless a number of hosts is given."""
    found = []
    for name in {host["name"] for host in await engine.hosts("watcher")}:
        handle = await cluster.find(name)
        try:
            found += [(await cluster.call(handle, "watched", timeout_s=2.0))[1]] if handle else []
        except (cluster.ActorLost, TimeoutError):
            return False
    each = len(found) == hosts if hosts else all(len(one) == 1 for one in found)
    return each and sorted(trigger for one in found for trigger in one) == sorted(wanted)


async def moved(engine, task):
    """The schedule's next instant, once that lies ahead."""
    rows = await engine.rows("SELECT next_fire_at FROM triggers WHERE id = %(id)s", id=trigger_id(task))
    return rows[0]["next_fire_at"] if rows[0]["next_fire_at"] > await now(engine) else None


def task_actions(task):
    return [{name: action[name] for name in ("capability", "params")} for action in task["actions"]]


def instant(text):
    return datetime.fromisoformat(text).astimezone(UTC)


async def now(engine):
    return (await engine.rows("SELECT clock_timestamp() AS now"))[0]["now"]
