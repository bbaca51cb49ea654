"""Runs whose host is gone, or gave them back: who is to blame, who goes on, and when it ends as poison."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from taske_ray.clock import new_id
from taske_ray.db import hosts
from taske_ray.db.runs import Advance, AttemptClosed, AttemptOpened, suspects_due
from tests.integration.db.advances import closing, opening, written

pytestmark = pytest.mark.integration


async def test_runs_of_an_expired_host_go_back_to_the_queue(world, owned):
    """The host is dead, the run queued under a new fence, its open call unknown; nobody is to blame."""
    store, run = owned
    await store.advance(opening(run))
    await world.expire(run.host)
    assert await world.store(await world.host()).rescue() == 1
    row = await world.run(run.run_id)
    assert (row["status"], row["owner"], row["fence"], row["crashes"]) == ("queued", None, run.fence + 1, 0)
    assert await world.attempts(run.run_id) == [(1, 1, "unknown")]
    assert await world.value("SELECT state FROM hosts WHERE id = %(id)s", id=run.host) == "dead"
    assert not (await store.advance(closing(run))).owned
    assert await world.attempts(run.run_id) == [(1, 1, "unknown")]


async def test_an_unknown_call_is_explained_by_its_client(world, owned):
    """The next owner reads who was to make the call, and its outcome replaces `unknown`; the count stays."""
    store, run = owned
    client = new_id()
    await store.advance(replace(opening(run), opened=(AttemptOpened(1, 1, "key", client),)))
    await world.expire(run.host)
    other = world.store(await world.host())
    assert await other.rescue() == 1
    (taken,) = await other.claim(share=10, most=10)
    (attempt,) = (await other.steps([run.run_id]))[run.run_id][0].attempts
    assert (attempt["status"], attempt["client"]) == ("unknown", str(client))
    assert (await other.advance(closing(taken))).owned
    assert await world.attempts(run.run_id) == [(1, 1, "succeeded")]


async def test_leases_that_ran_out_wait_for_the_reaper_and_crashes_do_not(world):
    """Without `lapsed` only runs of hosts that are known to be gone are rescued."""
    trigger = await world.trigger()
    lapsed, crashed = await world.host(), await world.host()
    for host in (lapsed, crashed):
        await world.fires.fire(world.event(trigger, str(host), host=host))
    await world.expire(lapsed)
    await hosts.end(world.database, [crashed], state="crashed")
    store = world.store(await world.host())
    assert [await store.rescue(lapsed=one) for one in (False, False, True)] == [1, 0, 1]
    started_at, age_s = await store.server()
    assert started_at < datetime.now(UTC)
    assert age_s > 0


async def test_a_live_host_keeps_its_runs(owned):
    """Nothing is rescued from a host whose lease lasts."""
    store, _ = owned
    assert await store.rescue() == 0


@pytest.mark.parametrize(("state", "crashes"), [("crashed", 1), ("drained", 0), ("dead", 0)])
async def test_only_a_crash_counts_against_the_run(world, owned, state, crashes):
    """A host whose process exited by itself counts one crash; a drained or lapsed one does not."""
    store, run = owned
    await hosts.end(world.database, [run.host], state=state)
    assert await store.rescue() == 1
    assert (await world.run(run.run_id))["crashes"] == crashes


async def test_a_run_given_to_a_host_that_no_longer_exists_is_rescued(world, owned):
    """The reaper looks for runs without a live owner, not only for hosts that just died."""
    store, run = owned
    await world.rows("DELETE FROM hosts WHERE id = %(id)s", id=run.host)
    assert await store.rescue() == 1


async def test_reapers_take_turns(world, owned):
    """Of several reapers at once each orphan is taken by one."""
    _, run = owned
    await world.expire(run.host)
    stores = [world.store(await world.host()) for _ in range(4)]
    assert sum(await asyncio.gather(*(store.rescue() for store in stores))) == 1
    assert (await world.run(run.run_id))["fence"] == run.fence + 1


async def test_released_runs_go_back_with_an_unknown_call(world, owned):
    """A host gives a run back: queued, next fence, claims kept; a call that was cut off is unknown."""
    store, run = owned
    await store.advance(opening(run))
    await world.rows("UPDATE runs SET claims = 4 WHERE id = %(id)s", id=run.run_id)
    await store.release([(run.run_id, run.fence + 1)])
    assert (await world.run(run.run_id))["status"] == "running"
    await store.release([(run.run_id, run.fence)])
    row = await world.run(run.run_id)
    assert (row["status"], row["owner"], row["fence"], row["claims"]) == ("queued", None, run.fence + 1, 4)
    assert await world.attempts(run.run_id) == [(1, 1, "unknown")]


@pytest.mark.parametrize(("column", "most"), [("crashes", 4), ("claims", 20)])
async def test_a_run_that_makes_no_progress_ends_as_poison(world, owned, column, most):
    """The fifth crash, or the twentieth claim, without a checkpoint ends a run as failed, with the code `poison`."""
    store, run = owned
    await world.rows(f"UPDATE runs SET {column} = {most} WHERE id = %(id)s", id=run.run_id)
    await hosts.end(world.database, [run.host], state="crashed")
    assert await store.rescue() == 1
    row = await world.run(run.run_id)
    assert (row["status"], row["owner"], row["error"]["code"]) == ("failed", None, "poison")
    assert row["finished_at"] is not None


async def test_a_run_that_is_given_back_again_and_again_ends_as_poison(world, owned):
    """A run that its hosts cannot execute is given back twenty times, not for ever."""
    store, run = owned
    await world.rows("UPDATE runs SET claims = 20 WHERE id = %(id)s", id=run.run_id)
    await store.release([(run.run_id, run.fence)])
    assert (await world.run(run.run_id))["error"]["code"] == "poison"


async def test_a_run_that_took_two_hosts_along_executes_alone(world, owned):
    """After its second crash only a quarantine host claims it; a checkpoint there clears it."""
    _, run = owned
    await world.rows("UPDATE runs SET crashes = 1 WHERE id = %(id)s", id=run.run_id)
    await hosts.end(world.database, [run.host], state="crashed")
    common = world.store(await world.host())
    assert not await suspects_due(world.database)
    assert await common.rescue() == 1
    assert await suspects_due(world.database)
    assert await common.claim(share=10, most=10) == []
    alone = world.store(await world.host(kind="quarantine", capacity=1))
    (claimed,) = await alone.claim_suspects(most=1)
    assert (claimed.run_id, claimed.fence) == (run.run_id, run.fence + 2)
    assert await alone.claim_suspects(most=1) == []
    await alone.advance(opening(claimed))
    assert (await world.run(run.run_id))["crashes"] == 2
    assert await suspects_due(world.database)
    step = (AttemptClosed(1, 1, "succeeded", sent=True),)
    await alone.advance(Advance(run.run_id, claimed.fence, closed=step, steps=(written(1, "succeeded"),)))
    assert ((await world.run(run.run_id))["crashes"], await suspects_due(world.database)) == (0, False)


async def test_neighbours_of_a_poison_run_clear_themselves(world):
    """Ten runs that shared two crashes are taken one by one; those that get on are claimed by anybody again."""
    host, trigger = await world.host(), await world.trigger()
    runs = [(await world.fires.fire(world.event(trigger, f"{n}", host=host))).assigned for n in range(10)]
    await world.rows("UPDATE runs SET crashes = 1")
    await hosts.end(world.database, [host], state="crashed")
    common, alone = world.store(await world.host()), world.store(await world.host(kind="quarantine", capacity=1))
    assert await common.rescue() == 10
    for _ in runs:
        (claimed,) = await alone.claim_suspects(most=1)
        await alone.advance(opening(claimed))
        waits = Advance(claimed.run_id, claimed.fence, "waiting", closed=(AttemptClosed(1, 1, "failed", sent=True),))
        await alone.advance(waits)
    assert await alone.claim_suspects(most=1) == []
    assert len(await common.claim(share=20, most=20)) == 10


async def test_five_crashes_end_a_run_wherever_it_executes(world):
    """Each crash without a checkpoint counts once, in common hosts and in quarantine; the fifth is the end."""
    trigger = await world.trigger()
    host = await world.host()
    run = (await world.fires.fire(world.event(trigger, "a", host=host))).assigned
    reaper = world.store(await world.host())
    for crash in range(1, 6):
        await world.store(run.host).advance(opening(run, number=crash))
        await hosts.end(world.database, [run.host], state="crashed")
        assert await reaper.rescue() == 1
        row = await world.run(run.run_id)
        assert row["crashes"] == crash
        if crash < 5:
            quarantine = crash >= 2
            store = world.store(await world.host(kind="quarantine" if quarantine else "run"))
            (run,) = await (store.claim_suspects(most=1) if quarantine else store.claim(share=9, most=9))
    assert (row["status"], row["error"]["code"]) == ("failed", "poison")
    assert "unknown" in {status for _, _, status in await world.attempts(run.run_id)}


async def test_twenty_claims_without_a_checkpoint_end_a_run(world):
    """Lapsed leases are nobody's fault, but not for ever: the twentieth taking is the last."""
    run = (await world.fires.fire(world.event(await world.trigger(), "a", host=await world.host()))).assigned
    reaper = world.store(await world.host())
    for claim in range(1, 21):
        assert (await world.run(run.run_id))["claims"] == claim
        await world.store(run.host).advance(opening(run, number=claim))
        await world.expire(run.host)
        assert await reaper.rescue() == 1
        if claim < 20:
            (run,) = await world.store(await world.host()).claim(share=9, most=9)
    row = await world.run(run.run_id)
    assert (row["status"], row["error"]["code"], row["crashes"]) == ("failed", "poison", 0)
