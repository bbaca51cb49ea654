"""Times and durations as text: RFC 3339 in and out, ISO 8601 durations. Nothing here asks what time it is.

A *time* on the wire is RFC 3339 text with an offset, a date `YYYY-MM-DD` (midnight UTC), or a number of seconds since
the epoch. Fractions finer than a microsecond are cut off, because Python's datetimes hold no more.
"""

import calendar
import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_time = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]([0-9]{2}:[0-9]{2}):([0-9]{2})(?:\.([0-9]{1,30}))?"
    r"(?:([Zz])|([+-])([0-9]{2}):([0-9]{2}))"
)
_date = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_number = r"([0-9]{1,12}(?:[.,][0-9]{1,9})?)"
_duration = re.compile(
    rf"P(?:{_number}W|(?:{_number}Y)?(?:{_number}M)?(?:{_number}D)?(?:T(?:{_number}H)?(?:{_number}M)?(?:{_number}S)?)?)"
)
_names = ("weeks", "years", "months", "days", "hours", "minutes", "seconds")
_seconds = {"weeks": 604_800, "days": 86_400, "hours": 3_600, "minutes": 60, "seconds": 1}
longest_text = 100


@dataclass(frozen=True, slots=True)
class CalendarDuration:
    """A duration that may hold months: added in the order months, days, elapsed time. All parts share one sign."""

    months: int
    days: int
    elapsed: timedelta

    def added_to(self, time: datetime, zone: tzinfo | None = None) -> datetime:
        """`time` plus this, in the time's own offset.

        Months keep the day of the month or clip to the last one. Months and days are counted on the calendar of
        `zone` (default: the time's own offset, where each day has 24 h). ValueError past the end of the calendar.
        """
        try:
            local = _add_months(time.astimezone(zone) if zone else time, self.months) + timedelta(days=self.days)
            return (local.astimezone(UTC) + self.elapsed).astimezone(time.tzinfo)
        except OverflowError:
            raise ValueError("the result is outside the calendar") from None


def parse_duration(text: str) -> timedelta:
    """The length of an ISO 8601 duration without sign, years or months (`P1D`, `PT0.5S`, `P2W`); ValueError if not."""
    parts = _duration_parts(text)
    if "years" in parts or "months" in parts:
        raise ValueError("a duration here has no years or months: their length is not fixed")
    return _elapsed(parts)


def parse_calendar_duration(text: str) -> CalendarDuration:
    """Any ISO 8601 duration with an optional sign in front (`-P1M`); ValueError if it is none."""
    sign = -1 if text.startswith("-") else 1
    parts = _duration_parts(text.removeprefix("-") if sign < 0 else text.removeprefix("+"))
    months = parts.pop("years", Decimal(0)) * 12 + parts.pop("months", Decimal(0))
    days = parts.pop("days", Decimal(0)) + parts.pop("weeks", Decimal(0)) * 7
    if months % 1:
        raise ValueError("months must be whole")
    parts["hours"] = parts.get("hours", Decimal(0)) + days % 1 * 24
    return CalendarDuration(sign * int(months), sign * int(days), sign * _elapsed(parts))


def _duration_parts(text: str) -> dict[str, Decimal]:
    """The parts that a duration names, largest first; only the smallest may have a fraction (ISO 8601)."""
    found = _duration.fullmatch(text) if len(text) <= longest_text else None
    if found is None or text[-1] in "PT":
        raise ValueError(f"{text[:longest_text]!r} is not an ISO 8601 duration like 'P1D' or 'PT30S'")
    named = zip(_names, found.groups(), strict=True)
    parts = {name: Decimal(number.replace(",", ".")) for name, number in named if number is not None}
    if any(number % 1 for number in list(parts.values())[:-1]):
        raise ValueError("only the smallest part of a duration may have a fraction")
    return parts


def _elapsed(parts: dict[str, Decimal]) -> timedelta:
    seconds = sum((number * _seconds[name] for name, number in parts.items()), Decimal(0))
    try:
        return timedelta(seconds=int(seconds), microseconds=int(seconds % 1 * 1_000_000))
    except OverflowError:
        raise ValueError("the duration is too long") from None


def _add_months(time: datetime, months: int) -> datetime:
    if months == 0:
        return time
    year, month = divmod(time.year * 12 + time.month - 1 + months, 12)
    if not 1 <= year <= 9999:  # noqa: PLR2004 - the calendar of datetime
        raise OverflowError
    return time.replace(year=year, month=month + 1, day=min(time.day, calendar.monthrange(year, month + 1)[1]))


def parse_time(value: str | float) -> datetime:
    """The instant that a time names, aware, in its own offset; ValueError if `value` is not a time.

    Text may be RFC 3339 (a leap second counts as the second after it) or a date; a number is seconds since the epoch.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError("a time is text or a number")  # noqa: TRY004 - one error for everything unreadable
    try:
        return _parse_text(value) if isinstance(value, str) else _parse_epoch(value)
    except OverflowError:
        raise ValueError("the time is outside the calendar") from None


def _parse_epoch(seconds: float) -> datetime:
    if not math.isfinite(seconds):
        raise ValueError("the time is not finite")
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)


def _parse_text(text: str) -> datetime:
    if is_date(text):
        return datetime.fromisoformat(text).replace(tzinfo=UTC)
    found = _time.fullmatch(text) if len(text) <= longest_text else None
    if found is None:
        raise ValueError(f"{text[:longest_text]!r} is not a time like '2026-01-31T09:00:00Z'")
    day, minute, second, fraction, zulu, sign, hours, minutes = found.groups()
    zone = UTC if zulu else _fixed_zone(sign, int(hours), int(minutes))
    leap = second == "60"
    whole = datetime.fromisoformat(f"{day}T{minute}:{'59' if leap else second}").replace(tzinfo=zone)
    microseconds = int((fraction or "0")[:6].ljust(6, "0"))
    return whole + timedelta(seconds=int(leap), microseconds=microseconds)


def _fixed_zone(sign: str, hours: int, minutes: int) -> tzinfo:
    if hours > 23 or minutes > 59:  # noqa: PLR2004 - a clock
        raise ValueError("the offset is not one of a clock")
    offset = timedelta(hours=hours, minutes=minutes)
    return timezone(-offset if sign == "-" else offset) if offset else UTC


def is_date(text: str) -> bool:
    """Whether text is written as a date alone, without a time of day."""
    return _date.fullmatch(text) is not None


def format_time(time: datetime) -> str:
    """RFC 3339 in UTC with `Z`; milliseconds only when they are not zero. ValueError for a time without zone."""
    if time.tzinfo is None:
        raise ValueError("a time without a zone names no instant")
    utc = time.astimezone(UTC).replace(tzinfo=None)
    return utc.isoformat(timespec="milliseconds" if utc.microsecond >= 1000 else "seconds") + "Z"  # noqa: PLR2004 - 1 ms


def parse_zone(name: str) -> ZoneInfo:
    """The IANA time zone of that name; ValueError if there is none."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{name[:longest_text]!r} is not an IANA time zone") from None
