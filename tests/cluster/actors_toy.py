"""Spawns, loses and finds toy actors on a Ray of its own, and prints what happened (`test_launcher_actors.py`)."""

import asyncio
import json
import os
import sys
from pathlib import Path

from actors import cluster
from actors.hosts import Hosts
from taske_ray.errors import Invalid
from taske_ray.launcher.lean_ray import lean


class Toy:
    """Counts its starts, tells its name, and dies when told to."""

    def __init__(self, *given):
        self.given = given
        self.starts = 0

    async def start(self):
        """Takes a moment, during which calls wait."""
        await asyncio.sleep(0.1)
        self.starts += 1

    async def told(self):
        """What it was given, how often it started, and where it lives."""
        return [list(self.given), self.starts, os.getpid()]

    async def refuse(self):
        """Breaks a rule of ours."""
        raise Invalid.at("/x", "required", "x is required")

    async def die(self, note):
        """Leaves a note that it was asked, and ends its process."""
        with note.open("a") as file:
            file.write("asked\n")
        os._exit(1)


async def until(hosts, count):
    """Look after the hosts until so many answer."""
    while len(found := await hosts.ensure_hosts("toy", count)) < count:  # noqa: ASYNC110 - Ray tells nobody
        await asyncio.sleep(0.05)
    return found


async def scenario(note):
    """The facts that the test asserts, by name."""
    facts = {}
    first, again = [await cluster.spawn_supervisor(Toy, "s") for _ in range(2)]
    facts["supervisor"] = await asyncio.gather(cluster.call(first, "told"), cluster.call(again, "told"))
    try:
        await cluster.call(first, "refuse")
    except Invalid as refused:
        facts["refused"] = refused.errors[0].code
    hosts = Hosts({"toy": cluster.Blueprint(Toy, ("more",))})
    one, two = await until(hosts, 2)
    facts["names"] = [one.name, two.name]
    facts["given"] = (await cluster.call(one.handle, "told"))[0]
    before = (await cluster.call(one.handle, "told"))[2]
    try:
        await cluster.call(one.handle, "die", note)
    except cluster.ActorLost as lost:
        facts["lost"] = lost.code
    one, two = await until(hosts, 2)
    _, starts, after = await cluster.call(one.handle, "told")
    facts["restarted"] = [starts, before != after]
    facts["asked to die"] = len(note.read_text().splitlines())
    await cluster.kill(two.name)
    facts["respawned"] = len(await until(hosts, 2))
    facts["fewer"] = [host.name for host in await until(hosts, 1)]
    facts["second is gone"] = await cluster.find(two.name) is None
    await cluster.kill_all()
    facts["all gone"] = await cluster.find(cluster.SUPERVISOR) is None
    return facts


if __name__ == "__main__":
    options = {"num_cpus": 4, "include_dashboard": False, "object_store_memory": 80 * 2**20}
    with lean():
        cluster.connect("local", _node_ip_address="127.0.0.1", _temp_dir=sys.argv[1], **options)
    sys.stdout.write(json.dumps(asyncio.run(scenario(Path(sys.argv[1], "note")))) + "\n")
