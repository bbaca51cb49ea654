"""When a registration at a service is looked after next (format, section 7): checked daily, renewed before it ends."""

from datetime import datetime, timedelta

daily_s = 86_400.0
_first_wait_s, _longest_wait_s = 5.0, 3_600.0
_most_tries_at_the_end = 30


def next_look_s(now: datetime, *, checks: bool, expires_at: datetime | None, before: timedelta) -> float:
    """Seconds until the service is asked again: in a day where it can be checked, `before` its end where it has one."""
    waits = [daily_s] if checks or expires_at is None else []
    if expires_at is not None:
        waits.append(max(60.0, (expires_at - before - now).total_seconds()))
    return min(waits)


def is_near_its_end(now: datetime, expires_at: datetime | None, before: timedelta) -> bool:
    """Whether it is time to renew."""
    return expires_at is not None and now >= expires_at - before


def wait_s(tries: int, retry_after_s: float | None) -> float:
    """Seconds until a failure is tried again: 5 s, doubling up to an hour, and never before the service asked for."""
    doubled = _first_wait_s * float(2 ** min(tries, 20))
    return max(min(doubled, _longest_wait_s), retry_after_s or 0.0)


def is_given_up(tries: int) -> bool:
    """Whether to stop trying to end a registration: after about a day."""
    return tries >= _most_tries_at_the_end
