"""The launcher's small parts, each alone: the data directory, process notes, ports, environment, old sessions."""

import os
import socket
import stat
import subprocess
import sys

import pytest

from taske_ray.errors import StartRefused
from taske_ray.launcher import environment, ports, processes, sessions
from taske_ray.launcher.data_dir import LONGEST_RUN_DIR, DataDir, Holder, InUse
from taske_ray.settings import Settings


@pytest.fixture
def sleeper():
    """A process that waits for its input to end, with the environment it is asked for."""
    started = []

    def start(**extra):
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, env={**os.environ, **extra})
        started.append(child)
        return child

    yield start
    for child in started:
        child.kill()
        child.wait()


def test_claiming_closes_the_data_directory(tmp_path):
    """A new data directory and its run directory are for their owner alone."""
    place = DataDir(tmp_path / "data")
    place.claim("http://127.0.0.1:1")
    assert stat.S_IMODE(place.path.stat().st_mode) == 0o700
    assert stat.S_IMODE(place.run_dir.stat().st_mode) == 0o700
    place.release()


def test_a_second_claim_names_the_holder(tmp_path):
    """Who comes second is told which process holds the directory."""
    first = DataDir(tmp_path)
    first.claim("http://127.0.0.1:1")
    with pytest.raises(InUse, match=str(os.getpid())):
        DataDir(tmp_path).claim("http://127.0.0.1:1")
    first.release()


def test_names_its_holder_without_standing_in_the_way(tmp_path):
    """Anybody may ask who runs a directory and where; asking neither takes nor refuses it."""
    place = DataDir(tmp_path)
    assert place.holder() is None
    place.claim("http://127.0.0.1:1")
    assert DataDir(tmp_path).holder() == Holder(os.getpid(), "http://127.0.0.1:1")
    place.release()
    assert place.holder() is None


def test_releasing_leaves_no_lock(tmp_path):
    """After a release no lock file stays, and the next claim succeeds."""
    for _ in range(2):
        place = DataDir(tmp_path)
        place.claim("http://127.0.0.1:1")
        place.release()
        assert not (tmp_path / "lock").exists()


def test_an_open_folder_with_other_files_is_refused(tmp_path):
    """A folder that others use, such as /tmp, is never taken and closed."""
    tmp_path.chmod(0o755)
    (tmp_path / "somebody's").touch()
    with pytest.raises(StartRefused, match="other files"):
        DataDir(tmp_path).claim("http://127.0.0.1:1")
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755


def test_the_run_directory_is_short(tmp_path):
    """However long the data directory's path is, sockets below the run directory fit into an address."""
    place = DataDir(tmp_path / ("long" * 30))
    assert len(os.fsencode(place.run_dir)) <= LONGEST_RUN_DIR


def test_releasing_removes_an_empty_run_directory_elsewhere(tmp_path):
    """A run directory under a short name outside the data directory goes with the lock, unless logs are in it."""
    place = DataDir(tmp_path / ("long" * 30))
    place.claim("http://127.0.0.1:1")
    assert place.run_dir.is_dir()
    place.release()
    assert not place.run_dir.exists()


def test_finds_its_processes_by_mark_and_by_note(tmp_path, sleeper):
    """A marked process, a noted one and a noted one's successor are found; a stranger with the same pid is not."""
    marked, noted, stranger = sleeper(**{processes.MARK: str(tmp_path)}), sleeper(), sleeper()
    ledger = processes.Ledger(tmp_path)
    ledger.note("runtime", noted.pid)
    found = {process.pid for process in processes.Ledger(tmp_path).living()}
    assert found == {marked.pid, noted.pid}
    (tmp_path / "processes.json").write_text(f'{{"runtime": [{stranger.pid}, 1]}}')
    assert {process.pid for process in processes.Ledger(tmp_path).living()} == {marked.pid}


def test_ends_what_it_finds(tmp_path, sleeper):
    """Ending takes every process of the instance and leaves others alone."""
    ours, other = sleeper(**{processes.MARK: str(tmp_path)}), sleeper(**{processes.MARK: f"{tmp_path}2"})
    assert processes.end(processes.Ledger(tmp_path).living, within_s=5.0)
    assert ours.poll() is not None
    assert other.poll() is None


def test_a_dead_role_is_seen(tmp_path, sleeper):
    """A noted process is alive until it has ended."""
    child = sleeper()
    ledger = processes.Ledger(tmp_path)
    ledger.note("gcs", child.pid)
    assert ledger.is_alive("gcs")
    child.kill()
    child.wait()
    assert not ledger.is_alive("gcs")


def test_a_taken_block_of_ports_is_passed_over(tmp_path):
    """The block is the same at each start, unless one of its ports is in use."""
    block = ports.block(tmp_path)
    assert ports.block(tmp_path) == block
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", block[0]))
        taken.listen()
        assert ports.block(tmp_path) != block


def test_the_environment_of_ray(tmp_path):
    """Token authentication is on, the token is private and stands in no variable, and paths and ports are our own."""
    settings = Settings(data_dir=tmp_path, host="0.0.0.0")
    inherited = {"RAY_ADDRESS": "elsewhere:1", "RAY_SERVE_HAPROXY_NBTHREAD": "4", "FORWARDED_ALLOW_IPS": "10.0.0.1"}
    found = environment.local(settings, run_dir=tmp_path, ports=range(20000, 20050), inherited=inherited)
    token = tmp_path / "token"
    assert found["RAY_AUTH_MODE"] == "token"
    assert stat.S_IMODE(token.stat().st_mode) == 0o600
    assert token.read_text() not in found.values()
    assert "RAY_ADDRESS" not in found
    assert found["RAY_SERVE_HAPROXY_NBTHREAD"] == "4"
    assert found["FORWARDED_ALLOW_IPS"] == "127.0.0.1,10.0.0.1"
    assert found["TASKE_TRUSTED_PROXIES"] == "10.0.0.1"
    assert found["TASKE_HAPROXY_HOST"] == "0.0.0.0"
    assert {value for name, value in found.items() if name.endswith("_PORT") and "RAY" in name} <= {
        str(port) for port in range(20000, 20050)
    }


def test_nobody_may_have_requests_repeated(tmp_path):
    """Whatever the operator's environment says, HAProxy repeats only what was not delivered, on nodes too."""
    inherited = {"RAY_SERVE_HAPROXY_RETRY_ON": "all-retryable-errors"}
    found = environment.local(
        Settings(data_dir=tmp_path), run_dir=tmp_path, ports=range(20000, 20050), inherited=inherited
    )
    assert found["RAY_SERVE_HAPROXY_RETRY_ON"] == "conn-failure"
    assert "RAY_SERVE_HAPROXY_RETRY_ON=conn-failure" in environment.node_file().splitlines()


@pytest.mark.parametrize("text", ["*", "proxy.example", "10.0.0.1; rm"])
def test_only_addresses_are_trusted(text):
    """A proxy is named by address: what is not one never reaches HAProxy's configuration."""
    with pytest.raises(StartRefused, match="FORWARDED_ALLOW_IPS"):
        environment.trusted_proxies(text)


def test_old_sessions_go_but_the_last_logs_stay(tmp_path):
    """Before a start only the logs of the last two sessions are left, and no token or socket."""
    for number in range(4):
        session = tmp_path / "r" / f"session_2026-0{number}"
        (session / "logs").mkdir(parents=True)
        (session / "sockets").mkdir()
        os.utime(session, (number, number))
    (tmp_path / "token").touch()
    sessions.clean(tmp_path)
    left = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.name != "r")
    assert left == [
        "r/session_2026-02",
        "r/session_2026-02/logs",
        "r/session_2026-03",
        "r/session_2026-03/logs",
    ]


def test_no_secret_stands_in_an_environment(tmp_path):
    """What is secret goes into a private file of the run directory, also where the operator's environment has it."""
    secret = {
        "TASKE_DATABASE_URL": "postgresql://taske:very-secret-1@db/taske",
        "TASKE_MASTER_KEY": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        "TASKE_SMTP_URL": "smtp://user:very-secret-2@mail:587",
        "TASKE_OIDC_GOOGLE_CLIENT_ID": "ours",
        "TASKE_OIDC_GOOGLE_CLIENT_SECRET": "very-secret-3",
    }
    settings = Settings.from_env(secret | {"TASKE_DATA_DIR": str(tmp_path)})
    inherited = secret | {"TASKE_API_KEY": "very-secret-4", "RAY_AUTH_TOKEN": "very-secret-5"}
    for made in (
        environment.local(settings, run_dir=tmp_path, ports=range(20000, 20050), inherited=inherited),
        environment.joined(settings, run_dir=tmp_path, inherited=secret | {"TASKE_API_KEY": "very-secret-4"}),
    ):
        assert not [name for name, value in made.items() if "very-secret" in value or value.startswith("AAAA")]
        assert stat.S_IMODE((tmp_path / "secrets").stat().st_mode) == 0o600
        assert Settings.from_env(made) == settings
