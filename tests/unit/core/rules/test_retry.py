"""Retries: exact instants at both ends of the jitter, and when it is enough."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taske_ray.core.outcome import ErrorClass, Failed
from taske_ray.core.retry import GiveUp, RetryAt, RetryPolicy, Tried, decide, is_counted, obeyed_wait_s, on_unknown

now = datetime(2027, 5, 4, 12, tzinfo=UTC)
policy = RetryPolicy()


def failed(
    error_class: str, *, code: str = "http_error", retry_after_s: float | None = None, sent: bool = True
) -> Failed:
    return Failed(ErrorClass(error_class), code, "", retry_after_s=retry_after_s, sent=sent)


def tried(count: int, **more: object) -> Tried:
    return Tried(number=count, counted=count, first_started_at=now, **more)


@pytest.mark.parametrize(("count", "seconds"), [(1, 1), (2, 2), (3, 4), (4, 8)])
def test_back_off_doubles_with_full_jitter(count, seconds):
    """The wait is anywhere from nothing to 1, 2, 4, 8 s."""
    assert decide(tried(count), failed("transient"), policy, now, 0.0) == RetryAt(now, "back_off")
    latest = now + timedelta(seconds=seconds)
    assert decide(tried(count), failed("transient"), policy, now, 1.0) == RetryAt(latest, "back_off")


def test_back_off_is_capped():
    """No back-off is longer than five minutes."""
    patient = RetryPolicy(max_attempts=1000)
    assert decide(tried(900), failed("transient"), patient, now, 1.0) == RetryAt(
        now + timedelta(seconds=300), "back_off"
    )


def test_attempts_run_out():
    """The fifth counted failure is the last; a task may ask for another number."""
    assert decide(tried(5), failed("transient"), policy, now, 0.5) == GiveUp("max_attempts")
    assert decide(tried(1), failed("transient"), RetryPolicy(max_attempts=1), now, 0.5) == GiveUp("max_attempts")


def test_time_runs_out():
    """No attempt begins more than an hour after the first, waiting that was ordered left out."""
    late = now + timedelta(hours=1, seconds=1)
    assert decide(tried(2), failed("transient"), policy, late, 0.0) == GiveUp("retry_time_over")
    ordered = tried(2, ordered_wait_s=1800.0)
    assert isinstance(decide(ordered, failed("transient"), policy, late, 0.0), RetryAt)


@pytest.mark.parametrize("error_class", ["permission", "not_found", "conflict", "invalid", "fatal", "auth_revoked"])
def test_what_is_never_retried(error_class):
    """A definite no is the end, sent or not."""
    assert decide(tried(1), failed(error_class), policy, now, 0.5) == GiveUp("not_retryable")
    assert decide(tried(1), failed(error_class, sent=False), policy, now, 0.5) == GiveUp("not_retryable")


@pytest.mark.parametrize("error_class", ["transient", "rate_limited"])
def test_retry_after_is_obeyed(error_class):
    """Never earlier than ordered, and at most a tenth and a second later."""
    failure = failed(error_class, retry_after_s=60)
    assert decide(tried(1), failure, policy, now, 0.0) == RetryAt(now + timedelta(seconds=60), "retry_after")
    assert decide(tried(1), failure, policy, now, 1.0) == RetryAt(now + timedelta(seconds=63), "retry_after")


@given(st.floats(min_value=0.001, max_value=86_400), st.floats(0, 1))
def test_ordered_wait_is_within_its_bounds(seconds, jitter):
    """For every order and jitter the attempt lies in [ordered, ordered + 10 % + 1 s]."""
    decision = decide(tried(1), failed("rate_limited", retry_after_s=seconds), policy, now, jitter)
    waited = (decision.at - now).total_seconds()
    assert seconds - 1e-6 <= waited <= seconds * 1.1 + 1


@pytest.mark.parametrize("absurd", [-1.0, 0.0, float("nan"), float("inf"), 1e12])
def test_absurd_orders_fall_back(absurd):
    """Negative, zero, endless and unreadable orders are replaced by back-off."""
    failure = failed("transient", retry_after_s=absurd)
    assert decide(tried(1), failure, policy, now, 1.0) == RetryAt(now + timedelta(seconds=1), "back_off")


def test_a_long_order_is_capped():
    """Two days become one."""
    assert obeyed_wait_s(2 * 86_400) == 86_400
    decision = decide(tried(1), failed("rate_limited", retry_after_s=2 * 86_400), policy, now, 0.0)
    assert decision == RetryAt(now + timedelta(days=1), "retry_after")


def test_waiting_does_not_count():
    """A 429, an expired token and our own refusal use up no attempt; a 503 and a failed look-up do."""
    free = [failed("rate_limited"), failed("auth_expired"), failed("transient", code="breaker_open", sent=False)]
    assert not any(is_counted(failure) for failure in free)
    assert is_counted(failed("transient"))
    assert is_counted(failed("transient", code="name_not_found", sent=False))
    for failure in (free[0], free[2]):
        assert isinstance(decide(tried(50), failure, policy, now, 0.5), RetryAt)


def test_uncounted_failures_back_off_by_their_number():
    """A service that says 429 without a time is asked ever less often."""
    often = Tried(number=4, counted=0, first_started_at=now)
    assert decide(often, failed("rate_limited"), policy, now, 1.0) == RetryAt(now + timedelta(seconds=8), "back_off")


@pytest.mark.parametrize("code", ["no_client", "never_began", "lease_over"])
@given(number=st.integers(1, 200), jitter=st.floats(0, 1))
def test_our_own_trouble_never_means_a_long_wait(code, number, jitter):
    """However often nobody was there to make a call, the next attempt is 5 s away at most (D5 gives it 45)."""
    waits = Tried(number=number, counted=0, first_started_at=now)
    found = decide(waits, failed("transient", code=code, sent=False), policy, now, jitter)
    assert isinstance(found, RetryAt)
    assert found.at - now <= timedelta(seconds=5)


def test_an_expired_token_is_refreshed_once():
    """The first `auth_expired` is tried again at once, the second means that the connection is dead."""
    assert decide(tried(1, expired=1), failed("auth_expired"), policy, now, 1.0) == RetryAt(now, "auth_expired")
    assert decide(tried(2, expired=2), failed("auth_expired"), policy, now, 1.0) == GiveUp("auth_revoked")


@pytest.mark.parametrize(
    ("idempotency_class", "override", "expected"),
    [
        *(("safe", None, "resend"), ("keyed", None, "resend"), ("ask", None, "ask")),
        *(("ask", "resend", "resend"), ("safe", "fail", "fail"), ("keyed", "ask", "ask")),
    ],
)
def test_unknown_outcomes(idempotency_class, override, expected):
    """The action's own word wins, else the capability's class decides."""
    assert on_unknown(idempotency_class, override) == expected
