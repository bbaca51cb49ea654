"""`kill -9` of each kind of process while it has something in hand."""

import asyncio
from datetime import datetime

import pytest

from taske_ray.core.ids import parse_id
from tests.cluster.engine import post, trigger_id
from tests.cluster.kills import end, kill_host, kill_supervisor
from tests.cluster.receiver import Answer
from tests.facts import until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(120, func_only=True)]

EVERY_SECOND = {"capability": "system.schedule.interval", "params": {"every": "PT1S"}}


async def test_a_run_survives_its_host(engine, receiver):
    """Killed with a call in flight: the run goes on within 45 s, each step under one key, a repetition explained."""
    gate = receiver.gate()
    first, second, third = receiver.serve(), receiver.serve(Answer(gate=gate)), receiver.serve()
    run_id = await engine.fire(await engine.task(post(first), post(second), post(third)))
    await engine.until_received(receiver, second)
    host = await engine.host_of(run_id)
    end(host["pid"])
    gate.open()
    run = await engine.ended(run_id, within_s=45)
    assert run["status"] == "succeeded"
    attempts = [each["status"] for each in run["steps"][1]["attempts"]]
    assert attempts in (["succeeded"], ["unknown", "succeeded"])  # its client was asked, or nobody could know
    assert [len(receiver.at(url)) for url in (first, second, third)] == [1, len(attempts), 1]
    assert [{each.key for each in receiver.at(url)} for url in (first, second, third)] == [
        {f"{run_id}:action{number}"} for number in (1, 2, 3)
    ]
    rows = await engine.rows("SELECT fence FROM runs WHERE id = %(id)s", id=parse_id("run", run_id))
    assert rows[0]["fence"] > 1


async def test_runs_by_the_dozen_survive_their_host(engine, receiver):
    """Forty runs at once on two hosts, one of them killed half way: all succeed, each step under one key of its own."""
    first, second = receiver.serve(), receiver.serve()
    task = await engine.task(post(first), post(second, {"seen": "{{ action1.output.status }}"}))
    ids = await asyncio.gather(*(engine.fire(task) for _ in range(40)))
    await kill_host(engine, "run")
    ended = [await engine.ended(run_id, within_s=45) for run_id in ids]
    assert {run["status"] for run in ended} == {"succeeded"}
    for url, step in ((first, "action1"), (second, "action2")):
        assert {each.key for each in receiver.at(url)} == {f"{run_id}:{step}" for run_id in ids}
    deliveries = len(receiver.at(first)) + len(receiver.at(second))
    unknown = sum(each["status"] == "unknown" for run in ended for step in run["steps"] for each in step["attempts"])
    assert deliveries - 80 <= unknown


async def test_a_call_whose_client_dies_is_sent_again_under_its_key(engine, receiver):
    """A killed integration client leaves an unknown attempt, seen at once; the next one carries the same key."""
    gate = receiver.gate()
    url = receiver.serve(Answer(gate=gate), Answer())
    run_id = await engine.fire(await engine.task(post(url)))
    await engine.until_received(receiver, url)
    for client in await engine.hosts("client"):  # whichever has the call
        end(client["pid"])
    gate.open()
    run = await engine.ended(run_id, within_s=45)
    assert run["status"] == "succeeded"
    attempts = run["steps"][0]["attempts"]
    assert attempts[0]["status"] == "unknown"
    assert attempts[0]["error"]["code"] == "client_lost"
    assert attempts[-1]["status"] == "succeeded"
    assert {each.key for each in receiver.at(url)} == {f"{run_id}:action1"}
    unknown = [each for each in attempts if each["status"] == "unknown"]
    assert len(receiver.at(url)) - 1 <= len(unknown)  # two, if the other client had it when that one was killed


async def test_an_unknown_outcome_waits_for_a_person_where_the_action_says_so(engine, receiver):
    """With `on_unknown: ask` the run parks as `needs_attention` after its client died; nothing is sent again."""
    url = receiver.serve(Answer(hang=True))
    run_id = await engine.fire(await engine.task(post(url, on_unknown="ask")))
    await engine.until_received(receiver, url)
    for client in await engine.hosts("client"):
        end(client["pid"])
    run = await engine.reached(run_id, "needs_attention", within_s=30)
    assert run["steps"][0]["status"] == "unknown"
    assert len(receiver.at(url)) == 1


@pytest.mark.parametrize("part", ["watcher", "supervisor"])
async def test_watchers_come_back(engine, receiver, part):
    """Killed watcher host or supervisor: the schedule goes on, no instant has two runs, none is lost unsaid."""
    url = receiver.serve()
    task = await engine.task(post(url), trigger=EVERY_SECOND)
    await engine.until_received(receiver, url, count=2)
    await (kill_supervisor() if part == "supervisor" else kill_host(engine, part))
    seen = len(receiver.at(url))
    await engine.until_received(receiver, url, count=seen + 2, within_s=30)
    await until(lambda: engine.watches(task, 1), 30, "watching again")
    await engine.services.tasks.switch(task["id"], owner=engine.owner, enabled=False)
    events = await engine.rows(
        "SELECT fire_key FROM events WHERE trigger_id = %(id)s ORDER BY fire_key", id=trigger_id(task)
    )
    runs = await engine.runs(task)
    assert len({event["fire_key"] for event in events}) == len(runs)
    last, first = runs[-1], runs[0]
    instants = (scheduled(last) - scheduled(first)).total_seconds() + 1
    assert len(runs) + (await engine.skips(task)).get("misfire", 0) >= instants


def scheduled(run):
    return datetime.fromisoformat(run["trigger_output"]["scheduled_at"])
