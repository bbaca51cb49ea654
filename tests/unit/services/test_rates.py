"""Rates: so many at once, then so many a second, each id for itself."""

from hypothesis import given
from hypothesis import strategies as st

from taske_ray.clock import new_id
from taske_ray.limits import profiles
from taske_ray.services.rates import Rate, RateLimiter, per_second

default, public = profiles["default"], profiles["public"]


class Seconds:
    """A clock that stands where a test puts it."""

    def __init__(self):
        self.at = 100.0

    def __call__(self):
        """Where it stands."""
        return self.at


def test_the_owner_of_a_machine_is_not_throttled():
    """In the default profile nothing has a rate."""
    limiter, key = RateLimiter(per_second(default.hook_per_s, default.hook_burst), Seconds()), new_id()
    assert {limiter.wait_s(key) for _ in range(10_000)} == {0}


def test_a_burst_and_then_the_rate():
    """A bucket of a hundred empties at once, refills with thirty a second, and says when there is one again."""
    seconds = Seconds()
    limiter, key, other = RateLimiter(per_second(public.hook_per_s, public.hook_burst), seconds), new_id(), new_id()
    assert [limiter.wait_s(key) for _ in range(101)] == [0] * 100 + [1]
    assert limiter.wait_s(other) == 0
    seconds.at += 1
    assert [limiter.wait_s(key) for _ in range(31)] == [0] * 30 + [1]


def test_a_slow_rate_says_how_long_to_wait():
    """With one token in ten seconds the wait is whole seconds, rounded up."""
    seconds = Seconds()
    limiter, key = RateLimiter(Rate(0.1, 1), seconds), new_id()
    assert [limiter.wait_s(key), limiter.wait_s(key)] == [0, 10]
    seconds.at += 4.5
    assert limiter.wait_s(key) == 6


@given(st.lists(st.floats(0, 3), max_size=200), st.floats(0.5, 20), st.integers(1, 20))
def test_never_more_than_burst_and_rate(pauses, per_s, burst):
    """Whatever the arrivals, what is let through is at most the burst and the rate times the time."""
    seconds = Seconds()
    limiter, key, taken, begun = RateLimiter(Rate(per_s, burst), seconds), new_id(), 0, seconds.at
    for pause in pauses:
        seconds.at += pause
        taken += limiter.wait_s(key) == 0
        assert taken <= burst + (seconds.at - begun) * per_s + 1e-6
