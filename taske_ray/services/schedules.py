"""Schedules of triggers, from their parameters: the same functions that watchers fire by.

Instants are computed ahead, so a change of time zone rules (a new tzdata) is looked for at each start: the digest of
each zone's file is kept, and where it differs the next instants are computed anew.
"""

import zoneinfo
from datetime import datetime, timedelta
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any

from taske_ray.core.interval import parse_interval
from taske_ray.core.schedule import Schedule, parse_cron
from taske_ray.db.database import Database
from taske_ray.db.triggers import TriggerStore, WatchedTrigger
from taske_ray.errors import Invalid

_shown = 5
_page = 1_000
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


async def follow_zone_rules(database: Database) -> int:
    """Compute the next instants of schedules anew whose time zone has other rules than before; how many moved.

    An instant that has come already stays as it is: it fires or is missed by the trigger's policy. Raises Unavailable.
    """
    triggers, moved = TriggerStore(database), 0
    for zone, known in (await triggers.zones()).items():
        digest = zone_digest(zone)
        if digest is None or digest == known:
            continue
        after = None
        while page := await triggers.scheduled_in(zone, after, _page):
            now = (await database.fetch("SELECT clock_timestamp() AS now"))[0]["now"]
            moves = [move for trigger in page for move in _move(trigger, now)]
            await triggers.move_instants(moves)
            moved, after = moved + len(moves), page[-1].id
        await triggers.keep_zone(zone, digest)
    return moved


def zone_digest(zone: str) -> bytes | None:
    """What identifies the rules of a zone: the digest of the file that `zoneinfo` reads. None for an unknown zone."""
    for folder in zoneinfo.TZPATH:
        file = Path(folder, zone)
        if file.is_file():
            return sha256(file.read_bytes()).digest()
    packaged = files("tzdata").joinpath("zoneinfo", *zone.split("/"))
    return sha256(packaged.read_bytes()).digest() if packaged.is_file() else None


def _move(trigger: WatchedTrigger, now: datetime) -> list[tuple[Any, datetime | None, datetime | None]]:
    try:
        schedule = schedule_of(trigger.kind, trigger.spec, trigger.anchor_at)
    except Invalid:  # the zone, or the expression in it, is gone: the watcher says so
        return []
    instant = schedule.next_after(now) if schedule else None
    return [] if instant == trigger.next_fire_at else [(trigger.id, trigger.next_fire_at, instant)]
