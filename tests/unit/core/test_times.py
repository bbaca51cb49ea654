"""Times and durations as text."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taske_ray.core.times import format_time, parse_calendar_duration, parse_duration, parse_time, parse_zone


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("P1D", 86400), ("PT30S", 30), ("P2W", 1209600), ("PT1H30M", 5400), ("PT0.5S", 0.5), ("PT1,5M", 90)],
)
def test_a_duration_has_a_length(text, seconds):
    """ISO 8601 durations without years and months parse to their length."""
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text", ["", "P", "PT", "P1DT", "P1Y", "P1M", "-P1D", "1D", "P1.5DT1H", "PT1S ", "p1d", "P1W1D", "P٣D", "P9" * 60]
)
def test_what_is_no_duration(text):
    """Everything else is a ValueError."""
    with pytest.raises(ValueError, match=r"."):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-31T09:00:00Z", "2026-01-31T09:00:00Z"),
        ("2026-01-31t09:00:00.120+09:00", "2026-01-31T00:00:00.120Z"),
        ("2026-01-31", "2026-01-31T00:00:00Z"),
        ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z"),
        ("2026-01-31T09:00:00.1234567891Z", "2026-01-31T09:00:00.123Z"),
        (0, "1970-01-01T00:00:00Z"),
        (1.5, "1970-01-01T00:00:01.500Z"),
        (-1, "1969-12-31T23:59:59Z"),
    ],
)
def test_a_time_is_read(text, expected):
    """RFC 3339 text, dates and epoch seconds parse to the instant they name."""
    assert format_time(parse_time(text)) == expected


@pytest.mark.parametrize(
    "value",
    [
        "",
        "now",
        "2026-01-31T09:00:00",
        "2026-02-30",
        "2026-1-1",
        "0000-01-01",
        "2026-01-31T25:00:00Z",
        "2026-01-31T09:00:61Z",
        "2026-01-31T09:00:00+24:00",
        "9999-12-31T23:59:60Z",
        "1700000000",
        1e300,
        float("nan"),
        float("inf"),
        10**400,
        True,
        None,
    ],
)
def test_what_is_no_time(value):
    """Everything else is a ValueError."""
    with pytest.raises(ValueError, match=r"."):
        parse_time(value)


@pytest.mark.parametrize(
    ("start", "duration", "zone", "expected"),
    [
        ("2026-01-31T10:00:00Z", "P1M", None, "2026-02-28T10:00:00Z"),
        ("2024-02-29T10:00:00Z", "P1Y", None, "2025-02-28T10:00:00Z"),
        ("2026-03-31T10:00:00Z", "-P1M", None, "2026-02-28T10:00:00Z"),
        ("2026-03-08T06:00:00Z", "P1D", None, "2026-03-09T06:00:00Z"),
        ("2026-03-07T17:00:00Z", "P1D", "America/New_York", "2026-03-08T16:00:00Z"),
        ("2026-03-07T17:00:00Z", "PT24H", "America/New_York", "2026-03-08T17:00:00Z"),
        ("2026-01-01T00:00:00Z", "+P1DT1H", None, "2026-01-02T01:00:00Z"),
        ("2026-01-01T00:00:00Z", "P0.5D", None, "2026-01-01T12:00:00Z"),
    ],
)
def test_calendar_durations_are_added(start, duration, zone, expected):
    """Months clip to the last day; with a zone, days are calendar days there."""
    place = parse_zone(zone) if zone else None
    assert format_time(parse_calendar_duration(duration).added_to(parse_time(start), place)) == expected


def test_the_calendar_has_an_end():
    """A sum past the year 9999 is a ValueError, in months as in days."""
    for duration in ("P9000Y", "P999999999D", "PT999999999999H", "-P3000Y"):
        with pytest.raises(ValueError, match=r"."):
            parse_calendar_duration(duration).added_to(parse_time("2026-01-01"))


def test_months_are_whole():
    """Half a month has no length."""
    with pytest.raises(ValueError, match="whole"):
        parse_calendar_duration("P0.5M")


@given(st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30), timezones=st.just(UTC)))  # noqa: DTZ001
def test_times_round_trip(time):
    """What is formatted is read back, to the millisecond."""
    assert parse_time(format_time(time)) == time.replace(microsecond=time.microsecond // 1000 * 1000)


def test_a_naive_time_is_refused():
    """A datetime without a zone is a mistake of the caller."""
    with pytest.raises(ValueError, match="zone"):
        format_time(datetime(2026, 1, 1))  # noqa: DTZ001


@pytest.mark.parametrize("name", ["", "Mars/Phobos", "../etc/passwd", "/etc/localtime", "Asia"])
def test_zones_are_iana_names(name):
    """Only names of the IANA database are zones."""
    with pytest.raises(ValueError, match="zone"):
        parse_zone(name)
