"""The reaper's patience: after the database was away, leases that ran out are given time to be renewed."""

from datetime import UTC, datetime, timedelta

import pytest

from actors.reaper import Reaper
from taske_ray.errors import Unavailable

START = datetime(2027, 5, 4, tzinfo=UTC)


class Rows:
    """A database with a server of some age; `lapsed` is what each turn was allowed."""

    def __init__(self, seconds):
        self.seconds = seconds
        self.started_at, self.age_s, self.away, self.takes_s = START, 3600.0, False, 0.0
        self.lapsed = []

    async def server(self):
        """Its start and age."""
        self.seconds[0] += self.takes_s
        if self.away:
            raise Unavailable
        return self.started_at, self.age_s

    async def rescue(self, *, lapsed):
        """One run."""
        self.lapsed.append(lapsed)
        return 1


@pytest.fixture
def seconds():
    return [100.0]


@pytest.fixture
def rows(seconds):
    return Rows(seconds)


@pytest.fixture
def reaper(rows, seconds):
    return Reaper(rows, lambda: seconds[0])


async def turns(reaper, seconds, *pauses):
    """Turns, each after a pause."""
    for pause in pauses:
        seconds[0] += pause
        await reaper.turn()


async def test_ordinarily_leases_that_ran_out_are_ended(reaper, rows, seconds):
    """With a database that was there all the time there is nothing to wait for."""
    await turns(reaper, seconds, 5, 5)
    assert rows.lapsed == [True, True]


async def test_after_an_outage_fifteen_seconds_pass(reaper, rows, seconds):
    """Turns go on for hosts that are known to be gone; leases are ended again fifteen seconds after the return."""
    await reaper.turn()
    rows.away = True
    for _ in range(3):
        seconds[0] += 5
        with pytest.raises(Unavailable):
            await reaper.turn()
    rows.away = False
    await turns(reaper, seconds, 5, 5, 5, 4.9, 0.1, 5)
    assert rows.lapsed == [True, False, False, False, False, True, True]


async def test_a_new_server_is_an_outage_that_nobody_saw(reaper, rows, seconds):
    """A restart between two turns shows by the server's age, also to a host that has just begun."""
    rows.age_s = 2.0
    await turns(reaper, seconds, 0, 15)
    rows.started_at, rows.age_s = START + timedelta(hours=1), 30.0
    await turns(reaper, seconds, 5, 15)
    assert rows.lapsed == [False, True, False, True]


async def test_a_server_that_answers_late_was_frozen(reaper, rows, seconds):
    """An answer after three seconds counts as an outage."""
    rows.takes_s = 3.5
    await reaper.turn()
    rows.takes_s = 0.0
    await turns(reaper, seconds, 15)
    assert rows.lapsed == [False, True]
