"""WorkflowRun: every way that a run can go while it has its owner."""

from datetime import timedelta

import pytest

from taske_ray.core.ids import format_id
from taske_ray.core.outcome import ErrorClass, Failed, Succeeded
from taske_ray.core.run import RunStatus
from taske_ray.errors import Unavailable
from tests.unit.actors.one_run import HOST, LEASE, REFUSED, SERVER_ERROR, Stand, get

# the ways of a run ----------------------------------------------------------------------------------------------------


async def test_steps_run_in_order_and_see_what_came_before():
    """Each action gets the rendered outputs of those before it, and the run ends succeeded."""
    stand = Stand(
        get("/{{ trigger.output.id }}", key="first"),
        get("/{{ action1.output.body.name }}/{{ first.output.status }}"),
        input_={"id": 7},
        outcomes=[Succeeded({"status": 201, "body": {"name": "x"}}, http_status=201)],
    )
    assert await stand.execute() is RunStatus.SUCCEEDED
    assert [call.params["url"] for call in stand.clients.calls] == [
        "https://api.example/7",
        "https://api.example/x/201",
    ]
    assert stand.statuses() == {1: "succeeded", 2: "succeeded"}
    assert stand.attempts() == [(1, 1, "succeeded"), (2, 1, "succeeded")]
    assert (stand.row.status, stand.row.error) == ("succeeded", None)


async def test_a_call_carries_ids_a_key_and_the_lease():
    """The same key for every attempt of a step, another for each step; the fence and the lease's end go with it."""
    stand = Stand(get("/a", key="first"), get("/b"))
    await stand.execute()
    first, second = stand.clients.calls
    run = format_id("run", stand.run.run_id)
    assert (first.idempotency_key, second.idempotency_key) == (f"{run}:first", f"{run}:action2")
    assert (first.run_id, first.step, first.fence, first.lease_ends_at, first.host) == (run, "first", 1, LEASE, HOST)
    assert (first.user_id, first.capability, first.version) == (stand.run.user_id, "http.request", 1)


async def test_the_intent_is_recorded_before_the_call_and_with_the_checkpoint_before_it():
    """When a call begins, its attempt is dispatched in the log, by the client that makes it; one write a step."""
    seen = []
    stand = Stand(get("/a"), get("/b"))

    def look(_call):
        seen.append(stand.attempts())
        return Succeeded({"status": 200})

    stand.clients.outcomes = [look, look]
    await stand.execute()
    assert seen == [[(1, 1, "dispatched")], [(1, 1, "succeeded"), (2, 1, "dispatched")]]
    assert len(stand.log.advances) == 3
    assert {str(client) for client in stand.clients.made_at} == {one["client"] for one in stand.row.attempts.values()}


async def test_outcomes_are_acknowledged_once_they_are_recorded():
    """Each call's outcome is acknowledged to its client after the write that holds it, not before."""
    stand = Stand(get("/a"), get("/b"))
    counts = []
    stand.log.before = lambda _: counts.append(len(stand.clients.acknowledged))
    await stand.execute()
    assert counts == [0, 0, 1]
    assert stand.clients.acknowledged == [(call.id, stand.clients.client) for call in stand.clients.calls]


async def test_a_run_without_actions_succeeds():
    """Nothing to do is done."""
    stand = Stand()
    assert await stand.execute() is RunStatus.SUCCEEDED
    assert stand.row.status == "succeeded"


async def test_a_condition_that_is_false_skips_its_step():
    """A skipped step makes no call, and the ones behind it run."""
    stand = Stand(get("/a", **{"if": "trigger.output.big"}), get("/b"), input_={"big": False})
    assert await stand.execute() is RunStatus.SUCCEEDED
    assert stand.statuses() == {1: "skipped", 2: "succeeded"}
    assert stand.sent == ["2:1"]


async def test_a_failure_stops_the_run_or_not():
    """`on_error: continue` goes on behind a failed step; by default the run fails with the step's error."""
    stops = Stand(get("/a"), get("/b"), outcomes=[REFUSED])
    goes_on = Stand(get("/a", on_error="continue"), get("/{{ action1.status }}"), outcomes=[REFUSED])
    assert await stops.execute() is RunStatus.FAILED
    assert (stops.row.error["code"], stops.row.error["step"]) == ("http_error", "action1")
    assert stops.statuses() == {1: "failed"}
    assert await goes_on.execute() is RunStatus.SUCCEEDED
    assert goes_on.clients.calls[1].params["url"].endswith("/failed")


async def test_a_template_without_a_value_fails_before_anything_is_sent():
    """An undefined reference fails its step with a stable code; no attempt is opened."""
    stand = Stand(get("/{{ trigger.output.missing }}"), input_={})
    assert await stand.execute() is RunStatus.FAILED
    assert stand.row.error["code"] == "template_undefined"
    assert (stand.attempts(), stand.sent) == ([], [])


async def test_parameters_against_the_schema_fail_before_anything_is_sent():
    """Rendered parameters are checked; what breaks the schema is never sent."""
    stand = Stand({"capability": "http.request", "params": {"url": "{{ trigger.output.url }}"}}, input_={"url": 7})
    assert await stand.execute() is RunStatus.FAILED
    assert stand.row.error["class"] == "invalid"
    assert stand.sent == []


# waiting --------------------------------------------------------------------------------------------------------------


async def test_a_retryable_failure_waits_in_the_log_and_goes_on():
    """The run sleeps with its attempt closed; claimed when due, the same step is tried again under the same key."""
    stand = Stand(get("/a"), get("/b"), outcomes=[SERVER_ERROR])
    assert await stand.execute() is RunStatus.WAITING
    assert stand.row.status == "waiting"
    assert stand.row.available_at == stand.clock.now() + timedelta(seconds=1)
    assert stand.attempts() == [(1, 1, "failed")]
    stand.clock.advance(1)
    stand.taken_over()
    assert await stand.execute() is RunStatus.SUCCEEDED
    assert stand.sent == ["1:1", "1:2", "2:1"]
    assert len({call.idempotency_key for call in stand.clients.calls[:2]}) == 1
    assert stand.clients.questions == []


async def test_retries_end_after_five_attempts():
    """Five failures in a row fail the step; a sixth call is never made."""
    stand = Stand(get("/a"), outcomes=[SERVER_ERROR] * 6)
    results = []
    for _ in range(5):
        results.append(await stand.execute())
        if stand.row.status == "waiting":
            stand.clock.advance((stand.row.available_at - stand.clock.now()).total_seconds())
            stand.taken_over()
    assert results == [RunStatus.WAITING] * 4 + [RunStatus.FAILED]
    assert len(stand.sent) == 5
    assert stand.row.error["gave_up"] == "max_attempts"


async def test_an_ordered_wait_is_obeyed_and_does_not_count():
    """A 429 with Retry-After waits that long at least, and costs none of the attempts."""
    limited = Failed(ErrorClass.RATE_LIMITED, "http_error", "429", http_status=429, retry_after_s=120)
    stand = Stand(get("/a"), outcomes=[limited])
    assert await stand.execute() is RunStatus.WAITING
    assert 120 <= (stand.row.available_at - stand.clock.now()).total_seconds() <= 133
    assert stand.row.attempts[1, 1]["counted"] is False


async def test_a_delay_sleeps_and_ends_when_its_moment_has_come():
    """A delay leaves memory with the moment it settled on, and does not start over when it is claimed."""
    stand = Stand({"capability": "system.delay", "params": {"for": "PT10M"}}, get("/b"))
    assert await stand.execute() is RunStatus.WAITING
    until = stand.clock.now() + timedelta(minutes=10)
    assert stand.row.available_at == until
    stand.clock.advance(599)
    stand.taken_over()
    assert await stand.execute() is RunStatus.WAITING
    assert stand.row.available_at == until
    stand.clock.advance(1)
    stand.taken_over()
    assert await stand.execute() is RunStatus.SUCCEEDED
    assert stand.sent == ["2:1"]
    assert "resumed_at" in stand.row.steps[1].output


async def test_a_mail_is_written_with_the_step_that_sends_it():
    """The mail is in the same write as its step's success, once, and the output is what the catalog promises."""
    mail = {"capability": "system.email.send", "params": {"to": ["a@example.com"], "subject": "{{ trigger.output }}"}}
    stand = Stand(mail, get("/b"), input_="hello")
    assert await stand.execute() is RunStatus.SUCCEEDED
    (written,) = stand.log.mails
    assert (written.recipients, written.subject, written.user_id) == (("a@example.com",), "hello", stand.run.user_id)
    (with_mail,) = [advance for advance in stand.log.advances if advance.mails]
    assert [(step.step, step.status) for step in with_mail.steps] == [(1, "succeeded"), (2, "running")]
    assert stand.row.steps[1].output == {"message_id": f"<{format_id('mail', written.id)}@taske>"}
    assert stand.attempts() == [(2, 1, "succeeded")]


# fences, cancels and databases that are away --------------------------------------------------------------------------


async def test_a_run_that_was_taken_away_makes_no_call():
    """With the fence lost before the intent is written, the run stops and calls nothing."""
    stand = Stand(get("/a"))
    stand.row.fence = 5
    assert await stand.execute() is None
    assert (stand.sent, stand.log.advances) == ([], [])


async def test_a_run_that_is_taken_away_during_a_call_stops_behind_it():
    """The outcome of a call is not written by an owner that was replaced, and no further call is made."""
    stand = Stand(get("/a"), get("/b"))

    def lose(_call):
        stand.log.taken_over(stand.run)
        return Succeeded({"status": 200})

    stand.clients.outcomes = [lose]
    assert await stand.execute() is None
    assert stand.attempts() == [(1, 1, "unknown")]
    assert stand.sent == ["1:1"]
    assert stand.clients.acknowledged == []


async def test_a_cancel_ends_the_run_behind_the_call_in_flight():
    """The outcome is recorded, the next step is not opened, and no call follows."""
    stand = Stand(get("/a"), get("/b"))

    def cancel(_call):
        stand.row.cancelled = True
        return Succeeded({"status": 200})

    stand.clients.outcomes = [cancel]
    assert await stand.execute() is RunStatus.CANCELLED
    assert (stand.row.status, stand.attempts(), stand.statuses()) == (
        "cancelled",
        [(1, 1, "succeeded")],
        {1: "succeeded"},
    )


async def test_a_run_cancelled_before_it_began_calls_nothing():
    """A cancel that came first opens nothing."""
    stand = Stand(get("/a"))
    stand.row.cancelled = True
    assert await stand.execute() is RunStatus.CANCELLED
    assert (stand.sent, stand.attempts()) == ([], [])


async def test_a_drain_ends_the_run_here_behind_the_call_in_flight():
    """The outcome is recorded, the next step is not begun, and whoever owns the run then repeats nothing."""
    stand = Stand(get("/a"), get("/{{ action1.output.id }}"))

    def drain(_call):
        stand.draining = True
        return Succeeded({"id": 9})

    stand.clients.outcomes = [drain]
    assert await stand.execute() is RunStatus.QUEUED
    assert (stand.row.status, stand.attempts(), stand.statuses()) == (
        "running",
        [(1, 1, "succeeded")],
        {1: "succeeded"},
    )
    assert len(stand.clients.acknowledged) == 1
    stand.draining = False
    stand.taken_over()
    assert await stand.execute() is RunStatus.SUCCEEDED
    assert stand.sent == ["1:1", "2:1"]


async def test_a_drain_begins_no_run():
    """What comes to a host that drains is not touched: nothing is asked, written or sent."""
    stand = Stand(get("/a"))
    stand.draining = True
    assert await stand.execute() is RunStatus.QUEUED
    assert (stand.log.advances, stand.clients.questions, stand.sent) == ([], [], [])


async def test_a_cancel_wins_over_a_drain():
    """A run that is cancelled while its host drains ends behind its call and goes nowhere."""
    stand = Stand(get("/a"), get("/b"))

    def cancel(_call):
        stand.draining = stand.row.cancelled = True
        return Succeeded({"status": 200})

    stand.clients.outcomes = [cancel]
    assert await stand.execute() is RunStatus.CANCELLED
    assert stand.row.status == "cancelled"


@pytest.mark.parametrize("outcome", [Succeeded({"status": 200}), REFUSED, SERVER_ERROR])
async def test_a_run_that_ends_or_waits_does_so_in_a_drain_too(outcome):
    """Nothing is given back where no call would follow."""
    stand, same = (Stand(get("/a"), outcomes=[outcome]) for _ in range(2))

    def drain(_call):
        stand.draining = True
        return outcome

    stand.clients.outcomes = [drain]
    assert await stand.execute() is await same.execute()
    assert stand.row.status == same.row.status


async def test_what_cannot_be_saved_is_not_acted_on():
    """A log that is away raises, and the call whose intent was not written is not made."""
    stand = Stand(get("/a"))

    def away(_advance):
        raise Unavailable

    stand.log.before = away
    with pytest.raises(Unavailable):
        await stand.execute()
    assert stand.sent == []
