"""A host's lease: trusted from the start of the request, given up too early, and begun anew when lost."""

import asyncio

import pytest

from actors.lease import Lease, boot_id
from taske_ray.clock import new_id
from taske_ray.db import queries
from taske_ray.errors import Unavailable
from taske_ray.testing import ManualClock, eventually


class Hosts:
    """The rows of hosts behind a connection. Its clock is far from ours; each request takes `takes` seconds."""

    def __init__(self, clock):
        self._clock = clock
        self.takes = 0.0
        self.away = False
        self.error = None
        self.others = []
        self.live, self.ended = [], {}

    async def fetch(self, statement, parameters):
        """Answer a statement."""
        if self.away:
            raise Unavailable
        if self.error is not None:
            error, self.error = self.error, None
            raise error
        if statement == queries.live_hosts:
            return self.others
        if statement == queries.end_hosts:
            self.ended |= dict.fromkeys(parameters["ids"], parameters["state"])
            return []
        self._clock.advance(self.takes / 2)
        now = 1_000_000 + self._clock.monotonic()
        self._clock.advance(self.takes / 2)
        if statement == queries.register_host:
            self.live.append(parameters["id"])
        elif parameters["id"] not in self.live:
            return []
        return [{"now": now, "expires_at": now + parameters["lease_s"]}]


@pytest.fixture
async def clock():
    return ManualClock()


@pytest.fixture
async def rows(clock):
    return Hosts(clock)


@pytest.fixture
async def lost():
    return []


@pytest.fixture
async def lease(rows, clock, lost):
    async def drop():
        lost.append(lease.host_id)

    lease = Lease(rows, kind="run", name="run-1", node="n", capacity=5, clock=clock, lost=drop)
    await lease.register()
    keeping = asyncio.create_task(lease.keep())
    yield lease
    keeping.cancel()


async def beat(clock):
    """Let the next heartbeat come."""
    await eventually(lambda: clock.sleeping)
    clock.advance(clock.sleeping[0])
    await eventually(lambda: clock.sleeping)


async def test_the_clock_is_the_databases_and_never_behind(lease, clock):
    """The host's time is the database's plus what passed since the request began."""
    assert lease.now_s() == 1_000_000
    clock.advance(7.5)
    assert lease.now_s() == 1_000_007.5
    assert lease.now().timestamp() == 1_000_007.5


async def test_trust_counts_from_the_start_of_the_request(rows, clock, lease):
    """A slow answer shortens the trust: the time it took is taken off, not added."""
    rows.takes = 4
    await beat(clock)
    database_now = 1_000_000 + clock.monotonic()
    assert lease.now_s() >= database_now
    assert lease.now_s() - database_now == pytest.approx(2)
    clock.advance(lease.ends_at - lease.now_s() - 1.1)
    assert lease.is_trusted
    clock.advance(0.2)
    assert not lease.is_trusted


async def test_it_is_renewed_every_ten_seconds(lease, clock):
    """Heartbeat after heartbeat the lease stays ahead of the clock."""
    first = lease.host_id
    for _ in range(20):
        await beat(clock)
        assert lease.is_trusted
        assert lease.ends_at - lease.now_s() > 25
    assert clock.monotonic() == pytest.approx(200)
    assert lease.host_id == first


async def test_while_the_database_is_away_trust_runs_out_and_comes_back(rows, clock, lease, lost):
    """Nothing is renewed and nothing dropped; the host tries every second and goes on as the same incarnation."""
    first = lease.host_id
    await beat(clock)
    rows.away = True
    await beat(clock)
    assert clock.sleeping == [1.0]
    for _ in range(30):
        await beat(clock)
    assert not lease.is_trusted
    rows.away = False
    await beat(clock)
    assert lease.is_trusted
    assert (lease.host_id, lost) == (first, [])


async def test_a_host_declared_dead_drops_everything_and_starts_over(rows, clock, lease, lost):
    """When the row is gone, `lost` comes first, under the old id; then there is a new, trusted incarnation."""
    first = lease.host_id
    rows.live.remove(first)
    await beat(clock)
    assert lost == [first]
    assert lease.host_id != first
    assert rows.live == [lease.host_id]
    assert lease.is_trusted


async def test_a_database_that_goes_away_in_between_does_not_end_the_heartbeat(rows, clock, lease):
    """Declared dead and unable to register: the host tries again until it is somebody."""
    rows.live.clear()
    await eventually(lambda: clock.sleeping)
    found = rows.fetch

    async def away_after_renewal(statement, parameters):
        if statement == queries.live_hosts:
            raise Unavailable
        return await found(statement, parameters)

    rows.fetch = away_after_renewal
    await beat(clock)
    await beat(clock)
    assert rows.live == []
    rows.fetch = found
    await beat(clock)
    assert rows.live == [lease.host_id]
    assert lease.is_trusted


async def test_no_failure_ends_the_heartbeat(rows, clock, lease):
    """Whatever a renewal raises, the next one comes a second later."""
    await eventually(lambda: clock.sleeping)
    rows.error = RuntimeError("a bug")
    await beat(clock)
    assert clock.sleeping == [1.0]
    before = lease.ends_at
    await beat(clock)
    assert lease.ends_at > before


async def test_registering_buries_who_is_known_to_be_gone(rows, clock):
    """A live row of this machine whose process is gone is ended as crashed; of other machines nobody knows."""
    gone, elsewhere = new_id(), new_id()
    row = {"kind": "run", "name": "x", "node": "n", "pid": 2**22 + 1, "pid_started": 1.0, "capacity": 1}
    rows.others = [{"id": gone, "boot_id": boot_id(), **row}, {"id": elsewhere, "boot_id": "another machine", **row}]

    async def nothing():
        return

    lease = Lease(rows, kind="run", name="run-1", node="n", capacity=5, clock=clock, lost=nothing)
    await lease.register()
    assert rows.ended == {gone: "crashed"}
    await lease.end()
    assert rows.ended[lease.host_id] == "drained"
