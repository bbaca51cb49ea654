"""The engine's brain: what is written and called next, for every outcome."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taske_ray.core.delay import wake_at
from taske_ray.core.outcome import ErrorClass, Succeeded, Unknown
from taske_ray.core.progress import after, resolve, sleep, start
from taske_ray.core.retry import RetryPolicy
from taske_ray.core.run import Attempt, AttemptStatus, RunStatus, StepStatus, can_move
from taske_ray.core.size import is_larger
from taske_ray.errors import Invalid
from taske_ray.limits import Limits
from tests.unit.core.rules.decisions import action, ask, begun, digest, dispatched, empty, failed, now, safe, undefined


def test_a_fresh_run_opens_its_first_step():
    """The first step is written `running` with its rendered input, and called as attempt 1."""
    decision = begun([action(1, lambda scope: {"n": scope["trigger"]["output"]["n"]}), action(2)])
    assert (decision.status, decision.call.attempt) == (RunStatus.RUNNING, 1)
    assert [(step.number, step.status, step.input) for step in decision.steps] == [(1, StepStatus.RUNNING, {"n": 1})]


def test_success_is_one_write_with_the_next_intent():
    """The checkpoint of step 1 and the opening of step 2, which sees its output, are one decision."""
    actions = [action(1), action(2, lambda scope: {"id": scope["action1"]["output"]["id"]})]
    decision = digest(actions, begun(actions), Succeeded({"id": 9}, http_status=201))
    assert [(step.number, step.status) for step in decision.steps] == [(1, "succeeded"), (2, "running")]
    assert decision.call.step.input == {"id": 9}
    assert (decision.closed_step, decision.closed.status, decision.closed.http_status) == (1, "succeeded", 201)
    assert decision.closed.finished_at == now


def test_the_last_success_ends_the_run():
    """Behind the last step the run has succeeded."""
    decision = digest([action(1)], begun([action(1)]), Succeeded(None))
    assert (decision.status, decision.call, decision.error) == (RunStatus.SUCCEEDED, None, None)


def test_a_task_without_actions_succeeds():
    """There may be nothing to do."""
    assert begun([]).status is RunStatus.SUCCEEDED


def test_false_condition_skips():
    """`if` false: the step is skipped, without input, and the next one opens in the same write."""
    actions = [action(1, undefined, condition=lambda _scope: False), action(2)]
    decision = begun(actions)
    assert [(step.number, step.status) for step in decision.steps] == [(1, "skipped"), (2, "running")]


@pytest.mark.parametrize("where", ["params", "condition"])
def test_template_errors_fail_the_step_before_anything_is_sent(where):
    """An error in a template is class fatal, with its code and its field, and there is no call."""
    broken = action(1, undefined) if where == "params" else action(1, condition=undefined)
    decision = begun([broken, action(2)])
    assert (decision.status, decision.call) == (RunStatus.FAILED, None)
    error = {"class": "fatal", "code": "template_undefined", "message": "trigger.output.x is missing (at /text)"}
    assert decision.steps[0].error == error
    assert decision.error == {**error, "step": "action1"}


def test_rendered_input_is_completed_and_checked():
    """Defaults are filled in before the input is recorded; what does not fit is a failure of class invalid."""

    def fill(params, moment):
        if params["n"] > 5:
            raise Invalid.at("/n", "out_of_range", "must be at most 5")
        return {**params, "at": moment}

    good = begun([action(1, lambda _scope: {"n": 5}, fill=fill)])
    assert good.call.step.input == {"n": 5, "at": "2027-05-04T12:00:00Z"}
    bad = begun([action(1, lambda _scope: {"n": 6}, fill=fill)])
    assert bad.steps[0].error == {"class": "invalid", "code": "out_of_range", "message": "/n: must be at most 5"}


def test_what_no_store_takes_is_mended():
    """NUL in an answer becomes visible, and an answer nested too deep fails the step, not the process."""
    actions = [action(1)]
    mended = digest(actions, begun(actions), Succeeded({"text": "a\0b"}))
    assert mended.steps[0].output == {"text": "a\ufffdb"}
    deep = []
    for _ in range(300):
        deep = [deep]
    failed_step = digest(actions, begun(actions), Succeeded(deep))
    assert (failed_step.error["code"], failed_step.closed.status) == ("output_too_deep", AttemptStatus.SUCCEEDED)


def test_continue_after_a_failure():
    """`on_error: continue`: the step has failed, a later template sees it, and the run succeeds."""
    actions = [action(1, on_error="continue"), action(2, lambda scope: {"seen": scope["action1"]["error"]["code"]})]
    decision = digest(actions, begun(actions), failed("not_found"))
    assert decision.call.step.input == {"seen": "http_error"}
    assert digest(actions, decision, Succeeded(1)).status is RunStatus.SUCCEEDED


def test_a_definite_no_fails_the_run():
    """A 404 is not retried: step and run have failed, and the run names the step."""
    actions = [action(1), action(2)]
    decision = digest(actions, begun(actions), failed("not_found"))
    assert (decision.status, decision.steps[0].status, decision.error["step"]) == ("failed", "failed", "action1")


def test_a_transient_failure_waits():
    """A 503 leaves the run waiting until the next attempt, the step still running and saying why."""
    decision = digest([action(1)], begun([action(1)]), failed("transient", retry_after_s=60), jitter=0.0)
    assert (decision.status, decision.available_at) == (RunStatus.WAITING, now + timedelta(seconds=60))
    assert decision.steps[0].status is StepStatus.RUNNING
    assert decision.steps[0].error["retry_at"] == "2027-05-04T12:01:00Z"
    assert decision.closed.error["retry_after_s"] == 60


def test_waking_up_makes_the_next_attempt_with_the_same_input():
    """Templates are rendered once: a later attempt sends the same input under the next number."""
    inputs = iter([{"n": 1}, {"n": 2}])
    actions = [action(1, lambda _scope: next(inputs))]
    waiting = digest(actions, begun(actions), failed("transient"))
    again = start(actions, waiting.progress, safe, now)
    assert (again.call.attempt, again.call.step.input) == (2, {"n": 1})


def test_attempts_run_out():
    """After the last attempt the step fails and says that no more were left."""
    actions = [action(1)]
    decision, seen = begun(actions), 0
    while decision.call is not None:
        seen += 1
        decision = digest(actions, decision, failed("transient"), jitter=0.0)
        if decision.status is RunStatus.WAITING:
            decision = start(actions, decision.progress, safe, now)
    assert (seen, decision.status, decision.error["gave_up"]) == (5, RunStatus.FAILED, "max_attempts")


def test_rate_limits_cost_no_attempt():
    """A 429 is recorded but not counted."""
    decision = digest([action(1)], begun([action(1)]), failed("rate_limited", retry_after_s=1))
    assert (decision.closed.counted, decision.status) == (False, RunStatus.WAITING)


@pytest.mark.parametrize(("connection", "expected"), [("conn", "auth_revoked"), (None, "permission")])
def test_a_token_that_stays_expired(connection, expected):
    """After one refresh the connection is dead; without a connection it was a lack of permission."""
    actions = [action(1, connection=connection)]
    waiting = digest(actions, begun(actions), failed("auth_expired"))
    assert (waiting.status, waiting.available_at) == (RunStatus.WAITING, now)
    decision = digest(actions, start(actions, waiting.progress, safe, now), failed("auth_expired"))
    assert decision.error["class"] == expected


def test_unknown_is_sent_again_if_that_is_safe():
    """A safe call without an answer waits and is tried again; its attempt stays unknown."""
    decision = digest([action(1)], begun([action(1)]), Unknown("timed out"))
    assert (decision.status, decision.closed.status) == (RunStatus.WAITING, AttemptStatus.UNKNOWN)


def test_unknown_parks_the_run():
    """For class `ask` the run needs attention and shows the step; nothing behind it is opened."""
    actions = [action(1, on_error="continue"), action(2)]
    decision = digest(actions, begun(actions), Unknown("timed out"), classify=ask)
    assert (decision.status, decision.steps[0].status) == (RunStatus.NEEDS_ATTENTION, StepStatus.UNKNOWN)
    assert (decision.error["code"], decision.call) == ("unknown_outcome", None)


def test_unknown_may_fail():
    """`on_unknown: fail` ends the step as unknown, never as a plain failure, and the run as failed."""
    actions = [action(1, on_unknown="fail")]
    decision = digest(actions, begun(actions), Unknown("timed out"), classify=lambda *_: "keyed")
    assert (decision.status, decision.steps[0].status) == (RunStatus.FAILED, StepStatus.UNKNOWN)


def test_a_read_without_an_answer_has_failed():
    """A safe call cannot have changed anything: when its attempts are used up the step is failed, not unknown."""
    actions = [action(1, retry=RetryPolicy(max_attempts=1))]
    decision = digest(actions, begun(actions), Unknown("timed out", "timeout"))
    assert (decision.status, decision.steps[0].status) == (RunStatus.FAILED, StepStatus.FAILED)
    assert (decision.error["class"], decision.error["code"]) == ("transient", "timeout")
    assert decision.closed.status is AttemptStatus.UNKNOWN


@pytest.mark.parametrize(
    ("choice", "status", "step"),
    [("sent", "queued", "succeeded"), ("resend", "queued", "pending"), ("fail", "failed", "failed")],
)
def test_resolving(choice, status, step):
    """A person's word settles the parked step and lets the run go on or fail."""
    actions = [action(1), action(2)]
    parked = digest(actions, begun(actions), Unknown("?"), classify=ask).progress
    decision = resolve(parked, choice, on_error="stop")
    assert (decision.status, decision.steps[0].status) == (status, step)


def test_a_failed_step_that_may_fail_lets_the_run_go_on():
    """With `on_error: continue` the word `fail` is about the step alone."""
    actions = [action(1), action(2)]
    parked = digest(actions, begun(actions), Unknown("?"), classify=ask).progress
    decision = resolve(parked, "fail", on_error="continue")
    assert (decision.status, decision.steps[0].status) == ("queued", "failed")


def test_a_resend_is_not_asked_again():
    """After `resend` the next host sends under the next number though the class is still `ask`."""
    actions = [action(1)]
    parked = digest(actions, begun(actions), Unknown("?"), classify=ask).progress
    decision = start(actions, resolve(parked, "resend", on_error="stop").progress, ask, now)
    assert (decision.status, decision.call.attempt) == (RunStatus.RUNNING, 2)


def test_nothing_to_resolve():
    """A run in which nothing is unknown has nothing to decide."""
    assert resolve(empty, "fail", on_error="stop") is None


def test_delay_sleeps_and_wakes():
    """A delay leaves the run waiting with the moment in its input, and is asked again from there."""
    actions = [action(1, lambda _scope: {"for": "PT10M"})]
    decision = begun(actions)
    until = wake_at(decision.call.step.input, now)
    asleep = sleep(decision.progress, 1, until)
    assert (asleep.status, asleep.available_at) == (RunStatus.WAITING, now + timedelta(minutes=10))
    later = now + timedelta(minutes=11)
    woken = start(actions, asleep.progress, safe, later)
    assert wake_at(woken.call.step.input, later) == until
    output = Succeeded({"until": "2027-05-04T12:10:00Z"})
    done = after(actions, woken.progress, 1, None, output, classify=safe, now=later, jitter=0.0)
    assert (done.status, done.closed) == (RunStatus.SUCCEEDED, None)


@pytest.mark.parametrize("params", [{}, {"for": "soon"}, {"until": "never"}, {"for": "P999999999999D"}])
def test_bad_delays_fail(params):
    """A delay that cannot be read is a failure with advice."""
    assert wake_at(params, now).code == "bad_delay"


def test_an_hour_of_calls_is_enough():
    """A run that was active for more than an hour fails, whatever its actions say about errors."""
    actions = [action(1, on_error="continue"), action(2, on_error="continue")]
    decision = begun(actions)
    long = replace(dispatched(decision), started_at=now - timedelta(hours=1, seconds=1))
    late = after(actions, decision.progress, 1, long, Succeeded(1), classify=safe, now=now, jitter=0.0)
    assert (late.status, late.error["code"]) == (RunStatus.FAILED, "run_timeout")


def test_too_much_is_an_error():
    """A step whose input, or a run whose outputs, are too large fails; nothing is cut off."""
    small, text = replace(empty, limits=Limits(input_mib=1, context_mib=1)), "x" * 1024 * 1024
    large = [action(1, lambda _scope: {"text": text})]
    assert start(large, small, safe, now).error["code"] == "input_too_large"
    actions = [action(1)]
    decision = digest(actions, start(actions, small, safe, now), Succeeded(text))
    assert (decision.error["code"], decision.closed.status) == ("output_too_large", AttemptStatus.SUCCEEDED)


def test_sizes():
    """Text counts in UTF-8, containers with what they hold, and the walk stops at the limit."""
    assert not is_larger({"a": [1, None, "한"]}, 30)
    assert is_larger("한" * 10, 30)
    assert is_larger([[0]] * 100, 100)


outcomes = st.one_of(
    st.just(Succeeded({"x": 1})),
    st.just(Unknown("?")),
    st.sampled_from([failed(name, sent=sent) for name in ErrorClass for sent in (True, False)]),
)
action_kinds = st.tuples(
    st.sampled_from(["stop", "continue"]), st.sampled_from([None, "resend", "ask", "fail"]), st.booleans()
)


@given(st.lists(action_kinds, max_size=4), st.lists(outcomes, max_size=40), st.sampled_from([safe, ask]), st.data())
def test_every_run_ends_by_legal_moves(kinds, results, classify, data):
    """Whatever happens: legal moves, order kept, at most one success per step, and in the end the run is over."""
    actions = [
        action(n, condition=lambda _scope, run=run: run, on_error=on_error, on_unknown=on_unknown)
        for n, (on_error, on_unknown, run) in enumerate(kinds, 1)
    ]
    decision, moment = start(actions, empty, classify, now), now
    statuses = {}
    for result in [*results, *[Succeeded(None)] * 10]:
        for step in decision.steps:
            before = statuses.get(step.number, StepStatus.PENDING)
            assert before == step.status or can_move(before, step.status), (before, step.status)
            statuses[step.number] = step.status
            assert all(statuses.get(n) in {"succeeded", "failed", "skipped", "unknown"} for n in range(1, step.number))
            assert sum(attempt.status == "succeeded" for attempt in step.attempts) <= 1
        moment = max(moment, decision.available_at or moment)
        if decision.status is RunStatus.WAITING:
            decision = start(actions, decision.progress, classify, moment)
        elif decision.status is RunStatus.NEEDS_ATTENTION:
            choice = data.draw(st.sampled_from(["sent", "resend", "fail"]))
            settled = resolve(decision.progress, choice, on_error="stop")
            statuses[max(statuses)] = settled.steps[0].status
            if settled.status is RunStatus.FAILED:
                return
            decision = start(actions, settled.progress, classify, moment)
        elif decision.call is None:
            break
        else:
            attempt = Attempt(decision.call.attempt, AttemptStatus.DISPATCHED, moment)
            number = decision.call.step.number
            decision = after(
                actions, decision.progress, number, attempt, result, classify=classify, now=moment, jitter=0.5
            )
    stopped = [a for a in actions if statuses.get(a.number) in {"failed", "unknown"} and a.on_error == "stop"]
    assert decision.status is (RunStatus.FAILED if stopped else RunStatus.SUCCEEDED)
