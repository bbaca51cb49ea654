"""A whole service whose database has no room, for connections or on its disk, under load (durability, 13.5)."""

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import httpx
import psycopg
import pytest

from taske_ray.db.embedded import EmbeddedPostgres
from tests.bench.service import Service, temporary
from tests.bench.stand import Stub
from tests.faults.load import under_load
from tests.faults.stand import Stand

pytestmark = [pytest.mark.faults, pytest.mark.timeout(400, func_only=True)]

TROUBLE_S = 10.0
FALLS_S = 60.0
HEALTH_S = 2.0


def admin(service):
    """The service's database, as the one who may do everything there."""
    url = EmbeddedPostgres(service.data_dir).admin_url.replace("/postgres?", "/taske?")
    return psycopg.connect(url, autocommit=True)


def hosts(service):
    """The hosts that are live: a lease that was lost leaves another id."""
    with admin(service) as connection:
        return {row[0] for row in connection.execute("SELECT id FROM hosts WHERE state = 'live'")}


@pytest.fixture
def crowded(receiver):
    """A service whose database takes twenty connections."""
    with temporary(Stub(0, receiver.port)) as found:
        database = EmbeddedPostgres(found.data_dir)
        found.data_dir.mkdir(mode=0o700)
        database.start()
        database.stop()
        (database.directory / "local.conf").write_text("max_connections = 20\n")
        found.start()
        found.create_account()
        with Stand(found, receiver) as stand:
            yield stand


def test_twenty_connections_will_do(crowded, tmp_path):
    """Also while others take every one that is free: it says that it lives, keeps its leases and loses nothing."""
    before = hosts(crowded.service)

    def take_all():
        began = time.monotonic()
        with contextlib.ExitStack() as taken:
            while time.monotonic() - began < TROUBLE_S:
                with contextlib.suppress(psycopg.OperationalError):
                    url = EmbeddedPostgres(crowded.service.data_dir).url
                    taken.enter_context(psycopg.connect(url, connect_timeout=2))
                    continue
                asked = time.monotonic()
                assert httpx.get(f"{crowded.service.url}/healthz", timeout=5).status_code == 200
                assert time.monotonic() - asked < HEALTH_S

    sender = under_load(crowded, tmp_path, take_all)
    assert set(sender.answers) <= {202, 503}, sender.answers
    assert hosts(crowded.service) == before


@pytest.fixture
def small(receiver):
    """A service on a disk of 900 MB of its own."""
    place = Path(tempfile.mkdtemp(prefix="taske-s-"))
    command = ["mount", "-t", "tmpfs", "-o", "size=900m,mode=0711", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(command, check=False, capture_output=True).returncode:
        place.rmdir()
        pytest.skip("no tmpfs can be mounted here: run as root, in a container with CAP_SYS_ADMIN (--privileged)")
    found = Service(place, Stub(0, receiver.port))
    try:
        found.start()
        found.create_account()
        with Stand(found, receiver) as stand:
            yield stand
    finally:
        found.stop()
        subprocess.run(["umount", "-l", str(place)], check=True)
        shutil.rmtree(place, ignore_errors=True)


def test_a_full_disk_is_survived(small, tmp_path):
    """Database, logs and Ray's files on one disk without room: nothing is lost, and it goes on by itself afterwards.

    The database's log is made to need another file, so that the database falls, and cannot come back before there is
    room.
    """
    ballast = small.service.data_dir.parent / "ballast"

    def fill():
        with ballast.open("wb", buffering=0) as file:
            began, fell = time.monotonic(), False
            while time.monotonic() - began < TROUBLE_S or not fell:
                assert time.monotonic() - began < FALLS_S, "the database found room"
                try:
                    file.write(b"x" * 2**16)
                except OSError:  # full: whatever becomes free is taken as well
                    fell = fell or not another_log_file(small.service)
        ballast.unlink()

    sender = under_load(small, tmp_path, fill)
    assert set(sender.answers) <= {202, 503, "broken", "refused"}, sender.answers
    assert sender.answers[503], sender.answers


def another_log_file(service):
    """Have the database begin another file of its log; False when there was no room for it."""
    try:
        with admin(service) as connection:
            connection.execute("SELECT pg_logical_emit_message(true, 'ballast', repeat('x', 1000000))")
            connection.execute("SELECT pg_switch_wal()")
    except psycopg.Error:
        return False
    return True
