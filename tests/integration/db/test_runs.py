"""The life of runs on a real PostgreSQL: fenced writes, fair claims, rescue, and ends that never change."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from taske_ray.clock import new_id
from taske_ray.db import hosts
from taske_ray.db.runs import (
    Advance,
    AttemptClosed,
    AttemptOpened,
    MailWritten,
    StepWritten,
    cancel_run,
    suspects_due,
)

pytestmark = pytest.mark.integration
TERMINAL = ("succeeded", "failed", "cancelled")


def opening(run, step=1, number=1, **more):
    """The intent of a call."""
    return Advance(
        run.run_id,
        run.fence,
        steps=(StepWritten(step, f"action{step}", "http.request", "running", input={"step": step}),),
        opened=(AttemptOpened(step, number, f"{run.run_id}:action{step}"),),
        **more,
    )


def closing(run, step=1, number=1, status="succeeded", **more):
    """The outcome of a call, and by default the end of its run."""
    given = {"status": "succeeded", "steps": (written(step, "succeeded", {"n": step}),), **more}
    return Advance(
        run.run_id, run.fence, closed=(AttemptClosed(step, number, status, sent=True, http_status=200),), **given
    )


def written(step, status, output=None):
    return StepWritten(step, f"action{step}", "http.request", status, output=output)


@pytest.fixture
async def owned(world):
    """A host's store and a run that it owns."""
    host, trigger = await world.host(), await world.trigger()
    fired = await world.fires.fire(world.event(trigger, "a", host=host))
    return world.store(host), fired.assigned


# advance ----------------------------------------------------------------------------------------------------------


async def test_checkpoint_and_next_intent_are_one_write(world, owned):
    """One advance closes step 1, records its output and opens step 2."""
    store, run = owned
    await store.advance(opening(run))
    both = Advance(
        run.run_id,
        run.fence,
        closed=(AttemptClosed(1, 1, "succeeded", sent=True, http_status=201),),
        steps=(written(1, "succeeded", {"id": 7}), StepWritten(2, "mail", "mail.send", "running", input={"to": "x"})),
        opened=(AttemptOpened(2, 1, "key"),),
    )
    assert (await store.advance(both)).owned
    assert await world.attempts(run.run_id) == [(1, 1, "succeeded"), (2, 1, "dispatched")]
    one, two = (await store.steps([run.run_id]))[run.run_id]
    assert (one.status, one.input, one.output) == ("succeeded", {"step": 1}, {"id": 7})
    assert (two.key, two.status, two.input, two.output) == ("mail", "running", {"to": "x"}, None)
    assert (one.attempts[0]["http_status"], two.attempts[0]["finished_at"]) == (201, None)


async def test_a_checkpoint_clears_the_counts_and_an_intent_does_not(world, owned):
    """`started_at` is set once; claims and crashes go back to zero when a step is recorded, not when one is opened."""
    store, run = owned
    await world.rows("UPDATE runs SET crashes = 3 WHERE id = %(id)s", id=run.run_id)
    await store.advance(opening(run))
    first = await world.run(run.run_id)
    await store.advance(closing(run))
    last = await world.run(run.run_id)
    assert (first["status"], first["claims"], first["crashes"]) == ("running", 1, 3)
    assert (last["claims"], last["crashes"]) == (0, 0)
    assert first["started_at"] == last["started_at"] is not None
    assert (last["status"], last["owner"]) == ("succeeded", None)
    assert last["finished_at"] >= last["started_at"]


@pytest.mark.parametrize("how", ["older fence", "newer fence", "other host", "not running"])
async def test_a_write_without_the_fence_changes_nothing(world, owned, how):
    """With another fence, from another host, or when the run is no longer running, nothing is written."""
    store, run = owned
    await store.advance(opening(run))
    fence = {"older fence": run.fence - 1, "newer fence": run.fence + 1}.get(how, run.fence)
    if how == "other host":
        store = world.store(await world.host())
    if how == "not running":
        await world.rows("UPDATE runs SET status = 'queued' WHERE id = %(id)s", id=run.run_id)
    before = (await world.run(run.run_id), await world.attempts(run.run_id))
    mail = MailWritten(new_id(), run.user_id, ("a@example.com",), "s", "t")
    lost = closing(run, mails=(mail,), opened=(AttemptOpened(2, 1),))
    answer = await store.advance(Advance(**{name: getattr(lost, name) for name in lost.__slots__} | {"fence": fence}))
    assert not answer.owned
    assert (await world.run(run.run_id), await world.attempts(run.run_id)) == before
    assert await world.value("SELECT count(*)::int FROM mails") == 0
    assert [step.status for step in (await store.steps([run.run_id]))[run.run_id]] == ["running"]


async def test_in_a_batch_only_the_fenced_out_run_is_left_alone(world):
    """Ten runs advance together; the one that was taken away meanwhile is not written and is told so."""
    host = await world.host()
    runs = [(await world.fires.fire(world.event(await world.trigger(), "a", host=host))).assigned for _ in range(10)]
    await world.rows("UPDATE runs SET fence = 9 WHERE id = %(id)s", id=runs[3].run_id)
    store = world.store(host)
    answers = await asyncio.gather(*(store.advance(opening(run)) for run in runs))
    assert [n for n, answer in enumerate(answers) if not answer.owned] == [3]
    assert await world.value("SELECT count(*)::int FROM attempts") == 9


async def test_a_batch_sent_twice_is_written_once(world, owned):
    """A COMMIT whose answer was lost is repeated: the same rows, and the run is still ours."""
    store, run = owned
    advance = opening(run, mails=(MailWritten(new_id(), run.user_id, ("a@example.com",), "s", "t"),))
    answers = [await store.advance(advance) for _ in range(3)]
    assert all(answer.owned for answer in answers)
    assert await world.attempts(run.run_id) == [(1, 1, "dispatched")]
    assert await world.value("SELECT count(*)::int FROM mails") == 1
    move_on = Advance(
        run.run_id,
        run.fence,
        closed=(AttemptClosed(1, 1, "succeeded", sent=True),),
        steps=(written(1, "succeeded", 1), written(2, "running")),
        opened=(AttemptOpened(2, 1),),
    )
    for _ in range(2):
        assert (await store.advance(move_on)).owned
    assert await world.attempts(run.run_id) == [(1, 1, "succeeded"), (2, 1, "dispatched")]


async def test_one_refused_advance_fails_alone(world):
    """An advance that the database refuses fails by itself; the others of its batch are written."""
    host = await world.host()
    runs = [(await world.fires.fire(world.event(await world.trigger(), "a", host=host))).assigned for _ in range(5)]
    store = world.store(host)
    bad = Advance(runs[2].run_id, runs[2].fence, status="nonsense")
    writes = [bad if n == 2 else opening(run) for n, run in enumerate(runs)]
    answers = await asyncio.gather(*(store.advance(write) for write in writes), return_exceptions=True)
    assert [isinstance(answer, Exception) for answer in answers] == [False, False, True, False, False]
    assert await world.value("SELECT count(*)::int FROM attempts") == 4


async def test_a_second_success_of_a_step_is_refused(world, owned):
    """The unique index refuses another `succeeded` attempt of one step, by an advance and by hand."""
    store, run = owned
    await store.advance(opening(run))
    await store.advance(closing(run, status="succeeded", opened=(AttemptOpened(1, 2),), steps=()))
    await world.rows("UPDATE runs SET status = 'running', owner = %(o)s WHERE id = %(id)s", o=run.host, id=run.run_id)
    with pytest.raises(Exception, match=r"one_success|_run_id_step_idx"):
        await store.advance(closing(run, number=2))
    with pytest.raises(Exception, match=r"one_success|_run_id_step_idx"):
        await world.rows(
            "INSERT INTO attempts (run_id, step, number, fence, status) VALUES (%(id)s, 1, 3, 1, 'succeeded')",
            id=run.run_id,
        )


@pytest.mark.parametrize("status", ["succeeded", "failed"])
async def test_a_settled_attempt_stays_as_it_is(world, owned, status):
    """Only a dispatched or an `unknown` attempt can be closed: one whose outcome is known is not rewritten."""
    store, run = owned
    await store.advance(opening(run))
    await world.rows("UPDATE attempts SET status = %(s)s WHERE run_id = %(id)s", s=status, id=run.run_id)
    await store.advance(closing(run, status="unknown"))
    assert await world.attempts(run.run_id) == [(1, 1, status)]


async def test_a_waiting_run_has_no_owner_and_is_claimed_when_due(world, owned):
    """A run that waits holds no slot; before its time nobody gets it, afterwards whoever asks, with its steps."""
    store, run = owned
    await store.advance(opening(run))
    later = datetime.now(UTC) + timedelta(hours=1)
    wait = Advance(
        run.run_id, run.fence, "waiting", available_at=later, closed=(AttemptClosed(1, 1, "failed", sent=True),)
    )
    assert (await store.advance(wait)).owned
    row = await world.run(run.run_id)
    assert (row["status"], row["owner"], row["available_at"]) == ("waiting", None, later)
    assert await store.claim(share=10, most=10) == []
    await world.rows("UPDATE runs SET available_at = clock_timestamp() WHERE id = %(id)s", id=run.run_id)
    (claimed,) = await store.claim(share=10, most=10)
    assert (claimed.run_id, claimed.fence) == (run.run_id, run.fence + 1)
    assert [step.step for step in (await store.steps([run.run_id]))[run.run_id]] == [1]


async def test_a_parked_run_keeps_its_error_and_is_claimed_by_nobody(world, owned):
    """`needs_attention` is not terminal, has no owner, and nobody claims it."""
    store, run = owned
    await store.advance(Advance(run.run_id, run.fence, "needs_attention", error={"code": "unknown_outcome"}))
    row = await world.run(run.run_id)
    assert (row["status"], row["owner"], row["finished_at"]) == ("needs_attention", None, None)
    assert row["error"] == {"code": "unknown_outcome"}
    assert await store.claim(share=10, most=10) == []


@pytest.mark.parametrize("status", TERMINAL)
async def test_terminal_states_never_change(world, owned, status):
    """Nothing moves a run that ended: no advance, no cancel, no claim, no rescue, no release."""
    store, run = owned
    await store.advance(Advance(run.run_id, run.fence, status, error={"code": "x"}))
    before = await world.run(run.run_id)
    assert not (await store.advance(opening(run))).owned
    assert not (await store.advance(closing(run))).owned
    assert await cancel_run(world.database, owner=run.user_id, run_id=run.run_id) is None
    await hosts.end(world.database, [run.host], state="crashed")
    await store.release([(run.run_id, run.fence)])
    assert await store.rescue() == 0
    assert await store.claim(share=10, most=10) == []
    assert await world.run(run.run_id) == before
    assert before["finished_at"] is not None


# cancel -----------------------------------------------------------------------------------------------------


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


# claim ------------------------------------------------------------------------------------------------------


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


# lost nudges and lost answers -----------------------------------------------------------------------------


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


# rescue and release -----------------------------------------------------------------------------------------


async def expire(world, host_id):
    await world.rows(
        "UPDATE hosts SET expires_at = clock_timestamp() - interval '1 ms' WHERE id = %(id)s",
        id=host_id,
    )


async def test_runs_of_an_expired_host_go_back_to_the_queue(world, owned):
    """The host is dead, the run queued under a new fence, its open call unknown; nobody is to blame."""
    store, run = owned
    await store.advance(opening(run))
    await expire(world, run.host)
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
    await expire(world, run.host)
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
    await expire(world, lapsed)
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
    await expire(world, run.host)
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


# deleted tasks ----------------------------------------------------------------------------------------------


async def test_the_text_of_a_deleted_task_is_gone(world, owned):
    """A run of a deleted task finds no text, and its rows stay."""
    store, run = owned
    assert (await store.task(run.task_id, 1)).pins == {"http.request": 1}
    assert await store.task(run.task_id, 2) is None
    await world.rows("DELETE FROM tasks WHERE id = %(id)s", id=run.task_id)
    assert await store.task(run.task_id, 1) is None
    assert (await world.run(run.run_id))["status"] == "running"


# poison -------------------------------------------------------------------------------------------------------


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
        await expire(world, run.host)
        assert await reaper.rescue() == 1
        if claim < 20:
            (run,) = await world.store(await world.host()).claim(share=9, most=9)
    row = await world.run(run.run_id)
    assert (row["status"], row["error"]["code"], row["crashes"]) == ("failed", "poison", 0)
