"""Times: formatting with fixed English names, calendar arithmetic, reading other notations. Never the current time."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import Any

from taske_ray.core.template.filters.guard import Filter, FilterError, string_of
from taske_ray.core.template.limits import Work, calendar_units, directive_units, time_units, zone_units
from taske_ray.core.times import is_date, parse_calendar_duration, parse_time, parse_zone

longest_format = 200
_days = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_months = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_directive = re.compile(r"%(.?)", re.DOTALL)
_written: dict[str, Callable[[datetime], str]] = {
    "Y": lambda time: f"{time.year:04}",
    "m": lambda time: f"{time.month:02}",
    "d": lambda time: f"{time.day:02}",
    "H": lambda time: f"{time.hour:02}",
    "M": lambda time: f"{time.minute:02}",
    "S": lambda time: f"{time.second:02}",
    "f": lambda time: f"{time.microsecond:06}",
    "j": lambda time: f"{time.timetuple().tm_yday:03}",
    "y": lambda time: f"{time.year % 100:02}",
    "e": lambda time: f"{time.day:2}",
    "I": lambda time: f"{(time.hour - 1) % 12 + 1:02}",
    "p": lambda time: "AM" if time.hour < 12 else "PM",  # noqa: PLR2004 - noon
    "z": lambda time: _offset(time, ""),
    "Z": lambda time: time.tzname() or "",
    "s": lambda time: str(_seconds(time)),
    "F": lambda time: f"{time.year:04}-{time.month:02}-{time.day:02}",
    "T": lambda time: f"{time.hour:02}:{time.minute:02}:{time.second:02}",
    "u": lambda time: str(time.isoweekday()),
    "V": lambda time: f"{time.isocalendar().week:02}",
    "G": lambda time: f"{time.isocalendar().year:04}",
    "a": lambda time: _days[time.weekday()][:3],
    "A": lambda time: _days[time.weekday()],
    "b": lambda time: _months[time.month - 1][:3],
    "B": lambda time: _months[time.month - 1],
    "%": lambda _: "%",
}


def _time(work: Work, value: Any) -> datetime:
    work.charge(time_units)
    try:
        return parse_time(value)
    except ValueError as error:
        raise FilterError("the input is not a time") from error


def _zone(work: Work, name: Any) -> tzinfo:
    work.charge(zone_units)
    try:
        return parse_zone(string_of(name))
    except ValueError as error:
        raise FilterError("there is no such time zone") from error


def _moved(time: datetime, zone: tzinfo) -> datetime:
    try:
        return time.astimezone(zone)
    except OverflowError:
        raise FilterError("the time is outside the calendar") from None


def _offset(time: datetime, colon: str) -> str:
    minutes = round((time.utcoffset() or timedelta()).total_seconds() / 60)
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}{colon}{abs(minutes) % 60:02}"


def _seconds(time: datetime) -> int:
    return (time - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1)


def check_format(form: Any, *_: Any) -> str:
    """The format itself; FilterError if it has a directive that is not in the list of format 2.6."""
    text = string_of(form)
    if len(text) > longest_format:
        raise FilterError("the format is longer than 200 characters")
    for found in _directive.finditer(text):
        if found[1] not in _written:
            raise FilterError(f"there is no directive '%{found[1]}'")
    return text


def _date(work: Work, value: Any, form: Any, zone: Any = None) -> str:
    time = _time(work, value)
    local = time if zone is None else _moved(time, _zone(work, zone))
    text = check_format(form)
    work.charge(len(text) * directive_units)
    return _directive.sub(lambda found: _written[found[1]](local), text)


def rfc3339(time: datetime) -> str:
    """A time in its own offset (`Z` for UTC), with as many fractional digits as it needs."""
    whole = time.replace(tzinfo=None, microsecond=0).isoformat()
    fraction = "." + f"{time.microsecond:06}".rstrip("0").ljust(3, "0") if time.microsecond else ""
    return f"{whole}{fraction}{'Z' if time.tzinfo is UTC else _offset(time, ':')}"


def _date_add(work: Work, value: Any, duration: Any, zone: Any = None) -> Any:
    time = _time(work, value)
    work.charge(calendar_units)
    try:
        moved = parse_calendar_duration(string_of(duration))
        whole_days = isinstance(value, str) and is_date(value) and not moved.elapsed
        result = moved.added_to(time, None if zone is None or whole_days else _zone(work, zone))
    except ValueError as error:
        raise FilterError(str(error)) from error
    if isinstance(value, str):
        return result.date().isoformat() if whole_days else rfc3339(result)
    seconds = (result - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()
    return int(seconds) if seconds == int(seconds) else seconds


def check_duration(duration: Any, *_: Any) -> None:
    """FilterError if a constant argument of `date_add` is not a duration."""
    try:
        parse_calendar_duration(string_of(duration))
    except ValueError as error:
        raise FilterError(str(error)) from error


def _epoch(work: Work, value: Any) -> int:
    return _seconds(_time(work, value))


def _epoch_ms(work: Work, value: Any) -> int:
    return (_time(work, value) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


_read = {
    "Y": r"(?P<Y>[0-9]{4})",
    "m": r"(?P<m>1[0-2]|0?[1-9])",
    "d": r"(?P<d>3[01]|[12][0-9]|0?[1-9])",
    "e": r" ?(?P<d>3[01]|[12][0-9]|0?[1-9])",
    "H": r"(?P<H>2[0-3]|[01]?[0-9])",
    "M": r"(?P<M>[0-5]?[0-9])",
    "S": r"(?P<S>[0-5]?[0-9])",
    "f": r"(?P<f>[0-9]{1,9})",
    "j": r"(?P<j>36[0-6]|3[0-5][0-9]|[0-2]?[0-9]?[0-9])",
    "y": r"(?P<y>[0-9]{2})",
    "I": r"(?P<I>1[0-2]|0?[1-9])",
    "p": r"(?P<p>[AaPp][Mm])",
    "z": r"(?P<z>Z|[+-][0-9]{2}:?[0-9]{2})",
    "Z": r"(?P<Z>UTC|GMT|Z)",
    "s": r"(?P<s>-?[0-9]{1,12})",
    "F": r"(?P<Y>[0-9]{4})-(?P<m>[0-9]{2})-(?P<d>[0-9]{2})",
    "T": r"(?P<H>[0-9]{2}):(?P<M>[0-9]{2}):(?P<S>[0-9]{2})",
    "a": f"(?:{'|'.join(day[:3] for day in _days)})",
    "A": f"(?:{'|'.join(_days)})",
    "b": f"(?P<b>{'|'.join(month[:3] for month in _months)})",
    "B": f"(?P<B>{'|'.join(_months)})",
    "%": "%",
}


@lru_cache(maxsize=256)
def _reader(form: str) -> re.Pattern[str]:
    """A regular expression that reads a format. FilterError where a directive cannot be read or stands twice."""
    pattern, position = "", 0
    for found in _directive.finditer(form):
        if found[1] not in _read:
            raise FilterError(f"the directive '%{found[1]}' cannot be read")
        pattern += re.escape(form[position : found.start()]) + _read[found[1]]
        position = found.end()
    try:
        return re.compile(pattern + re.escape(form[position:]), re.IGNORECASE | re.ASCII)
    except re.error:
        raise FilterError("a directive stands twice in the format") from None


def check_reader(form: Any, *_: Any) -> re.Pattern[str]:
    """The reader of a format; FilterError if there is none."""
    return _reader(check_format(form))


def _parse_date(work: Work, value: Any, form: Any, zone: Any = "UTC") -> str:
    text = string_of(value)
    work.charge(time_units + len(text) * 30)
    found = check_reader(form).fullmatch(text) if len(text) <= longest_format else None
    if found is None:
        raise FilterError("the text does not match the format")
    try:
        return rfc3339(_assembled(found.groupdict(), UTC if zone in (None, "UTC") else _zone(work, zone)))
    except (ValueError, OverflowError):
        raise FilterError("the text does not name a time") from None


def _assembled(parts: dict[str, str | None], zone: tzinfo) -> datetime:
    known = {name: text for name, text in parts.items() if text is not None}
    if "s" in known:
        return _parsed_epoch(int(known["s"]))
    microsecond = int(known.get("f", "0")[:6].ljust(6, "0"))
    clock = {"minute": int(known.get("M", 0)), "second": int(known.get("S", 0)), "microsecond": microsecond}
    day = datetime(
        _year(known), _month(known), int(known.get("d", 1)), _hour(known), tzinfo=_place(known, zone), **clock
    )
    return day.replace(month=1, day=1) + timedelta(days=int(known["j"]) - 1) if "j" in known else day


def _parsed_epoch(seconds: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)


def _year(known: dict[str, str]) -> int:
    if "y" in known:
        # POSIX: 69-99 are the 1900s
        return int(known["y"]) + (1900 if int(known["y"]) >= 69 else 2000)  # noqa: PLR2004
    return int(known.get("Y", 1970))


def _month(known: dict[str, str]) -> int:
    for directive, length in (("b", 3), ("B", None)):
        if directive in known:
            name = known[directive].capitalize()
            return [month[:length] for month in _months].index(name) + 1
    return int(known.get("m", 1))


def _hour(known: dict[str, str]) -> int:
    if "I" in known:
        return int(known["I"]) % 12 + (12 if known.get("p", "AM").upper() == "PM" else 0)
    return int(known.get("H", 0))


def _place(known: dict[str, str], zone: tzinfo) -> tzinfo:
    offset = known.get("z")
    if "Z" in known or (offset and offset in "Zz"):
        return UTC
    if offset is None:
        return zone
    minutes = int(offset[1:3]) * 60 + int(offset[-2:])
    return timezone(timedelta(minutes=-minutes if offset[0] == "-" else minutes)) if minutes else UTC


filters = (
    Filter("date", _date, passes=True, factor=2, check=check_format),
    Filter("date_add", _date_add, passes=True, check=check_duration),
    Filter("parse_date", _parse_date, passes=True, factor=2, check=check_reader),
    Filter("epoch", _epoch, passes=True),
    Filter("epoch_ms", _epoch_ms, passes=True),
)
