"""The database has no room: no disk, or no connection. Waits are bounded, nothing is acknowledged that is not kept."""

import os
import subprocess
import time
from pathlib import Path

import psycopg
import pytest

from taske_ray.clock import new_id
from taske_ray.db import hosts
from taske_ray.db.audit import Entry
from taske_ray.db.database import Database
from taske_ray.db.embedded import EmbeddedPostgres
from taske_ray.db.fire_values import Fire
from taske_ray.db.fires import FireStore
from taske_ray.db.hosts import HostRow
from taske_ray.db.migrate import upgrade
from taske_ray.db.tasks import TaskRows, TaskText, TriggerRow
from taske_ray.errors import TaskeError, Unavailable
from tests.facts import until

pytestmark = pytest.mark.integration


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 400 MB of its own."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=400m,mode=0711", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("no tmpfs can be mounted here: run as root, in a container with CAP_SYS_ADMIN (--privileged)")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


async def a_trigger(database):
    """A webhook of a new user; what makes events of it."""
    user, task, trigger = new_id(), new_id(), new_id()
    await database.fetch("INSERT INTO users (id, email) VALUES (%(id)s, %(id)s::text)", {"id": user})
    row = TriggerRow("webhook", "webhook.x", 1, None, {})
    text = TaskText("t", enabled=True, overlap="allow", spec={"actions": []}, pins={}, trigger=row)
    entry = Entry(new_id(), "task.create", user)
    tasks = TaskRows(database)
    assert await tasks.create(owner=user, task_id=task, trigger_id=trigger, task=text, limit=9, entry=entry)
    return lambda key, size=1: Fire(trigger, user, task, 1, key, new_id(), {"text": os.urandom(size).hex()})


async def test_a_full_disk_acknowledges_nothing_that_is_not_kept(small_disk):
    """Events are refused in time; with room again it goes on, and whatever was accepted is there."""
    server = EmbeddedPostgres(small_disk / "data")
    upgrade(server.start())
    database = await Database(server.url, row_connections=1, hot_connections=2).open()
    store, accepted, refused = FireStore(database), set(), 0
    try:
        event = await a_trigger(database)
        ballast = small_disk / "ballast"
        with ballast.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"x" * 2**16)
            except OSError:
                pass  # full
        for number in range(60):
            began = time.monotonic()
            try:
                fired = await store.fire(event(f"{number}", 200_000))
            except (TaskeError, psycopg.Error):
                refused += 1
                assert time.monotonic() - began < 15
                if refused == 3:
                    break
            else:
                accepted.add(fired.run_id)
        assert refused
        ballast.unlink()
        if not server.is_running:
            server.stop()
            server.start()
        after = event("after")
        fired = await until(lambda: store.fire(after), 60, "going on", despite=(TaskeError, psycopg.Error), again_s=0.5)
        rows = await database.fetch("SELECT id FROM runs")
        assert accepted | {fired.run_id} <= {row["id"] for row in rows}
    finally:
        await store.close()
        await database.close()
        server.stop()


@pytest.fixture
def crowded(tmp_path_factory):
    """A server that takes twenty connections, as an operator may have set it."""
    place = Path(tmp_path_factory.mktemp("crowded"))
    server = EmbeddedPostgres(place)
    server.start()
    server.stop()
    (server.directory / "local.conf").write_text("max_connections = 20\nsuperuser_reserved_connections = 2\n")
    upgrade(server.start())
    yield server
    server.stop()


async def test_without_a_free_connection_waits_are_bounded_and_leases_kept(crowded):
    """Twenty connections, all taken by others: a statement is refused within seconds, a heartbeat goes on."""
    database = await Database(crowded.url, row_connections=1, hot_connections=1).open()
    heartbeat = await database.dedicated()
    host = HostRow(new_id(), "run", "h", "n", "boot", 1, 1.0, 10)
    await hosts.register(heartbeat, host)
    taken = []
    try:
        while True:
            try:
                taken.append(psycopg.connect(crowded.url))
            except psycopg.OperationalError:
                break
        late = await Database(crowded.url, row_connections=1, hot_connections=1).open()
        began = time.monotonic()
        with pytest.raises(Unavailable):
            await late.fetch("SELECT 1")
        with pytest.raises(Unavailable):
            async with late.transaction() as tx:
                await tx.connection()
        assert time.monotonic() - began < 10
        assert await hosts.renew(heartbeat, host.id) is not None
        taken.pop().close()
        assert await until(lambda: late.fetch("SELECT 1 AS n"), 20, "an answer", despite=Unavailable) == [{"n": 1}]
        await late.close()
    finally:
        for connection in taken:
            connection.close()
        await heartbeat.close()
        await database.close()
