"""Cancelling a run in each state that it can be in."""

import pytest

from taske_ray.core.ids import parse_id
from taske_ray.errors import Conflict
from tests.cluster.engine import post
from tests.cluster.receiver import Answer

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(60, func_only=True)]

DELAY = {"capability": "system.delay", "params": {"for": "PT10M"}}


async def test_cancel_while_waiting(engine, receiver):
    """A run that sleeps is cancelled at once and sends nothing; cancelling it twice is no error."""
    url = receiver.serve()
    run_id = await engine.fire(await engine.task(DELAY, post(url)))
    await engine.reached(run_id, "waiting")
    assert [await cancel(engine, run_id) for _ in range(2)] == ["cancelled", "cancelled"]
    assert (await engine.get(run_id))["status"] == "cancelled"
    assert not receiver.at(url)


async def test_cancel_while_a_call_is_in_flight(engine, receiver):
    """The call ends and its outcome is recorded; no step begins behind it."""
    gate = receiver.gate()
    first, second = receiver.serve(Answer(gate=gate)), receiver.serve()
    run_id = await engine.fire(await engine.task(post(first), post(second)))
    await engine.reached(run_id, "running")
    await engine.until_received(receiver, first)
    assert await cancel(engine, run_id) == "running"
    gate.open()
    run = await engine.ended(run_id)
    assert run["status"] == "cancelled"
    assert [step["status"] for step in run["steps"]] == ["succeeded", "pending"]
    assert not receiver.at(second)


async def test_cancel_while_queued(engine, receiver):
    """A run that no host has taken is cancelled and never sends anything."""
    url = receiver.serve()
    gate = receiver.gate()
    task = await engine.task(post(receiver.serve(Answer(gate=gate))), post(url))
    run_id = await engine.fire(task)
    await engine.reached(run_id, "running")
    # a drained host gives its runs back like this; put off, so that no host is faster than this test
    await engine.rows(
        "UPDATE runs SET status = 'queued', owner = NULL, fence = fence + 1,"
        " available_at = clock_timestamp() + interval '1 hour' WHERE id = %(id)s",
        id=parse_id("run", run_id),
    )
    gate.open()
    assert await cancel(engine, run_id) == "cancelled"
    assert (await engine.get(run_id))["status"] == "cancelled"
    assert not receiver.at(url)


async def test_what_has_ended_stays_as_it_ended(engine, receiver):
    """Cancelling a run that has succeeded is refused and changes nothing."""
    run = await engine.run(post(receiver.serve()))
    with pytest.raises(Conflict):
        await cancel(engine, run["id"])
    assert (await engine.get(run["id"]))["status"] == "succeeded"


async def cancel(engine, run_id):
    return (await engine.services.runs.cancel(run_id, owner=engine.owner))["status"]
