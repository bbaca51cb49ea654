"""What the next owner of a run does: adopt, send again, park, or only write the end."""

from dataclasses import replace

import pytest

from taske_ray.core.outcome import ErrorClass, Failed, Succeeded, Unknown
from taske_ray.core.progress import adopt, lost_call, resolve, start
from taske_ray.core.retry import never_began
from taske_ray.core.run import AttemptStatus, Progress, RunStatus
from tests.unit.core.rules.decisions import action, ask, begun, digest, dispatched, empty, now, safe


@pytest.mark.parametrize("status", ["dispatched", "unknown"])
def test_a_taken_over_run_sends_again_or_parks(status):
    """A call whose process died is unknown: a safe one goes out as the next attempt, an `ask` one parks."""
    actions = [action(1)]
    first = begun(actions)
    step = first.call.step.with_attempt(replace(dispatched(first), status=AttemptStatus(status)))
    taken = first.progress.with_step(step)
    again = start(actions, taken, safe, now)
    assert (again.status, again.call.attempt) == (RunStatus.RUNNING, 2)
    assert (again.closed is not None) == (status == "dispatched")
    parked = start(actions, taken, ask, now)
    assert (parked.status, parked.steps[0].attempts[-1].status) == ("needs_attention", AttemptStatus.UNKNOWN)


def taken_over(actions, status="unknown") -> Progress:
    """A run whose owner died in its first call."""
    first = begun(actions)
    step = first.call.step.with_attempt(replace(dispatched(first), status=AttemptStatus(status)))
    return first.progress.with_step(step)


@pytest.mark.parametrize("status", ["dispatched", "unknown"])
def test_an_outcome_that_the_client_still_knew_is_adopted(status):
    """The answer that nobody recorded closes its attempt; the run goes on without a second call, whatever the class."""
    actions = [action(1), action(2)]
    taken = taken_over(actions, status)
    decision = adopt(actions, taken, Succeeded({"n": 1}), classify=ask, now=now, jitter=0.5)
    assert (decision.status, decision.closed.status, decision.closed_step) == ("running", AttemptStatus.SUCCEEDED, 1)
    assert decision.progress.steps[1].output == {"n": 1}
    assert (decision.call.step.number, decision.call.attempt) == (2, 1)


def test_a_call_that_never_began_is_made_at_once_and_costs_nothing():
    """Its attempt is failed and not sent, does not count, and even an `ask` call goes out under the next number."""
    actions = [action(1)]
    taken = taken_over(actions)
    never = Failed(ErrorClass.TRANSIENT, never_began, "nothing was sent", sent=False)
    decision = adopt(actions, taken, never, classify=ask, now=now, jitter=0.5)
    assert (decision.status, decision.call.attempt) == (RunStatus.RUNNING, 2)
    assert (decision.closed.status, decision.closed.sent, decision.closed.counted) == ("failed", False, False)


def test_an_adopted_unknown_follows_the_class():
    """A client that cannot know either leaves the decision to the policy."""
    decision = adopt([action(1)], taken_over([action(1)]), Unknown("?"), classify=ask, now=now, jitter=0.5)
    assert decision.status == RunStatus.NEEDS_ATTENTION


def test_only_an_open_call_is_asked_for():
    """Fresh runs, runs between steps and runs that a person decided about have nobody to ask."""
    actions = [action(1), action(2)]
    done = digest(actions, begun(actions), Succeeded(1)).progress.steps[1]
    parked = digest(actions, begun(actions), Unknown("?"), classify=ask).progress
    resent = resolve(parked, "resend", on_error="stop").progress
    assert [lost_call(actions, one) for one in (empty, empty.with_step(done), resent)] == [None, None, None]
    assert lost_call(actions, taken_over(actions)).attempt == 1


def test_an_unknown_outcome_that_was_recorded_is_not_asked_for_again():
    """A run that waited after a lost answer sends the next attempt; the first one stays unknown."""
    actions = [action(1)]
    waited = digest(actions, begun(actions), Unknown("reset", "reset")).progress
    assert waited.steps[1].attempts[-1].status is AttemptStatus.UNKNOWN
    assert lost_call(actions, waited) is None
    decision = start(actions, waited, safe, now)
    assert (decision.status, decision.call.attempt, decision.closed) == (RunStatus.RUNNING, 2, None)


def test_a_run_taken_over_between_steps_goes_on():
    """What is recorded is not repeated."""
    actions = [action(1), action(2)]
    done = digest(actions, begun(actions), Succeeded(1)).progress.steps[1]
    decision = start(actions, empty.with_step(done), safe, now)
    assert [step.number for step in decision.steps] == [2]


def test_a_run_taken_over_after_its_end_only_ends():
    """With all steps recorded there is only the terminal state to write (C14)."""
    actions = [action(1)]
    done = digest(actions, begun(actions), Succeeded(1)).progress
    decision = start(actions, done, safe, now)
    assert (decision.status, decision.steps, decision.call) == (RunStatus.SUCCEEDED, (), None)
