"""Late, missed, caught up or skipped: every instant ends in exactly one of them."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taske_ray.core.interval import Interval
from taske_ray.core.misfire import Firing, MissedRange, due
from taske_ray.core.schedule import parse_cron

noon = datetime(2027, 5, 4, 12, tzinfo=UTC)
minute, hour, day = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
hourly = parse_cron("0 * * * *", "UTC")
daily = parse_cron("0 12 * * *", "UTC")


def test_nothing_is_due_before_its_time():
    """One microsecond early nothing fires, and the next instant stays."""
    decision = due(hourly, noon, noon - timedelta(microseconds=1), "all")
    assert (decision.fire, decision.skipped, decision.next_fire_at) == ((), None, noon)


@pytest.mark.parametrize("misfire", ["skip", "once", "all"])
@pytest.mark.parametrize("lateness", [timedelta(), timedelta(seconds=60)])
def test_a_little_late_fires(misfire, lateness):
    """Up to 60 s late is in time under every policy, and counts as nothing missed."""
    decision = due(hourly, noon, noon + lateness, misfire)
    assert (decision.fire, decision.skipped) == ((Firing(noon),), None)
    assert decision.next_fire_at == noon + hour


def test_half_the_distance_bounds_lateness():
    """A schedule of every 10 s is in time for 5 s only."""
    every = Interval(timedelta(seconds=10), noon - timedelta(seconds=10))
    assert due(every, noon, noon + timedelta(seconds=5), "skip").fire == (Firing(noon),)
    late = due(every, noon, noon + timedelta(seconds=5.001), "skip")
    assert (late.fire, late.skipped) == ((), MissedRange(noon, noon, 1))


def test_skip_leaves_one_range():
    """`skip` fires nothing that was missed and says which instants in one range."""
    decision = due(hourly, noon, noon + 3 * hour + 2 * minute, "skip")
    assert (decision.fire, decision.skipped) == ((), MissedRange(noon, noon + 3 * hour, 4))


def test_once_fires_the_latest_missed():
    """`once` makes one run for the latest missed instant that says how many there were."""
    decision = due(hourly, noon, noon + 3 * hour + 2 * minute, "once")
    assert decision.fire == (Firing(noon + 3 * hour, 4),)
    assert decision.skipped == MissedRange(noon, noon + 2 * hour, 3)


def test_in_time_and_missed_together():
    """The instant in time fires for itself beside the one that stands for those missed."""
    decision = due(hourly, noon, noon + 3 * hour, "once")
    assert decision.fire == (Firing(noon + 2 * hour, 3), Firing(noon + 3 * hour))
    assert decision.skipped == MissedRange(noon, noon + hour, 2)


def test_all_fires_the_latest_hundred_oldest_first():
    """`all` catches up with a hundred; older ones are in the skip."""
    minutely = parse_cron("* * * * *", "UTC")
    decision = due(minutely, noon, noon + 149 * minute, "all")
    assert [firing.at for firing in decision.fire] == [noon + n * minute for n in range(49, 150)]
    assert decision.skipped == MissedRange(noon, noon + 48 * minute, 49)


def test_the_catch_up_window_is_a_day():
    """An instant missed by more than 24 h is skipped under every policy; at 24 h it still counts."""
    assert due(daily, noon, noon + day - hour, "once").fire == (Firing(noon, 1),)
    yearly = parse_cron("0 12 4 5 *", "UTC")
    assert due(yearly, noon, noon + day, "all").fire == (Firing(noon, 1),)
    late = due(yearly, noon, noon + day + timedelta(seconds=1), "all")
    assert (late.fire, late.skipped) == ((), MissedRange(noon, noon, 1))


def test_a_long_downtime_is_counted_exactly():
    """Weeks of a schedule that fires each second are counted, not listed."""
    every = Interval(timedelta(seconds=1), noon)
    decision = due(every, noon + timedelta(seconds=1), noon + 30 * day + timedelta(seconds=0.9), "all")
    assert decision.skipped is not None
    assert len(decision.fire) + decision.skipped.count == 30 * 86_400


schedules = st.sampled_from(
    [hourly, daily, parse_cron("*/7 1-5 * * *", "America/New_York"), Interval(timedelta(minutes=11), noon)]
)


@given(schedules, st.integers(0, 60 * 24 * 5), st.sampled_from(["skip", "once", "all"]))
def test_every_instant_is_accounted_for(schedule, minutes, misfire):
    """Fired plus skipped are exactly the instants that came (D6), and the next one is later than now."""
    first = schedule.next_after(noon)
    now = first + timedelta(minutes=minutes)
    decision = due(schedule, first, now, misfire)
    offered = [first, *schedule.instants(first, now, 100_000)]
    fired = [firing.at for firing in decision.fire]
    skipped = decision.skipped.count if decision.skipped else 0
    assert fired == offered[skipped:]
    assert decision.skipped is None or (decision.skipped.first, decision.skipped.last) == (first, offered[skipped - 1])
    assert decision.next_fire_at == schedule.next_after(now)
    assert due(schedule, decision.next_fire_at, now, misfire).fire == ()
