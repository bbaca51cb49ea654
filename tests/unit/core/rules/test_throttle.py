"""How long somebody who failed often has to wait."""

from datetime import UTC, datetime, timedelta

import pytest

from taske_ray.core.throttle import wait_s

NOW = datetime(2027, 5, 4, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("failures", "ago_s", "wait"),
    [
        (0, 0, 0),
        (9, 0, 0),
        (10, 0, 1),
        (10, 0.2, 1),
        (10, 1, 0),
        (11, 0, 2),
        (14, 6, 10),
        (19, 0, 512),
        (20, 0, 900),
        (10_000, 0, 900),
        (10_000, 900, 0),
        (10_000, 5000, 0),
    ],
)
def test_the_wait_doubles_and_ends(failures, ago_s, wait):
    """Nothing for the first ten, then 1, 2, 4 … seconds after the last one, 900 at most, and always over in the end."""
    assert wait_s(failures, NOW - timedelta(seconds=ago_s), free=10, now=NOW) == wait


def test_nobody_waits_for_a_failure_that_is_not_known():
    """Without a last failure there is nothing to wait for."""
    assert wait_s(50, None, free=10, now=NOW) == 0
