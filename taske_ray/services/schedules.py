"""Schedules of triggers, from their parameters: the same functions that watchers fire by."""

from datetime import datetime, timedelta
from typing import Any

from taske_ray.core.interval import parse_interval
from taske_ray.core.schedule import Schedule, parse_cron

_shown = 5
_horizon = timedelta(days=366 * 12)  # a 29 February is never further


def schedule_of(kind: str, spec: dict[str, Any], anchor_at: datetime | None) -> Schedule | None:
    """The schedule of a cron or interval trigger; None for others, and for an interval that was never enabled."""
    if kind == "cron":
        return parse_cron(spec["cron"], spec["timezone"])
    if kind == "interval" and anchor_at is not None:
        return parse_interval(spec["every"], anchor_at)
    return None


def next_fires(kind: str, spec: dict[str, Any], anchor_at: datetime | None, now: datetime) -> list[datetime]:
    """The next five instants."""
    schedule = schedule_of(kind, spec, anchor_at or now)
    return schedule.instants(now, now + _horizon, _shown) if schedule else []
