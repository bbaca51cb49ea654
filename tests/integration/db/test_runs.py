"""Writes of runs on a real PostgreSQL: fenced, whole or not at all, once however often sent; ends never change."""

import asyncio
from datetime import UTC, datetime, timedelta

import orjson
import pytest

from taske_ray.clock import new_id
from taske_ray.db import hosts
from taske_ray.db.runs import Advance, AttemptClosed, AttemptOpened, MailWritten, StepWritten, cancel_run
from tests.integration.db.advances import closing, opening, written

pytestmark = pytest.mark.integration
TERMINAL = ("succeeded", "failed", "cancelled")


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


async def test_an_input_is_kept_as_it_was_written(owned):
    """Whoever sends a step again sends the same bytes: order and numbers are those of the first time (D3)."""
    store, run = owned
    written_once = {"zeta": 1, "a": {"long": 1e20, "b": -0.0, "c": 1.5, "é": [1e16, 1e-7, 2**53]}}
    step = StepWritten(1, "post", "http.request", "running", input=written_once)
    await store.advance(Advance(run.run_id, run.fence, steps=(step,), opened=(AttemptOpened(1, 1, "key"),)))
    [one] = (await store.steps([run.run_id]))[run.run_id]
    assert orjson.dumps(one.input) == orjson.dumps(written_once)


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


# deleted tasks ----------------------------------------------------------------------------------------------


async def test_the_text_of_a_deleted_task_is_gone(world, owned):
    """A run of a deleted task finds no text, and its rows stay."""
    store, run = owned
    assert (await store.task(run.task_id, 1)).pins == {"http.request": 1}
    assert await store.task(run.task_id, 2) is None
    await world.rows("DELETE FROM tasks WHERE id = %(id)s", id=run.task_id)
    assert await store.task(run.task_id, 1) is None
    assert (await world.run(run.run_id))["status"] == "running"
