"""A host that is ended on purpose, frozen or after a drain that overran: no run answers for it."""

import subprocess
import sys

import psutil
import pytest

from actors import cluster
from actors.cluster import Blueprint, HostRef, Node
from actors.hosts import Hosts
from actors.lease import Lease, boot_id, condemn, recorded_process
from actors.pulse import HOST
from taske_ray.clock import SystemClock, new_id
from taske_ray.db import hosts
from taske_ray.db.hosts import HostRow
from taske_ray.errors import Unavailable

pytestmark = pytest.mark.integration
NAME = "run-0123456789abcdef-0"


@pytest.fixture
def process(monkeypatch):
    """A host's process that does nothing at all, in a Ray that only knows its name and ends it when told."""
    started = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    found = psutil.Process(started.pid)

    async def end(_):
        started.kill()
        started.wait()

    async def answer(value):
        return value

    monkeypatch.setattr(cluster, "nodes", lambda: answer([Node("0123456789abcdef", "127.0.0.1")]))
    monkeypatch.setattr(cluster, "names", lambda: answer([NAME]))
    monkeypatch.setattr(cluster, "this_node", lambda: "0123456789abcdef")
    monkeypatch.setattr(cluster, "spawn_host", lambda *_: None)
    monkeypatch.setattr(cluster, "ping", lambda *_, **__: answer(None if found.is_running() else -1))
    monkeypatch.setattr(cluster, "restart", end)
    monkeypatch.setattr(cluster, "kill", end)
    yield found
    started.kill()
    started.wait()


@pytest.fixture
async def run(world, process):
    """A run of the host that registered from that process."""
    row = HostRow(new_id(), "run", NAME, "n", boot_id(), process.pid, process.create_time(), 10)
    await hosts.register(world.database, row)
    return (await world.fires.fire(world.event(await world.trigger(), host=row.id))).assigned


async def crashes(world, run):
    """How often the run's host exited by itself, as another host of this machine finds it."""
    lease = Lease(world.database, kind="run", name="b", node="n", capacity=1, clock=SystemClock(), lost=None)
    await lease.register()
    assert await world.store(lease.host_id).rescue() == 1
    return (await world.run(run.run_id))["crashes"]


def looked_after(database):
    """The hosts as a supervisor with this database keeps them."""
    return Hosts(
        {"run": Blueprint("x")},
        recorded=lambda name: recorded_process(database, name),
        condemn=lambda name: condemn(database, name),
    )


async def test_a_frozen_host_does_not_count_against_its_runs(world, process, run):
    """It is ended by its process id, and its run goes on without a crash."""
    kept = looked_after(world.database)
    for _ in range(HOST.still):
        assert await kept.ensure_hosts("run", 1) == []
    psutil.wait_procs([process], timeout=5)
    assert await crashes(world, run) == 0


async def test_a_host_that_is_started_anew_in_spite_of_its_work_does_not_count(world, run):
    """Its drain overran: the run that it still held goes on without a crash."""
    await looked_after(world.database).start_anew(HostRef(NAME, "n", None))
    assert await crashes(world, run) == 0


async def test_a_host_that_is_not_wanted_any_more_does_not_count(world, run):
    """It is ended for good with work in hand: the run goes on without a crash."""
    await looked_after(world.database).ensure_hosts("run", 0)
    assert await crashes(world, run) == 0


async def test_a_host_that_exits_by_itself_counts(world, process, run):
    """Nobody ended it: one crash."""
    process.kill()
    psutil.wait_procs([process], timeout=5)
    assert await crashes(world, run) == 1


async def test_a_frozen_host_is_ended_without_the_database(world, process, run):
    """It cannot be said then whose doing it was; it is ended all the same."""

    class Away:
        async def fetch(self, *_):
            raise Unavailable

    kept = looked_after(Away())
    kept.recorded = lambda name: recorded_process(world.database, name)
    for _ in range(HOST.still):
        await kept.ensure_hosts("run", 1)
    psutil.wait_procs([process], timeout=5)
    assert await crashes(world, run) == 1
