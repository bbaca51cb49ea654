"""When a token is refreshed (format, section 3): before its end, by the skew or half its life."""

from datetime import datetime, timedelta
from enum import StrEnum


class Standing(StrEnum):
    """What may be done with a connection's token now."""

    GOOD = "good"
    DUE = "due"  # still good, and to be refreshed
    OVER = "over"  # expired, or never there


def refresh_at(obtained_at: datetime, expires_at: datetime | None, skew_s: float) -> datetime | None:
    """From when on a token is refreshed; None for one that nobody knows the end of."""
    if expires_at is None:
        return None
    half = (expires_at - obtained_at) / 2
    return expires_at - max(timedelta(), min(timedelta(seconds=skew_s), half))


def standing(now: datetime, *, has_token: bool, refresh_from: datetime | None, expires_at: datetime | None) -> Standing:
    """How a token stands. One whose end nobody knows is good until the service says otherwise."""
    if not has_token or (expires_at is not None and now >= expires_at):
        return Standing.OVER
    return Standing.DUE if refresh_from is not None and now >= refresh_from else Standing.GOOD
