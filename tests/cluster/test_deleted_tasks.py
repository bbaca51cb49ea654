"""Runs whose task is deleted under way: each ends, in a way that does not depend on what its host remembers."""

import asyncio

import pytest

from taske_ray.core.ids import parse_id
from tests.cluster.engine import post
from tests.cluster.receiver import Answer

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(120, func_only=True)]
DELAY = {"capability": "system.delay", "params": {"for": "PT10M"}}


async def test_a_run_that_waits_fails_when_its_turn_comes(engine, receiver):
    """Runs that both hosts have begun wait; their task is deleted: each fails with its code, and nothing is sent."""
    url = receiver.serve()
    task = await engine.task(DELAY, post(url))
    runs = await asyncio.gather(*(engine.fire(task) for _ in range(12)))
    for run_id in runs:
        await engine.reached(run_id, "waiting")
    await engine.services.tasks.delete(task["id"], owner=engine.owner)
    await engine.rows(
        "UPDATE runs SET available_at = clock_timestamp() WHERE task_id = %(id)s", id=parse_id("task", task["id"])
    )
    ended = [await engine.ended(run_id) for run_id in runs]
    assert {(run["status"], run["error"]["code"]) for run in ended} == {("failed", "task_deleted")}
    assert not receiver.at(url)


async def test_a_run_that_is_executed_goes_on_to_its_end(engine, receiver):
    """The task is deleted while a call is out: the call's outcome is recorded, and the step behind it is made."""
    gate = receiver.gate()
    first, second = receiver.serve(Answer(gate=gate)), receiver.serve()
    task = await engine.task(post(first), post(second))
    run_id = await engine.fire(task)
    await engine.until_received(receiver, first)
    await engine.services.tasks.delete(task["id"], owner=engine.owner)
    gate.open()
    run = await engine.ended(run_id)
    assert (run["status"], [step["status"] for step in run["steps"]]) == ("succeeded", ["succeeded"] * 2)
    assert len(receiver.at(second)) == 1
