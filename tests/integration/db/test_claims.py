"""Claims of due runs: fair, by share and priority, never two of one run, and what happens when their answer is lost."""

import asyncio

import pytest

from taske_ray.db.runs import Advance, AttemptClosed
from tests.integration.db.advances import opening

pytestmark = pytest.mark.integration


async def test_a_claim_takes_due_runs_with_a_new_fence(world):
    """At most so many, each owned, running, under the next fence and with one more claim."""
    host, trigger = await world.host(), await world.trigger()
    queued = await world.queued(trigger, 5)
    taken = await world.store(host).claim(share=10, most=3)
    assert [run.run_id for run in taken] == queued[:3] or {run.run_id for run in taken} == set(queued[:3])
    for run in taken:
        row = await world.run(run.run_id)
        assert (row["status"], row["owner"], row["fence"], row["claims"]) == ("running", host, 1, 1)
        assert (run.host, run.fence, run.input) == (host, 1, row["input"])


@pytest.mark.parametrize("way", ["claim", "claim_suspects", "unstarted"])
async def test_whoever_takes_a_run_is_told_that_its_task_is_gone(world, way):
    """Claimed, alone or after a lost nudge, a run of a deleted task is marked, and one of another task is not."""
    kept, gone, host = await world.trigger(), await world.trigger(), await world.host()
    store, runs = world.store(host), {}
    for trigger in (kept, gone):
        [runs[trigger]] = await world.queued(trigger, 1)
    if way == "unstarted":
        assert len(await store.claim(most=10)) == 2
        await world.rows("UPDATE runs SET assigned_at = clock_timestamp() - interval '3 s'")
    await world.rows("UPDATE runs SET crashes = %(n)s", n=2 if way == "claim_suspects" else 0)
    await world.rows("DELETE FROM tasks WHERE id = %(id)s", id=gone.task_id)
    taken = await (store.unstarted() if way == "unstarted" else getattr(store, way)(most=10))
    assert {run.run_id: run.orphaned for run in taken} == {runs[kept]: False, runs[gone]: True}


async def test_a_claim_is_fair_by_user(world):
    """Thirty runs of one user behind three hundred of another are all claimed within the first ninety claims."""
    flood, late, host = await world.trigger(), await world.trigger(), await world.host()
    await world.queued(flood, 300)
    wanted = set(await world.queued(late, 30))
    store, claimed = world.store(host), []
    while not wanted <= set(claimed):
        taken = await store.claim(share=1000, most=10)
        claimed += [run.run_id for run in taken]
        await asyncio.gather(*(store.advance(Advance(run.run_id, run.fence, "succeeded")) for run in taken))
    assert len(claimed) <= 90


async def test_a_claim_counts_what_already_runs(world):
    """A user whose runs fill the slots comes after one who has none running."""
    busy, idle, host = await world.trigger(), await world.trigger(), await world.host()
    await world.queued(busy, 8)
    store = world.store(host)
    await store.claim(share=100, most=4)
    (waiting,) = await world.queued(idle, 1)
    assert [run.run_id for run in await store.claim(share=100, most=1)] == [waiting]


async def test_a_user_alone_may_have_every_slot(world):
    """Nobody else waits: all slots of the live hosts may be taken by one user, and no more than that."""
    store = world.store(await world.host(capacity=30))
    await world.host(capacity=10)
    await world.host(capacity=500, lease_s=-1)
    await world.host(capacity=500, kind="client")
    await world.queued(await world.trigger(), 60)
    assert len(await store.claim(most=100)) == 40
    assert await store.claim(most=100) == []


async def test_while_others_wait_a_user_has_half_of_the_slots(world):
    """A flood gets half of them, at least ten; what is left goes to the others, and sleeping runs keep nobody back."""
    store = world.store(await world.host(capacity=40))
    flood, other, asleep = await world.trigger(), await world.trigger(), await world.trigger()
    await world.queued(flood, 60)
    await world.queued(asleep, 1)
    await world.rows(
        "UPDATE runs SET available_at = clock_timestamp() + interval '1 h' WHERE user_id = %(u)s", u=asleep.user_id
    )
    assert len(await store.claim(most=25)) == 25
    await world.queued(other, 60)
    assert {run.user_id for run in await store.claim(most=15)} == {other.user_id}
    await world.rows("UPDATE runs SET status = 'succeeded' WHERE status = 'running'")
    taken = [run.user_id for run in await store.claim(most=100)]
    assert (taken.count(flood.user_id), taken.count(other.user_id)) == (20, 20)


async def test_half_of_few_slots_is_ten(world):
    """On a small host the flood may have ten, the others the same."""
    store = world.store(await world.host(capacity=4))
    flood, other = await world.trigger(), await world.trigger()
    await world.queued(flood, 30)
    await world.queued(other, 30)
    taken = [run.user_id for run in await store.claim(most=100)]
    assert (taken.count(flood.user_id), taken.count(other.user_id)) == (10, 10)


async def test_a_claim_leaves_a_user_their_share(world):
    """No user gets more running runs than the share, claimed now or before."""
    trigger, host = await world.trigger(), await world.host()
    await world.queued(trigger, 10)
    store = world.store(host)
    assert [len(await store.claim(share=4, most=10)) for _ in range(2)] == [4, 0]


async def test_a_claim_goes_by_priority_then_by_age(world):
    """Within a user a smaller priority goes first, then what has been due longer."""
    trigger, host = await world.trigger(), await world.host()
    queued = await world.queued(trigger, 4)
    await world.rows("UPDATE runs SET priority = -1 WHERE id = %(id)s", id=queued[3])
    await world.rows("UPDATE runs SET available_at = '2020-01-01Z' WHERE id = %(id)s", id=queued[2])
    store = world.store(host)
    order = [(await store.claim(share=10, most=1))[0].run_id for _ in range(4)]
    assert order == [queued[3], queued[2], queued[0], queued[1]]


async def test_concurrent_claimers_never_share_a_run(world):
    """Six hosts claim a hundred and twenty runs at once; each run has exactly one owner."""
    triggers = [await world.trigger() for _ in range(4)]
    for trigger in triggers:
        await world.queued(trigger, 30)
    stores = [world.store(await world.host()) for _ in range(6)]

    async def claim_all(store):
        taken = []
        while found := await store.claim(share=1000, most=7):
            taken += found
        return taken

    taken = await asyncio.gather(*(claim_all(store) for store in stores))
    everything = [run.run_id for some in taken for run in some]
    rest = await claim_all(stores[0])  # what was locked by another claimer when the last one looked
    assert len(everything) + len(rest) == len({*everything, *(run.run_id for run in rest)}) == 120
    assert await world.value("SELECT max(claims) FROM runs") == 1


async def age(world, run_id):
    await world.rows(
        "UPDATE runs SET assigned_at = assigned_at - interval '3 s' WHERE id = %(id)s",
        id=run_id,
    )


async def test_a_run_whose_nudge_was_lost_is_found_by_its_host(world, owned):
    """After two seconds a host sees what it owns and has not begun; others do not."""
    store, run = owned
    assert await store.unstarted() == []
    await age(world, run.run_id)
    assert await store.unstarted() == [run]
    assert await world.store(await world.host()).unstarted() == []
    await store.advance(opening(run))
    assert await store.unstarted() == []


async def test_a_resumed_run_whose_claim_was_not_answered_is_found_too(world, owned):
    """A run that had begun before, and whose new owner never got the answer to its claim, is not forgotten."""
    store, run = owned
    await store.advance(opening(run))
    await store.advance(Advance(run.run_id, run.fence, "waiting", closed=(AttemptClosed(1, 1, "failed", sent=True),)))
    (claimed,) = await store.claim(share=10, most=10)  # imagine that this answer never arrived
    await age(world, run.run_id)
    assert await store.unstarted() == [claimed]
    await store.advance(opening(claimed, number=2))
    assert await store.unstarted() == []
