"""A run whose owner was killed, at whatever moment: nothing recorded is repeated, what is unknown is asked for."""

import pytest

from taske_ray.core.outcome import ErrorClass, Failed, Succeeded, Unknown
from taske_ray.core.run import RunStatus
from tests.unit.actors.one_run import Killed, Stand, get, post


async def test_recorded_steps_are_not_repeated():
    """A new owner goes on behind the last recorded step, with its output."""
    stand = Stand(get("/a"), get("/{{ action1.output.id }}"), outcomes=[Succeeded({"id": 9}), Killed()])
    with pytest.raises(Killed):
        await stand.execute()
    stand.taken_over()
    assert await stand.execute() is RunStatus.SUCCEEDED
    assert stand.sent == ["1:1", "2:1", "2:2"]
    assert stand.clients.calls[-1].params["url"] == "https://api.example/9"
    assert stand.attempts() == [(1, 1, "succeeded"), (2, 1, "unknown"), (2, 2, "succeeded")]


async def test_a_safe_call_that_was_cut_off_is_sent_again_under_one_key():
    """The first attempt stays unknown and explains the second delivery; both carry one key."""
    stand = Stand(get("/a"), outcomes=[Killed()])
    with pytest.raises(Killed):
        await stand.execute()
    stand.taken_over()
    assert await stand.execute() is RunStatus.SUCCEEDED
    assert stand.attempts() == [(1, 1, "unknown"), (1, 2, "succeeded")]
    assert len({call.idempotency_key for call in stand.clients.calls}) == 1
    assert [call.fence for call in stand.clients.calls] == [1, 2]


@pytest.mark.parametrize("cut", ["by the process", "by the network"])
async def test_a_call_that_must_not_be_repeated_parks_the_run(cut):
    """Nobody knows whether it arrived: the run needs attention, its request is on record, nothing is sent again."""
    stand = Stand(post("hi"), get("/b"), outcomes=[Killed() if cut == "by the process" else Unknown("cut off")])
    if cut == "by the process":
        with pytest.raises(Killed):
            await stand.execute()
        stand.taken_over()
    assert await stand.execute() is RunStatus.NEEDS_ATTENTION
    assert stand.sent == ["1:1"]
    assert (stand.row.status, stand.statuses(), stand.attempts()) == (
        "needs_attention",
        {1: "unknown"},
        [(1, 1, "unknown")],
    )
    assert stand.row.steps[1].input["body"] == "hi"
    assert stand.row.error["class"] == "unknown"


@pytest.mark.parametrize(("policy", "ends"), [("resend", RunStatus.WAITING), ("fail", RunStatus.FAILED)])
async def test_the_actions_own_word_about_unknown_outcomes_wins(policy, ends):
    """`on_unknown` decides against the capability's class."""
    stand = Stand(post("hi", on_unknown=policy), outcomes=[Unknown("cut off")])
    assert await stand.execute() is ends
    assert stand.attempts() == [(1, 1, "unknown")]


async def test_an_outcome_that_the_client_still_has_is_adopted():
    """A new owner asks before it repeats: a finished call is recorded as it ended and not made again."""
    stand = Stand(post("hi"), get("/{{ action1.output.id }}"), outcomes=[Killed()])
    with pytest.raises(Killed):
        await stand.execute()
    call = stand.clients.calls[0]
    stand.clients.remembered[call.id] = Succeeded({"id": 3}, http_status=201)
    stand.taken_over()
    assert await stand.execute() is RunStatus.SUCCEEDED
    (question,) = stand.clients.questions
    assert (question.call_id, question.client, question.fence) == (call.id, stand.clients.client, 2)
    assert stand.sent == ["1:1", "2:1"]
    assert stand.attempts() == [(1, 1, "succeeded"), (2, 1, "succeeded")]
    assert (call.id, stand.clients.client) in stand.clients.acknowledged


async def test_a_call_that_its_client_never_had_is_made_now():
    """Killed between intent and call: even what must not be repeated is sent, because it was not sent before."""
    stand = Stand(post("hi"), outcomes=[Killed()])
    with pytest.raises(Killed):
        await stand.execute()
    stand.clients.remembered[stand.clients.calls[0].id] = Failed(
        ErrorClass.TRANSIENT, "never_began", "It never had it.", sent=False
    )
    stand.taken_over()
    assert await stand.execute() is RunStatus.SUCCEEDED
    assert stand.attempts() == [(1, 1, "failed"), (1, 2, "succeeded")]
    assert stand.row.attempts[1, 1]["sent"] is False


async def test_killed_at_any_write_a_run_still_ends_with_each_step_once():
    """Whichever of its writes is the last of a process, before or after it is in the log, the next owner finishes."""
    specs = (
        get("/a"),
        {"capability": "system.email.send", "params": {"to": ["a@b.example"], "subject": "s"}},
        get("/c"),
    )
    whole = Stand(*specs)
    await whole.execute()
    for last in range(len(whole.log.advances)):
        for written in (False, True):
            stand = Stand(*specs)
            save = stand.log.advance

            async def dying(advance, save=save, last=last, written=written, log=stand.log):
                if len(log.advances) == last and advance.fence == 1:
                    if written:
                        await save(advance)
                    raise Killed
                return await save(advance)

            stand.log.advance = dying
            with pytest.raises(Killed):
                await stand.execute()
            if stand.row.status == "running":
                stand.taken_over()
                assert await stand.execute() is RunStatus.SUCCEEDED
            assert stand.row.status == "succeeded"
            assert set(stand.statuses().values()) == {"succeeded"}
            assert len(stand.log.mails) == 1
            assert sum(one["status"] == "succeeded" for one in stand.row.attempts.values()) == 2
            assert len({call.idempotency_key for call in stand.clients.calls}) == 2
