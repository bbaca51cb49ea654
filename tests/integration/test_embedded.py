"""The embedded PostgreSQL against the real binaries: whoever starts it, however it ended, whatever lies above it."""

import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import psutil
import psycopg
import pytest

from taske_ray.db.embedded import EmbeddedPostgres
from taske_ray.errors import StartRefused
from tests.facts import wait_until

pytestmark = pytest.mark.integration

START_AND_DIE = """
import os, signal, sys
from pathlib import Path
from taske_ray.db.embedded import EmbeddedPostgres
server = EmbeddedPostgres(Path(sys.argv[1]))
server.start()
print(server.pid, flush=True)
{ending}
"""


@pytest.fixture
def server(tmp_path):
    postgres = EmbeddedPostgres(tmp_path / "data")
    yield postgres
    postgres.stop()
    postgres.end_orphan()


def answer(url, query):
    with psycopg.connect(url) as connection:
        return connection.execute(query).fetchone()[0]


def test_starts_as_an_ordinary_role_with_durable_settings(server):
    """The url opens our own database as a role that is no superuser, and commits are durable."""
    url = server.start()
    assert answer(url, "SELECT current_user || '@' || current_database()") == "taske@taske"
    assert answer(url, "SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user") is False
    for name in ("fsync", "synchronous_commit", "full_page_writes"):
        assert answer(url, f"SHOW {name}") == "on"
    assert answer(url, "SHOW server_encoding") == "UTF8"


def test_keeps_what_was_committed(server):
    """Rows survive a stop and a start of the same data directory."""
    with psycopg.connect(server.start()) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS n")
    server.stop()
    assert answer(server.start(), "SELECT n FROM kept") == 7


def test_opens_nothing_above_the_data(server, tmp_path):
    """The data directory and a closed folder above it stay 0700, the socket is 0600, and nothing listens on TCP."""
    tmp_path.chmod(0o700)
    server.start()
    for folder in (tmp_path, server.data_dir, server.directory):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((server.directory / ".s.PGSQL.5432").stat().st_mode) == 0o600
    postmaster = psutil.Process(server.pid)
    assert postmaster.net_connections(kind="inet") == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives the server a user of its own: run as root")
def test_root_runs_it_as_nobody_else(server):
    """As root the server has a user id of its own, which no account has, and no other groups."""
    server.start()
    uids = psutil.Process(server.pid).uids()
    assert {uids.real, uids.effective, uids.saved} == {server.directory.stat().st_uid}
    assert uids.real != 0
    assert b"Groups:\t \n" in Path(f"/proc/{server.pid}/status").read_bytes()


def test_stop_leaves_no_process_and_no_socket(server):
    """After a stop nothing of it runs, listens or holds the lock; a second stop is harmless."""
    server.start()
    pid = server.pid
    server.stop()
    server.stop()
    assert not psutil.pid_exists(pid)
    assert server.pid is None
    assert list(server.directory.glob(".s.PGSQL*")) == []
    assert not (server.directory / "postmaster.pid").exists()


def test_refuses_a_data_directory_in_use(server):
    """A second start says that the directory is in use and leaves the running server alone."""
    url = server.start()
    with pytest.raises(StartRefused, match="in use"):
        EmbeddedPostgres(server.data_dir).start()
    assert answer(url, "SELECT 1") == 1


def test_borrows_a_running_server(server):
    """A command borrows the running server without stopping it."""
    url = server.start()
    with EmbeddedPostgres(server.data_dir).borrowed() as borrowed:
        assert borrowed == url
        assert answer(borrowed, "SELECT 1") == 1
    assert answer(url, "SELECT 1") == 1


def test_borrows_by_starting_one(server):
    """With nobody running it, borrowing starts the server and stops it again."""
    with server.borrowed() as url:
        assert answer(url, "SELECT 1") == 1
    assert server.pid is None


def test_ends_with_its_starter(server):
    """A starter killed with SIGKILL takes its server along."""
    pid = left_behind(server.data_dir, "os.kill(os.getpid(), signal.SIGKILL)")
    wait_until(lambda: not alive(pid), 20, "the end of its server")


def test_an_orphan_is_ended_and_the_data_kept(server):
    """A server that outlived its starter is recognised, ended and replaced by the next start."""
    with psycopg.connect(server.start()) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS n")
    first = server.pid
    server._lock.close()  # what the kernel does when the starter dies
    second = EmbeddedPostgres(server.data_dir)
    url = second.start()
    try:
        assert second.pid != first
        assert answer(url, "SELECT n FROM kept") == 7
    finally:
        second.stop()


def test_starts_after_everything_was_killed(server):
    """Every process of the server killed with SIGKILL: the next start recovers what was committed."""
    with psycopg.connect(server.start()) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS n")
    os.kill(server.pid, signal.SIGKILL)
    server.stop()
    assert answer(server.start(), "SELECT n FROM kept") == 7


def test_a_foreign_process_with_the_recorded_pid_is_not_ended(server):
    """A stale pid file that names somebody else's process is not believed."""
    server.start()
    server.stop()
    bystander = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        pid_file = server.directory / "postmaster.pid"
        pid_file.write_text(f"{bystander.pid}\n{server.directory}\n{int(time.time())}\n5432\n\n\n\nready\n")
        if os.geteuid() == 0:
            owner = server.directory.stat().st_uid
            os.chown(pid_file, owner, owner)
        assert server.pid is None
        assert answer(server.start(), "SELECT 1") == 1
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_a_long_data_directory_is_reached_by_a_short_name(tmp_path):
    """A path that does not fit into a socket address works all the same."""
    server = EmbeddedPostgres(tmp_path / ("long" * 30) / "data")
    try:
        assert answer(server.start(), "SELECT 1") == 1
    finally:
        server.stop()


def left_behind(data_dir, ending):
    script = START_AND_DIE.format(ending=ending)
    done = subprocess.run([sys.executable, "-c", script, str(data_dir)], check=False, stdout=subprocess.PIPE, text=True)
    return int(done.stdout)


def alive(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
