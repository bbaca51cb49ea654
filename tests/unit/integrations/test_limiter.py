"""The windows and pauses that keep us below a service's limits."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from taske_ray.integrations.limiter import Limit, Limiter


def test_the_limit_is_granted_at_once_and_the_next_waits():
    """Three per second: three go now, the fourth a second after the first."""
    limiter = Limiter()
    limits = [Limit("k", 3, 1.0)]
    assert [limiter.reserve(limits, [], now=10.0) for _ in range(4)] == [0.0, 0.0, 0.0, 1.0]


def test_a_long_wait_reserves_nothing():
    """A wait beyond the patience is told, and asking again later succeeds."""
    limiter = Limiter()
    limits = [Limit("k", 1, 60.0)]
    assert limiter.reserve(limits, [], now=0.0) == 0.0
    assert limiter.reserve(limits, [], now=1.0) == 59.0
    assert limiter.reserve(limits, [], now=2.0) == 58.0
    assert limiter.reserve(limits, [], now=60.0) == 0.0


def test_all_limits_must_grant():
    """The slower of two limits decides, and the other is not used up meanwhile."""
    limiter = Limiter()
    both = [Limit("a", 100, 1.0), Limit("b", 1, 1.0)]
    assert limiter.reserve(both, [], now=0.0) == 0.0
    assert limiter.reserve(both, [], now=0.0) == 1.0


def test_keys_are_apart():
    """One connection's use does not slow another's."""
    limiter = Limiter()
    assert limiter.reserve([Limit(("connection", 1), 1, 60.0)], [], now=0.0) == 0.0
    assert limiter.reserve([Limit(("connection", 2), 1, 60.0)], [], now=0.0) == 0.0


def test_a_pause_holds_and_ends():
    """After a service asked us to wait, nothing goes out until then; a shorter pause does not end a longer one."""
    limiter = Limiter()
    limiter.pause(["k"], until=30.0)
    limiter.pause(["k"], until=20.0)
    assert limiter.reserve([], ["k"], now=10.0) == 20.0
    assert limiter.reserve([], ["other"], now=10.0) == 0.0
    assert limiter.reserve([], ["k"], now=30.0) == 0.0


def test_a_weight_above_the_limit_takes_all_of_it():
    """A request that counts more than the limit still goes, alone."""
    limiter = Limiter()
    assert limiter.reserve([Limit("k", 2, 1.0, weight=5)], [], now=0.0) == 0.0
    assert limiter.reserve([Limit("k", 2, 1.0)], [], now=0.5) == 0.5


@given(
    st.integers(1, 20),
    st.sampled_from([0.5, 1.0, 60.0]),
    st.lists(st.tuples(st.floats(0, 0.3), st.integers(1, 3)), min_size=1, max_size=300),
)
def test_no_window_ever_holds_more_than_the_limit(limit, per_s, arrivals):
    """However requests arrive, any `per_s` seconds see at most `limit` units, in the order of arrival."""
    limiter, now, sent = Limiter(), 0.0, []
    for gap, weight in arrivals:
        now += gap * per_s
        wait = limiter.reserve([Limit("k", limit, per_s, weight)], [], now=now, patience_s=10 * per_s)
        if wait <= 10 * per_s:
            sent.append((now + wait, min(weight, limit)))
    tolerance = per_s * 1e-9  # `now + wait` is not to the last bit the moment that was reserved
    assert all(later - earlier >= -tolerance for (earlier, _), (later, _) in pairwise(sent))
    for moment, _ in sent:
        assert sum(weight for at, weight in sent if moment - per_s + tolerance < at <= moment) <= limit
