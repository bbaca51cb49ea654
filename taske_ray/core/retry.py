"""Whether and when a failed attempt is followed by another one (durability, 6.4, 6.6, 6.7)."""

import math
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from taske_ray.core.outcome import ErrorClass, Failed

IdempotencyClass = Literal["safe", "keyed", "ask"]
OnUnknown = Literal["resend", "ask", "fail"]

longest_ordered_wait_s = 24 * 3600.0
absurd_wait_s = 366 * 24 * 3600.0  # no service means this: a date in milliseconds, or a mistake
never_began = "never_began"
"""The code of a call that its client never had: who meant to make it died before."""
refusal_codes = frozenset({"breaker_open", "retry_budget", "lease_over", "no_client", never_began})
"""Codes of our own refusals to send: a breaker, the budget for retries, a lease that is over, nobody to make the call.
They only wait."""
longest_refusal_wait_s = 5.0
"""Our own trouble is over in seconds, and what waits for it must be back in 45 (D5): no long back-off."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How patient a step is; the defaults are those of a task that says nothing."""

    max_attempts: int = 5
    base_s: float = 1.0
    cap_s: float = 300.0
    total_s: float = 3600.0


@dataclass(frozen=True, slots=True)
class Tried:
    """A step's attempts so far, the one that just failed included.

    `counted` leaves out what costs the user nothing (see `is_counted`); `expired` counts those that ended as
    `auth_expired`; `ordered_wait_s` is the waiting that services ordered, which is not our impatience.
    """

    number: int
    counted: int
    first_started_at: datetime
    expired: int = 0
    ordered_wait_s: float = 0.0


@dataclass(frozen=True, slots=True)
class RetryAt:
    """Try again, not before `at`."""

    at: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class GiveUp:
    """No further attempt, because of `reason`: `not_retryable`, `max_attempts`, `retry_time_over` or `auth_revoked`."""

    reason: str


def decide(tried: Tried, failure: Failed, policy: RetryPolicy, now: datetime, jitter: float) -> RetryAt | GiveUp:
    """What follows a known failure. `jitter` is a number from 0 to 1; it spreads the attempts of many runs."""
    if failure.error_class is ErrorClass.AUTH_EXPIRED:  # the client refreshes before the next attempt; once is enough
        return RetryAt(now, "auth_expired") if tried.expired <= 1 else GiveUp("auth_revoked")
    if failure.error_class not in {ErrorClass.TRANSIENT, ErrorClass.RATE_LIMITED} and not _is_refusal(failure):
        return GiveUp("not_retryable")
    if _is_refusal(failure):
        policy = replace(policy, cap_s=min(policy.cap_s, longest_refusal_wait_s))
    return again(tried, policy, now, jitter, retry_after_s=failure.retry_after_s, counted=is_counted(failure))


def again(
    tried: Tried,
    policy: RetryPolicy,
    now: datetime,
    jitter: float,
    *,
    retry_after_s: float | None = None,
    counted: bool = True,
) -> RetryAt | GiveUp:
    """The next attempt, if the policy still allows one: as ordered, else after an exponential wait with full jitter."""
    if counted and tried.counted >= policy.max_attempts:
        return GiveUp("max_attempts")
    ordered = obeyed_wait_s(retry_after_s)
    patience = policy.total_s + tried.ordered_wait_s
    if ordered is not None:
        if (now - tried.first_started_at).total_seconds() > patience:
            return GiveUp("retry_time_over")
        # never early, and at most a tenth and a second late: half of that is left to whoever picks the run up
        return RetryAt(now + timedelta(seconds=ordered * (1 + 0.05 * jitter)), "retry_after")
    round_ = max(1, tried.counted if counted else tried.number)
    delay = jitter * min(policy.cap_s, policy.base_s * 2 ** min(round_ - 1, 30))
    at = now + timedelta(seconds=delay)
    if (at - tried.first_started_at).total_seconds() > patience:
        return GiveUp("retry_time_over")
    return RetryAt(at, "back_off")


def is_counted(failure: Failed) -> bool:
    """Whether a failure uses up one of `max_attempts`: being told to wait or to log in again does not."""
    return failure.error_class not in {ErrorClass.RATE_LIMITED, ErrorClass.AUTH_EXPIRED} and not _is_refusal(failure)


def obeyed_wait_s(retry_after_s: float | None) -> float | None:
    """The ordered wait in seconds that we obey, at most a day; None for none, zero, negative or absurd ones."""
    if retry_after_s is None or not math.isfinite(retry_after_s) or not 0 < retry_after_s <= absurd_wait_s:
        return None  # zero too: obeyed to the letter it would be a busy loop
    return min(retry_after_s, longest_ordered_wait_s)


def on_unknown(idempotency_class: IdempotencyClass, override: OnUnknown | None = None) -> OnUnknown:
    """What to do when nobody can know whether a call arrived: the action's own word, else by its class."""
    return override or ("ask" if idempotency_class == "ask" else "resend")


def _is_refusal(failure: Failed) -> bool:
    return not failure.sent and failure.code in refusal_codes
