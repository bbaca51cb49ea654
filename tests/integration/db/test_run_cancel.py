"""Cancelling runs: at once where nothing executes, behind the call in flight where something does."""

from datetime import UTC, datetime, timedelta

import pytest

from taske_ray.clock import new_id
from taske_ray.db import hosts
from taske_ray.db.runs import Advance, AttemptClosed, AttemptOpened, cancel_run
from tests.integration.db.advances import closing, opening, written

pytestmark = pytest.mark.integration


async def test_cancel_of_a_running_run_opens_nothing_more(world, owned):
    """The call in flight is recorded, the next step is not opened, and the run ends cancelled."""
    store, run = owned
    await store.advance(opening(run))
    assert await cancel_run(world.database, owner=run.user_id, run_id=run.run_id) == "running"
    move_on = Advance(
        run.run_id,
        run.fence,
        closed=(AttemptClosed(1, 1, "succeeded", sent=True),),
        steps=(written(1, "succeeded", {"n": 1}), written(2, "running")),
        opened=(AttemptOpened(2, 1),),
    )
    answer = await store.advance(move_on)
    row = await world.run(run.run_id)
    assert (answer.owned, answer.cancelled) == (True, True)
    assert (row["status"], row["owner"]) == ("cancelled", None)
    assert row["finished_at"] is not None
    assert await world.attempts(run.run_id) == [(1, 1, "succeeded")]
    assert [step.step for step in (await store.steps([run.run_id]))[run.run_id]] == [1]


async def test_cancel_of_a_run_that_would_wait_ends_it(world, owned):
    """A cancelled run whose call failed does not wait for another try."""
    store, run = owned
    await store.advance(opening(run))
    await cancel_run(world.database, owner=run.user_id, run_id=run.run_id)
    later = datetime.now(UTC) + timedelta(hours=1)
    await store.advance(
        Advance(run.run_id, run.fence, "waiting", later, closed=(AttemptClosed(1, 1, "failed", sent=True),))
    )
    assert (await world.run(run.run_id))["status"] == "cancelled"


async def test_a_cancelled_run_whose_call_has_an_unknown_outcome_is_not_parked(world, owned):
    """It ends cancelled, its step stays unknown, and nobody is asked to decide."""
    store, run = owned
    await store.advance(opening(run))
    await cancel_run(world.database, owner=run.user_id, run_id=run.run_id)
    step, attempt = written(1, "unknown"), AttemptClosed(1, 1, "unknown", error={"code": "unknown_outcome"})
    await store.advance(Advance(run.run_id, run.fence, "needs_attention", closed=(attempt,), steps=(step,)))
    row = await world.run(run.run_id)
    assert (row["status"], row["owner"], row["finished_at"] is not None) == ("cancelled", None, True)
    assert await world.attempts(run.run_id) == [(1, 1, "unknown")]
    assert await world.rows("SELECT * FROM run_ends") == []


async def test_cancel_loses_to_a_run_that_ends(world, owned):
    """A run that succeeds with its last call stays succeeded although it was told to stop."""
    store, run = owned
    await store.advance(opening(run))
    await cancel_run(world.database, owner=run.user_id, run_id=run.run_id)
    await store.advance(closing(run))
    assert (await world.run(run.run_id))["status"] == "succeeded"


@pytest.mark.parametrize("status", ["queued", "waiting", "needs_attention"])
async def test_cancel_of_what_does_not_execute_is_at_once(world, owned, status):
    """A queued, sleeping or parked run ends at once, under a new fence."""
    store, run = owned
    if status == "queued":
        await store.release([(run.run_id, run.fence)])
    else:
        await store.advance(Advance(run.run_id, run.fence, status))
    before = await world.run(run.run_id)
    assert await cancel_run(world.database, owner=run.user_id, run_id=run.run_id) == "cancelled"
    after = await world.run(run.run_id)
    assert (after["status"], after["fence"]) == ("cancelled", before["fence"] + 1)
    assert after["finished_at"] is not None


async def test_a_stranger_cannot_cancel(world, owned):
    """A run of somebody else is not found."""
    _, run = owned
    assert await cancel_run(world.database, owner=new_id(), run_id=run.run_id) is None
    assert (await world.run(run.run_id))["cancel_requested_at"] is None


async def test_a_cancelled_run_whose_host_dies_is_cancelled_by_the_next(world, owned):
    """The wish outlives the host: whoever claims the run opens nothing and ends it."""
    store, run = owned
    await store.advance(opening(run))
    await cancel_run(world.database, owner=run.user_id, run_id=run.run_id)
    await hosts.end(world.database, [run.host], state="crashed")
    await store.rescue()
    other = world.store(await world.host())
    (claimed,) = await other.claim(share=10, most=10)
    answer = await other.advance(opening(claimed, number=2))
    assert answer.cancelled
    assert (await world.run(run.run_id))["status"] == "cancelled"
    assert await world.attempts(run.run_id) == [(1, 1, "unknown")]
