"""Breakers, the budget for retries, and turns: what a host in trouble is spared."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taske_ray.core.pacing import (
    Breaker,
    RetryBudget,
    Tally,
    Turns,
    Window,
    least_size,
    longest_turn_s,
    probe_every_s,
    quick_s,
)


def calls(breaker, results, now=100.0, users=("a",)):
    """So many calls, each ended at once; `results`: which failed."""
    for number, failed in enumerate(results):
        breaker.end(now, failed=failed, user=users[number % len(users)], probe=breaker.begin(now))


# tally --------------------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.floats(0, 15), st.integers(1, 5)), max_size=60))
def test_a_tally_is_the_last_ten_seconds(gaps):
    """Whatever the pauses, the total is what happened in this second and the nine before."""
    tally, now, happened = Tally(), 0.0, []
    for gap, times in gaps:
        now += gap
        tally.add(now, times)
        happened += [int(now)] * times
        assert tally.total(now) == sum(second > int(now) - 10 for second in happened)
    assert tally.total(now + 11) == 0


# breaker --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("results", "opens"),
    [
        ([True] * 19, False),
        ([True] * 20, True),
        ([False] * 11 + [True] * 9, False),
        ([False] * 10 + [True] * 10, True),
        ([False] * 1000, False),
    ],
)
def test_a_breaker_opens_at_half_of_twenty(results, opens):
    """Fewer than twenty calls, or less than half of them failing, leave it closed."""
    breaker = Breaker()
    calls(breaker, results)
    assert breaker.is_open is opens
    assert breaker.wait_s(100.0) == (probe_every_s if opens else 0)


def test_old_failures_do_not_count():
    """What failed more than ten seconds ago says nothing about now."""
    breaker = Breaker()
    calls(breaker, [True] * 19, now=100.0)
    calls(breaker, [True], now=111.0)
    assert not breaker.is_open


def test_one_probe_every_thirty_seconds():
    """After thirty seconds one call goes, the others go on waiting; a failed probe opens for thirty more."""
    breaker = Breaker()
    calls(breaker, [True] * 20)
    assert breaker.wait_s(129.9) > 0
    assert breaker.wait_s(130.0) == 0
    assert breaker.begin(130.0)
    assert breaker.wait_s(130.0) == probe_every_s
    breaker.end(131.0, failed=True, user="a", probe=True)
    assert breaker.wait_s(159.9) > 0
    assert breaker.wait_s(160.0) == 0


def test_a_probe_that_succeeds_closes():
    """And what failed before it is forgotten."""
    breaker = Breaker()
    calls(breaker, [True] * 20)
    breaker.begin(130.0)
    breaker.end(130.1, failed=False, user="a", probe=True)
    assert not breaker.is_open
    calls(breaker, [True] * 19, now=131.0)
    assert not breaker.is_open


def test_what_was_under_way_does_not_close():
    """A call that began before the breaker opened may succeed: half of them did."""
    breaker = Breaker()
    calls(breaker, [True] * 20)
    breaker.end(101.0, failed=False, user="a", probe=False)
    assert breaker.is_open


def test_for_all_users_only_when_three_fail():
    """Two users' failures close a door for nobody else; the third one's do."""
    two, three = Breaker(least_users=3), Breaker(least_users=3)
    calls(two, [True] * 100, users="ab")
    calls(three, [True] * 100, users="abc")
    assert (two.is_open, three.is_open) == (False, True)


def test_users_whose_failures_are_old_do_not_count():
    """The three must have met failures in the same ten seconds."""
    breaker = Breaker(least_users=3)
    calls(breaker, [True] * 19, now=100.0, users="ab")
    calls(breaker, [True] * 30, now=115.0, users="c")
    assert not breaker.is_open


# retry budget ---------------------------------------------------------------------------------------------------


def test_a_tenth_and_one_a_second():
    """Without first attempts ten retries in ten seconds; a hundred first ones allow ten more."""
    budget = RetryBudget()
    assert sum(taken(budget, 100.0) for _ in range(50)) == 10
    for _ in range(100):
        budget.begin(100.0, retry=False)
    assert sum(taken(budget, 100.0) for _ in range(50)) == 10
    assert not budget.allows(109.0)
    assert budget.allows(110.0)


def taken(budget, now):
    """Whether a retry went out."""
    if not budget.allows(now):
        return False
    budget.begin(now, retry=True)
    return True


def test_a_retry_that_succeeds_gives_its_place_back():
    """A host that has recovered gets everything that waited for it, one after the other."""
    budget = RetryBudget()
    for _ in range(1000):
        assert taken(budget, 100.0)
        budget.succeeded(100.0)


@given(st.lists(st.tuples(st.floats(0, 2), st.booleans()), max_size=400))
def test_never_more_than_the_budget(arrivals):
    """Whatever comes when, failing retries are a tenth of the first attempts and one a second at most."""
    budget, now, firsts, retries = RetryBudget(), 0.0, 0, 0
    for gap, retry in arrivals:
        now += gap
        if not retry:
            budget.begin(now, retry=False)
            firsts += 1
        else:
            retries += taken(budget, now)
    assert retries <= 0.1 * firsts + now + 11


# turns ------------------------------------------------------------------------------------------------------------


def test_those_who_wait_come_one_after_another():
    """Each is told a later moment than the one before, at five a second where nothing ends."""
    turns = Turns()
    waits = [turns.wait_s(100.0, 2.0) for _ in range(11)]
    assert waits[0] == 2.0
    assert [round(later - earlier, 6) for earlier, later in pairwise(waits)] == [0.2] * 10


def test_turns_follow_what_ends():
    """Where a hundred calls a second end, those who wait come a hundred and twenty a second."""
    turns = Turns()
    for tenth in range(100):
        for _ in range(10):
            turns.ended(90.0 + tenth / 10)
    waits = [turns.wait_s(99.9, 1.0) for _ in range(121)]
    assert waits[-1] - waits[0] == pytest.approx(1.0)


def test_nobody_is_told_to_wait_for_ever():
    """Beyond a minute of turns everybody is told a minute."""
    turns = Turns()
    assert max(turns.wait_s(100.0, 2.0) for _ in range(1000)) == 2.0 + longest_turn_s


# window ---------------------------------------------------------------------------------------------------------


@given(st.integers(1, 1000), st.lists(st.floats(0, 1), max_size=200))
def test_a_window_stays_between_its_ends(most, turns):
    """Whatever turns it sees, and smaller only by long ones, larger only by short ones."""
    window = Window(most)
    for turn_s in turns:
        before = window.size
        size = window.saw(turn_s)
        assert min(most, least_size) <= size <= most
        assert size <= before if turn_s > quick_s else size >= before


def test_a_window_opens_again():
    """Once its process is quick again, it is as wide as ever, and it takes seconds and not minutes."""
    window = Window(400)
    for _ in range(20):
        window.saw(0.1)
    assert window.size == least_size
    for _ in range(100):
        window.saw(0.001)
    assert window.size == 400
