"""Intervals: elapsed time from the moment of enabling, without drift."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taske_ray.core.interval import Interval, parse_interval
from taske_ray.errors import Invalid

anchor = datetime(2027, 3, 13, 18, 0, 0, 250_000, tzinfo=UTC)


def test_the_first_instant_is_one_interval_after_enabling():
    """Nothing fires at the moment of enabling itself, nor before it."""
    hourly = parse_interval("PT1H", anchor)
    assert hourly.next_after(anchor - timedelta(days=1)) == anchor + timedelta(hours=1)
    assert hourly.next_after(anchor) == anchor + timedelta(hours=1)


def test_no_drift():
    """The millionth instant is exactly a million intervals after the anchor."""
    every = parse_interval("PT7.5S", anchor)
    at = anchor + timedelta(seconds=7_500_000)
    assert every.next_after(at - timedelta(microseconds=1)) == at


@pytest.mark.parametrize(
    ("text", "code"),
    [("PT0.999S", "below_minimum"), ("PT0S", "below_minimum"), ("1h", "bad_duration"), ("P1Y", "bad_duration")],
)
def test_refused_intervals(text, code):
    """Below a second, or no duration of fixed length."""
    with pytest.raises(Invalid) as caught:
        parse_interval(text, anchor)
    assert [(error.pointer, error.code) for error in caught.value.errors] == [("/every", code)]


def test_an_interval_beyond_the_calendar_never_fires():
    """A huge interval is legal and ends without an error."""
    assert Interval(timedelta(days=4_000_000), anchor).next_after(anchor) is None


@given(st.integers(1, 5000), st.integers(-9999, 99_999), st.integers(0, 99_999), st.integers(0, 50))
def test_shortcuts_agree_with_walking(every, after_s, length, limit):
    """`instants`, `latest` and `count` say what walking says."""
    schedule = Interval(timedelta(seconds=every), anchor)
    after = anchor + timedelta(seconds=after_s)
    until = after + timedelta(seconds=min(length, every * 60))
    walked, instant = [], schedule.next_after(after)
    while instant is not None and instant <= until:
        walked.append(instant)
        instant = schedule.next_after(instant)
    assert schedule.count(after, until) == len(walked)
    assert schedule.instants(after, until, limit) == walked[:limit]
    assert schedule.latest(after, until, limit) == (walked[-limit:] if limit else [])
