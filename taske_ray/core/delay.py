"""When a `system.delay` is over."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from taske_ray.core.outcome import ErrorClass, Failed
from taske_ray.core.times import parse_duration, parse_time


def wake_at(params: Mapping[str, Any], now: datetime) -> datetime | Failed:
    """The moment `until`, else `for` from `now` on.

    A run that wakes up finds the moment it had settled on as `until` in its step's input (`progress.sleep`).
    """
    try:
        if params.get("until") is not None:
            return parse_time(params["until"])
        return now + parse_duration(params["for"])
    except (KeyError, ValueError, OverflowError, TypeError) as error:
        message = f"Say how long with `for` (ISO 8601, 'PT10M') or `until` (RFC 3339): {error}"
        return Failed(ErrorClass.INVALID, "bad_delay", message, sent=False)
