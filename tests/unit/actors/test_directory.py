"""Who is live, as one process sees it: by the rows, and only where it can call."""

import asyncio
from dataclasses import asdict, replace

from actors import cluster
from actors.cluster import Node
from actors.directory import Directory
from taske_ray.clock import new_id
from taske_ray.db.hosts import HostRow
from tests.facts import until


class Rows:
    """The rows of live hosts."""

    def __init__(self, *rows):
        self.rows = list(rows)

    async def fetch(self, _statement, _parameters):
        """All of them."""
        return [asdict(row) for row in self.rows]


class Ray:
    """The nodes of one Ray, and how often somebody asked."""

    def __init__(self, *ids):
        self.ids = list(ids)
        self.asked = 0

    async def nodes(self):
        """The living ones."""
        self.asked += 1
        return [Node(one, "127.0.0.1") for one in self.ids]


def host(node, kind="client"):
    """A live host on a node."""
    return HostRow(new_id(), kind, f"{kind}-{node}-0", node, "boot", 1, 1.0, 10)


async def test_hosts_of_another_service_are_not_seen():
    """Two services on one database: each hands its calls and runs to hosts that it can reach, whatever the key."""
    ours, theirs = host("a"), host("b")
    directory = Directory(Rows(ours, theirs), nodes=Ray("a").nodes)
    await directory.look()
    assert directory.of_kind("client") == [ours]
    assert {directory.pick("client", bytes([key])) for key in range(50)} == {ours.id}
    other = Directory(Rows(ours, theirs), nodes=Ray("b").nodes)
    await other.look()
    assert {other.pick("client", bytes([key])) for key in range(50)} == {theirs.id}


async def test_only_who_was_seen_is_told_of_as_gone():
    """What ends elsewhere is nothing to us; what ends here is told once."""
    ours, theirs, told = host("a"), host("b"), []
    rows = Rows(ours, theirs)
    directory = Directory(rows, gone=told.append, nodes=Ray("a").nodes)
    await directory.look()
    rows.rows = []
    await directory.look()
    await directory.look()
    assert told == [ours.id]


async def test_ray_is_asked_once_for_each_new_node():
    """Looking once a second asks Ray nothing, until a node is there that was not: one of ours that joined, or not."""
    ray, rows = Ray("a"), Rows(host("a"), host("b"))
    directory = Directory(rows, nodes=ray.nodes)
    for _ in range(3):
        await directory.look()
    assert ray.asked == 1
    ray.ids.append("c")
    rows.rows.append(host("c"))
    for _ in range(3):
        await directory.look()
    assert ray.asked == 2
    assert {one.node for one in directory.of_kind("client")} == {"a", "c"}


async def test_a_host_with_a_thousand_runs_to_take_is_given_no_more(monkeypatch):
    """While its messages wait, runs are born queued for whoever has room; afterwards it takes them again."""
    gate, taken = asyncio.Event(), []

    async def call(_handle, _method, batch, **_):
        await gate.wait()
        taken.extend(batch)

    async def find(name):
        return name

    monkeypatch.setattr(cluster, "call", call)
    monkeypatch.setattr(cluster, "find", find)
    runs = host("a", "run")
    directory = Directory(Rows(runs), nodes=Ray("a").nodes)
    await directory.look()
    given = 0
    while directory.taker(b"key") is not None:
        assert directory.nudge(runs.id, "take", given)
        given += 1
    assert given >= 1_000
    gate.set()
    await until(lambda: directory.taker(b"key") == runs.id, 5, "room")
    await until(lambda: taken == list(range(given)), 5, "all of them taken")


async def test_a_lease_is_seen_to_be_renewed():
    """As often as the rows are read; of whoever is not live there is none."""
    row = replace(host("a"), expires_at=100.0)
    rows = Rows(row)
    directory = Directory(rows, nodes=Ray("a").nodes)
    await directory.look()
    assert directory.lease_end(row.id) == 100.0
    rows.rows = [replace(row, expires_at=110.0)]
    await directory.look()
    assert directory.lease_end(row.id) == 110.0
    rows.rows = []
    await directory.look()
    assert directory.lease_end(row.id) is None
