"""What a schedule does with the instants that have come: fire, catch up, or skip with a record (durability, 7.4)."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from taske_ray.core.schedule import Schedule

Misfire = Literal["skip", "once", "all"]
catch_up_window = timedelta(hours=24)
catch_up_limit = 100
longest_lateness = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Firing:
    """One instant that becomes a run. `missed_count` is how many missed instants it stands for; 0 when in time."""

    at: datetime
    missed_count: int = 0


@dataclass(frozen=True, slots=True)
class MissedRange:
    """Instants in a row that become no run: one skip row with reason `misfire`."""

    first: datetime
    last: datetime
    count: int


@dataclass(frozen=True, slots=True)
class Due:
    """What one look at a schedule decides. Instants are offered = `fire` and those that `skipped` counts."""

    fire: tuple[Firing, ...]
    skipped: MissedRange | None
    next_fire_at: datetime | None


def due(schedule: Schedule, next_fire_at: datetime, now: datetime, misfire: Misfire) -> Due:
    """Decide about every instant from `next_fire_at` to `now`.

    The latest instant fires when it is late by at most 60 s and half the distance to the next one; all others are
    missed. Of the missed ones `once` fires the latest, `all` the latest hundred, oldest first, and only those of the
    last 24 h. `next_fire_at` is believed even if the schedule itself would not name it (it may have been edited).
    """
    if next_fire_at > now:
        return Due((), None, next_fire_at)
    enough = catch_up_limit + 2  # caught up, one in time, and the last of those skipped
    instants = schedule.latest(next_fire_at, now, enough)
    following = schedule.next_after(now)
    if len(instants) < enough:
        instants = [next_fire_at, *instants]
    in_time = instants[-1:] if _is_in_time(instants[-1], following, now) else []
    missed = instants[: len(instants) - len(in_time)]
    count = 1 + schedule.count(next_fire_at, now) - len(in_time)
    caught_up = _caught_up(missed, now, misfire)
    skipped = _skipped(next_fire_at, missed[: len(missed) - len(caught_up)], count - len(caught_up))
    stands_for = count if misfire == "once" else 1
    fire = [Firing(at, stands_for) for at in caught_up] + [Firing(at) for at in in_time]
    return Due(tuple(fire), skipped, following)


def _is_in_time(instant: datetime, following: datetime | None, now: datetime) -> bool:
    lateness = longest_lateness if following is None else min(longest_lateness, (following - instant) / 2)
    return now - instant <= lateness


def _caught_up(missed: list[datetime], now: datetime, misfire: Misfire) -> list[datetime]:
    limit = {"skip": 0, "once": 1, "all": catch_up_limit}[misfire]
    recent = [instant for instant in missed if now - instant <= catch_up_window]
    return recent[-limit:] if limit else []


def _skipped(first: datetime, missed: list[datetime], count: int) -> MissedRange | None:
    return MissedRange(first, missed[-1], count) if count else None
