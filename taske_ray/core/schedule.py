"""Which instants a cron expression names: the Debian rule for clock changes, over croniter's calendar.

A schedule answers four questions about instants in UTC: `next_after`, `instants`, `latest` and `count`. What is done
with instants that are late or missed is decided in `misfire.py`; intervals are in `interval.py`. Nothing here asks
what time it is.
"""

import bisect
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from itertools import islice
from typing import Protocol
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from croniter import CroniterError, croniter

from taske_ray.errors import FieldError, Invalid

longest_expression = 256
_tick = timedelta(microseconds=1)
_day = timedelta(days=1)
_reference = date(2000, 1, 1)  # the calendar repeats, so any start shows whether an expression ever fires
_macros = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
# croniter also takes R and H (random at each evaluation, so the fire key would move) and seconds and years.
# What it may see is therefore spelled out here.
_months = "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec"
_days = "sun|mon|tue|wed|thu|fri|sat"


def _field_pattern(atom: str, special: str = "") -> re.Pattern[str]:
    item = rf"(?:(?:\*|(?:{atom})(?:-(?:{atom}))?)(?:/\d{{1,2}})?{special})"
    return re.compile(rf"{item}(?:,{item})*", re.IGNORECASE | re.ASCII)


_field_patterns = (
    _field_pattern(r"\d{1,2}"),
    _field_pattern(r"\d{1,2}"),
    _field_pattern(r"\d{1,2}", "|l"),
    _field_pattern(rf"\d{{1,2}}|{_months}"),
    _field_pattern(rf"\d|{_days}", rf"|(?:\d|{_days})#[1-5]|l[0-7]"),
)
_field_names = ("minute", "hour", "day of month", "month", "day of week")


class Schedule(Protocol):
    """A set of instants in UTC that one can walk along."""

    def next_after(self, after: datetime) -> datetime | None:
        """The first instant later than `after`; None if there is none."""
        ...

    def instants(self, after: datetime, until: datetime, limit: int) -> list[datetime]:
        """The first `limit` instants in (after, until]."""
        ...

    def latest(self, after: datetime, until: datetime, limit: int) -> list[datetime]:
        """The last `limit` instants in (after, until], oldest first."""
        ...

    def count(self, after: datetime, until: datetime) -> int:
        """How many instants lie in (after, until]."""
        ...


def fire_key(instant: datetime) -> str:
    """The fire key of a scheduled instant: `2027-11-07T05:30:00Z`, with a fraction only where there is one."""
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


@dataclass(frozen=True, slots=True)
class Cron:
    """A five-field expression in a zone, by the Debian rule.

    *Wildcard* means that the minute or the hour field starts with `*`. Such a schedule runs in both passes of an hour
    that the clock repeats and skips one that does not exist. Any other runs in the first pass only, and an instant
    that does not exist is replaced by the first one after the gap, once.
    """

    expression: str
    timezone: str
    zone: ZoneInfo = field(repr=False, compare=False)
    times: tuple[time, ...] = field(repr=False, compare=False)
    days: str = field(repr=False, compare=False)
    wildcard: bool = field(repr=False, compare=False)

    def next_after(self, after: datetime) -> datetime | None:
        """The first instant later than `after`, in UTC; None if the calendar ends before."""
        after = after.astimezone(UTC)
        first = self._next_in_first_pass(after)
        second = self._next_in_second_pass(after, first) if self.wildcard else None
        return min((found for found in (first, second) if found is not None), default=None)

    def instants(self, after: datetime, until: datetime, limit: int) -> list[datetime]:
        """The first `limit` instants in (after, until]."""
        return list(islice(self._walk(after, until), limit))

    def latest(self, after: datetime, until: datetime, limit: int) -> list[datetime]:
        """The last `limit` instants in (after, until], oldest first; looks back in windows that double."""
        window = timedelta(hours=1)
        while True:
            start = max(after, until - window)
            found = list(self._walk(start, until))
            if len(found) >= limit or start == after:
                return found[-limit:] if limit else []
            window *= 2

    def count(self, after: datetime, until: datetime) -> int:
        """How many instants lie in (after, until]; whole days without a clock change are not walked."""
        day = after.astimezone(self.zone).date() + _day
        if self._midnight(day) > until:
            return self._count_walking(after, until)
        total = self._count_walking(after, self._midnight(day) - _tick)
        while self._midnight(day + _day) <= until:
            total += self._count_of_day(day)
            day = max(day + _day, self._quiet_until(day))
        return total + self._count_walking(self._midnight(day) - _tick, until)

    def _quiet_until(self, day: date) -> date:
        """The day before the next one that matches: up to it there is nothing to count."""
        following = _day_on_or_after(self.days, day)
        return date.max - 2 * _day if following is None else following - _day

    def _count_of_day(self, day: date) -> int:
        edges = [datetime.combine(at, time(fold=fold)) for at in (day, day + _day) for fold in (0, 1)]
        offsets = {self.zone.utcoffset(edge) for edge in edges}
        offsets.add((self._midnight(day) - _tick).astimezone(self.zone).utcoffset())  # a gap may end at this midnight
        if len(offsets) > 1:
            return self._count_walking(self._midnight(day) - _tick, self._midnight(day + _day) - _tick)
        return len(self.times) if _day_on_or_after(self.days, day) == day else 0

    def _count_walking(self, after: datetime, until: datetime) -> int:
        return sum(1 for _ in self._walk(after, until))

    def _midnight(self, day: date) -> datetime:
        return datetime.combine(day, time(), self.zone).astimezone(UTC)

    def _walk(self, after: datetime, until: datetime) -> Iterator[datetime]:
        instant = self.next_after(after)
        while instant is not None and instant <= until:
            yield instant
            instant = self.next_after(instant)

    def _local_times(self, after: datetime) -> Iterator[datetime]:
        """The naive local times of the expression later than the naive `after`, as if clocks never changed."""
        day = _day_on_or_after(self.days, after.date())
        skip = bisect.bisect_right(self.times, after.time()) if day == after.date() else 0
        while day is not None:
            for at in self.times[skip:]:
                yield datetime.combine(day, at)
            day, skip = _day_on_or_after(self.days, day + _day) if day < date.max else None, 0

    def _next_in_first_pass(self, after: datetime) -> datetime | None:
        # A local time in a gap is later than any local time before the gap, so the walk may begin at local `after`.
        for local in self._local_times(after.astimezone(self.zone).replace(tzinfo=None)):
            instant = self._first_pass(local)
            if instant is not None and instant > after:
                return instant
        return None

    def _first_pass(self, local: datetime) -> datetime | None:
        before, later = self._offsets(local)
        if later <= before:
            return (local - before).replace(tzinfo=UTC)
        return None if self.wildcard else self._end_of_gap(local, before, later)

    def _next_in_second_pass(self, after: datetime, first: datetime | None) -> datetime | None:
        # It matters only while its first pass is over, so no further than one repeated stretch around `after`,
        # and only if the clock goes back before the next instant of a first pass.
        repeated = self._repeated_near(after)
        if not repeated or (first is not None and self._offset_at(after - repeated) <= self._offset_at(first)):
            return None
        here = after.astimezone(self.zone).replace(tzinfo=None)
        for local in self._local_times(here - repeated - _tick):
            if local > here + repeated:
                return None
            before, later = self._offsets(local)
            instant = (local - later).replace(tzinfo=UTC)
            if later < before and instant > after:
                return instant
        return None

    def _repeated_near(self, after: datetime) -> timedelta:
        """How far the clock goes back within a day of `after`; zero if it does not."""
        offsets = [self._offset_at(after + shift) for shift in (-_day, timedelta(), _day)]
        return max(offsets[0] - offsets[1], offsets[1] - offsets[2], timedelta())

    def _offsets(self, local: datetime) -> tuple[timedelta, timedelta]:
        """The offsets that apply to a local time in its first and second reading; equal when there is no doubt."""
        first, second = self.zone.utcoffset(local), self.zone.utcoffset(local.replace(fold=1))
        assert first is not None
        assert second is not None
        return first, second

    def _offset_at(self, instant: datetime) -> timedelta:
        offset = instant.astimezone(self.zone).utcoffset()
        assert offset is not None
        return offset

    def _end_of_gap(self, local: datetime, before: timedelta, later: timedelta) -> datetime:
        """The instant at which the clock goes forward over `local`, to the second."""
        low, high = (local - later).replace(tzinfo=UTC), (local - before).replace(tzinfo=UTC)
        while high - low > timedelta(seconds=1):
            middle = low + timedelta(seconds=(high - low) // timedelta(seconds=2))
            low, high = (low, middle) if self._offset_at(middle) == later else (middle, high)
        return high


def parse_cron(expression: str, timezone: str) -> Cron:
    """The schedule that a user wrote: five fields or a macro, and an IANA zone.

    Raises Invalid with one error at `/cron`, at `/timezone`, or both.
    """
    errors: list[FieldError] = []
    zone = _parse_zone(timezone, errors)
    fields = _parse_fields(expression, errors)
    if errors or zone is None or fields is None:
        raise Invalid(errors[0].message, errors=errors)
    minutes, hours = (_expanded(text, bound) for text, bound in zip(fields[:2], (60, 24), strict=True))
    return Cron(
        expression=expression,
        timezone=timezone,
        zone=zone,
        times=tuple(time(hour, minute) for hour in hours for minute in minutes),
        days=" ".join(["0", "0", *fields[2:]]),
        wildcard=any(text.startswith("*") for text in fields[:2]),
    )


def _parse_zone(name: str, errors: list[FieldError]) -> ZoneInfo | None:
    # files that zoneinfo would open too, but that mean another thing on another machine, or count leap seconds
    unportable = name in {"localtime", "posixrules", "Factory"} or name.startswith(("posix/", "right/"))
    try:
        zone = None if unportable else ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        zone = None
    if zone is None:
        message = f"{name[:60]!r} is not an IANA time zone. Use a name like 'Asia/Seoul' or 'UTC'."
        errors.append(FieldError("/timezone", "bad_timezone", message))
    return zone


def _parse_fields(expression: str, errors: list[FieldError]) -> list[str] | None:
    problem = _cron_problem(expression)
    if problem is None:
        return _fields(expression)
    errors.append(FieldError("/cron", "bad_cron", problem))
    return None


def _fields(expression: str) -> list[str]:
    text = expression.strip().lower()
    return _macros.get(text, text).split()


def _cron_problem(expression: str) -> str | None:
    """What is wrong with an expression, in words for its author; None if it names at least one instant."""
    if len(expression) > longest_expression:
        return f"The expression is longer than {longest_expression} characters."
    fields = _fields(expression)
    if len(fields) != len(_field_names):
        known = ", ".join(_macros)
        return f"Write five fields (minute, hour, day of month, month, day of week) or one of {known}."
    for name, pattern, text in zip(_field_names, _field_patterns, fields, strict=True):
        if not pattern.fullmatch(text):
            return f"The field for {name}, {text[:60]!r}, cannot be read."
    try:
        croniter(" ".join(fields), implement_cron_bug=True)
    except (CroniterError, ValueError, KeyError) as error:
        return f"The expression cannot be read: {error}."
    if _day_on_or_after(" ".join(["0", "0", *fields[2:]]), _reference) is None:
        return "No date of the calendar matches, so it would never fire."
    return None


def _expanded(text: str, bound: int) -> list[int]:
    """The numbers that a minute or hour field names, in order."""
    position = 0 if bound == 60 else 1  # noqa: PLR2004 - minutes of an hour
    fields = ["0", "0", "*", "*", "*"]
    fields[position] = text
    numbers = croniter.expand(" ".join(fields))[0][position]
    return list(range(bound)) if numbers == ["*"] else sorted(int(number) for number in numbers)


@lru_cache(maxsize=16_384)
def _day_on_or_after(days: str, day: date) -> date | None:
    """The first date from `day` on that the day fields match; None if there is none in fifty years.

    `days` is an expression for midnight. Schedules share this cache: most of them ask about the same few days.
    """
    try:
        start = datetime.combine(day, time()) - timedelta(minutes=1)
        # Debian's rule for days: with a `*` at the start of one of the two day fields both must match, else either
        walk = croniter(days, start, implement_cron_bug=True)
        found: datetime = walk.get_next(datetime)  # type: ignore[no-untyped-call]  # croniter has no types
    except (CroniterError, OverflowError):
        return None
    return found.date()
