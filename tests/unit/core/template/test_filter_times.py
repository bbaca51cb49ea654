"""Filters about times: table 2.6 of the format."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taske_ray.core.template import compile_text
from taske_ray.core.times import format_time

scope = {"t": "2026-02-03T14:05:06.120Z", "k": "2026-02-03T14:05:06+09:00", "epoch": 1770127506, "null_": None}


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("t | date: '%Y-%m-%d %H:%M:%S.%f'", "2026-02-03 14:05:06.120000"),
        ("t | date: '%j %y %e %I %p %z %Z %s'", "034 26  3 02 PM +0000 UTC 1770127506"),
        ("t | date: '%F %T %u %V %G %a %A %b %B %%'", "2026-02-03 14:05:06 2 06 2026 Tue Tuesday Feb February %"),
        ("k | date: '%H %z'", "14 +0900"),
        ("k | date: '%H %Z', 'UTC'", "05 UTC"),
        ("t | date: '%F %H %Z', 'Asia/Seoul'", "2026-02-03 23 KST"),
        ("'2026-02-03' | date: '%F %T'", "2026-02-03 00:00:00"),
        ("epoch | date: '%F'", "2026-02-03"),
        ("'2021-01-03' | date: '%G-%V'", "2020-53"),
        ("null_ | date: '%Y'", None),
        ("'2026-01-31T10:00:00Z' | date_add: 'P1M'", "2026-02-28T10:00:00Z"),
        ("'2026-01-31T10:00:00+09:00' | date_add: '-P1D'", "2026-01-30T10:00:00+09:00"),
        ("'2026-01-31T10:00:00.5Z' | date_add: 'PT1S'", "2026-01-31T10:00:01.500Z"),
        ("'2026-01-31' | date_add: 'P1M'", "2026-02-28"),
        ("'2026-01-31' | date_add: 'PT1H'", "2026-01-31T01:00:00Z"),
        ("'2026-03-08' | date_add: 'P1D', 'America/New_York'", "2026-03-09"),
        ("'2026-03-07T17:00:00Z' | date_add: 'P1D', 'America/New_York'", "2026-03-08T16:00:00Z"),
        ("'2026-03-07T17:00:00Z' | date_add: 'P1D'", "2026-03-08T17:00:00Z"),
        ("epoch | date_add: 'PT1M'", 1770127566),
        ("1.5 | date_add: 'PT1S'", 2.5),
        ("'2024-02-29' | date_add: '-P1Y'", "2023-02-28"),
        ("null_ | date_add: 'P1D'", None),
        ("'03/02/2026 14:05' | parse_date: '%d/%m/%Y %H:%M'", "2026-02-03T14:05:00Z"),
        ("'03/02/2026 14:05' | parse_date: '%d/%m/%Y %H:%M', 'Asia/Seoul'", "2026-02-03T14:05:00+09:00"),
        ("'Tue, 3 Feb 2026 02:05:06 PM' | parse_date: '%a, %e %b %Y %I:%M:%S %p'", "2026-02-03T14:05:06Z"),
        ("'2026-02-03 14:05:06.12 +0900' | parse_date: '%F %T.%f %z'", "2026-02-03T14:05:06.120+09:00"),
        ("'2026-034' | parse_date: '%Y-%j'", "2026-02-03T00:00:00Z"),
        ("'February 3, 99' | parse_date: '%B %d, %y'", "1999-02-03T00:00:00Z"),
        ("'1770127506' | parse_date: '%s'", "2026-02-03T14:05:06Z"),
        ("'20260203140506Z' | parse_date: '%Y%m%d%H%M%S%Z'", "2026-02-03T14:05:06Z"),
        ("t | epoch", 1770127506),
        ("t | epoch_ms", 1770127506120),
        ("'1970-01-01' | epoch", 0),
        ("'1969-12-31T23:59:59.5Z' | epoch", -1),
    ],
)
def test_times(engine, expression, expected):
    """English names everywhere, the notation of the input is kept, months clip."""
    assert engine.value(f"{{{{ {expression} }}}}", scope) == expected


@pytest.mark.parametrize(
    "expression",
    [
        "'now' | date: '%Y'",
        "'today' | date: '%Y'",
        "'2026-02-03T14:05:06' | date: '%Y'",
        "'1770127506' | date: '%Y'",
        "'yesterday' | epoch",
        "t | date: form",
        "t | date: '%Y', 'Mars/Phobos'",
        "t | date: '%Y', 9",
        "t | date_add: 5",
        "t | date_add: word",
        "t | date_add: 'P9000Y'",
        "'2026-02-30' | epoch",
        "far | epoch",
        "'2026' | parse_date: '%d'",
        "'30 Feb 2026' | parse_date: '%d %b %Y'",
        "'2026 2026' | parse_date: '%Y %Y'",
        "5 | parse_date: '%Y'",
    ],
)
def test_what_is_no_time(engine, expression):
    """Never `now`, never a guess."""
    assert (
        engine.code(f"{{{{ {expression} }}}}", {**scope, "form": "%Q", "word": "a day", "far": 1e20}) == "filter_error"
    )


instants = st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@given(instants)
def test_formatting_is_pythons_where_that_is_english(time):
    """Every directive writes what the C locale's strftime writes."""
    form = "%Y %m %d %H %M %S %f %j %y %e %I %p %z %Z %F %T %u %V %G %a %A %b %B %%"
    text = time.isoformat()
    assert compile_text(f"{{{{ t | date: '{form}' }}}}").evaluate({"t": text}) == time.strftime(form)


@given(instants)
def test_what_is_written_can_be_read(time):
    """`parse_date` reads what `date` wrote."""
    template = compile_text(
        "{{ t | date: '%d %b %Y %I:%M:%S.%f %p %z' | parse_date: '%d %b %Y %I:%M:%S.%f %p %z' | epoch_ms }}"
    )
    assert template.evaluate({"t": format_time(time)}) == time.timestamp() * 1000 // 1
