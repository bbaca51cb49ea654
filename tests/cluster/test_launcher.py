"""`taske up` as a process: it starts, mends, refuses and ends what it should, with a toy service behind it."""

import contextlib
import os
import pwd
import re
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest

from taske_ray.launcher import processes
from tests.cluster.launcher_service import Service, nothing_is_left
from tests.cluster.listeners import all_refuse, listeners
from tests.facts import wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]

READY_S = 60.0
SECRET = b"smtp-s3cr3t"


@pytest.fixture
def service():
    """A service in a directory of its own; whatever a test leaves is ended."""
    folder = Path(tempfile.mkdtemp(prefix="taske-t-"))
    started = Service(folder / "data")
    yield started
    with contextlib.suppress(Exception):
        started.process.kill()
        started.process.wait()
    processes.end(started.processes, within_s=0.5)
    shutil.rmtree(folder, ignore_errors=True)


def test_a_life(service, monkeypatch):
    """Ready within the limit, safe from outside, refused to a second start, mended after kills, gone after SIGTERM."""
    monkeypatch.setenv("TASKE_SMTP_URL", f"smtp://user:{SECRET.decode()}@127.0.0.1:9")
    began = time.monotonic()
    service.start()
    assert time.monotonic() - began < READY_S
    assert service.lines[-1] == f"Taske is ready at http://127.0.0.1:{service.port}"

    the_front_door_is_ours(service)
    only_the_front_door_is_open(service)
    everything_is_private(service)
    a_second_start_is_refused(service)
    for name in ("haproxy", "raylet", "gcs_server", "postgres"):
        survives_the_kill_of(service, name)

    code, took = service.stop()
    assert code == 0
    assert took < 30
    nothing_is_left(service)
    assert (service.data_dir / "drained").exists(), "the supervisor was not asked to stop"


def test_a_killed_launcher_takes_everything_along_and_the_next_start_is_clean(service):
    """After kill -9 of the launcher all ends by itself, and the same directory starts again and keeps its data."""
    service.start()
    service.process.kill()
    service.process.wait()
    wait_until(lambda: not service.processes(), 20, "the end of its processes")
    service.start()
    assert service.answers()
    assert service.stop()[0] == 0
    nothing_is_left(service)


def test_leftovers_are_ended_by_the_next_start(service):
    """With the launcher stopped dead and its children orphaned alive, the next start ends them, and only them."""
    service.start()
    bystander = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        runtime = next(each for each in service.processes() if "taske_ray.launcher.runtime" in " ".join(each.cmdline()))
        raylet, haproxy = service.named("raylet"), service.named("haproxy")
        runtime.suspend()  # so that it can neither notice the end of the launcher nor clean up
        service.process.kill()
        service.process.wait()
        assert raylet.is_running()
        assert haproxy.is_running()
        service.start()
        assert service.answers()
        assert bystander.poll() is None
        assert has_ended(runtime)
        assert service.stop()[0] == 0
        nothing_is_left(service)
    finally:
        bystander.kill()
        bystander.wait()


def test_two_side_by_side_one_by_an_ordinary_user(service):
    """Two instances serve at once, one of them of another user where that can be tried; ending one leaves the other."""
    python, user = reachable_python(), other_user()
    folder = Path(tempfile.mkdtemp(prefix="taske-u-"))
    if user is not None:
        os.chown(folder, user, user)
    other = Service(folder / "data", python=python, user=user)
    try:
        service.start(until_ready=False)
        other.start()
        wait_until(service.answers, READY_S, "an answer")
        assert {each.uids().real for each in other.processes()} == {os.geteuid() if user is None else user}
        assert other.stop()[0] == 0
        nothing_is_left(other)
        assert service.answers()
        assert service.stop()[0] == 0
    finally:
        other.process.kill()
        other.process.wait()
        processes.end(other.processes, within_s=0.5)
        shutil.rmtree(folder, ignore_errors=True)


def test_a_taken_port_is_refused_with_a_reason(service):
    """A port in use is named, the exit code is 1, and nothing was started."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", service.port))
        taken.listen()
        service.start(until_ready=False)
        assert f"127.0.0.1:{service.port} is taken" in service.process.stdout.read()
        assert service.process.wait(10) == 1
    assert service.processes() == []


def the_front_door_is_ours(service):
    _, _, seen = service.get(
        "/x", x_forwarded_for="6.6.6.6", forwarded="for=6.6.6.6", x_real_ip="6.6.6.6", x_request_timeout_seconds="0.001"
    )
    assert seen["client"] == "127.0.0.1"
    assert seen["headers"]["x-forwarded-for"] == "127.0.0.1"
    assert not {"forwarded", "x-real-ip", "x-request-timeout-seconds"} & seen["headers"].keys()
    for path in ("/-/routes", "/-/healthz", "/%2d/healthz", "/-/ROUTES"):
        status, kind, _ = service.get(path)
        assert (status, kind) == (404, "application/problem+json")


def only_the_front_door_is_open(service):
    """Beyond loopback stand only Ray's own gRPC ports, and none of them does anything without the token."""
    found = listeners(service.processes())
    assert service.port in {each.port for each in found}
    tried = all_refuse(found)
    assert tried[service.port] == {"closed"}


def has_ended(process):
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:  # between the two questions
        return True


def everything_is_private(service):
    """Nobody else gets at files and sockets; no process has a secret where others could read it, or may gain rights."""
    run_dir = service.data_dir / "run"
    for folder in (service.data_dir, run_dir, service.data_dir / "postgres"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for path in (service.data_dir, *service.data_dir.rglob("*")):
        with contextlib.suppress(FileNotFoundError):
            is_closed = path.is_symlink() or not path.lstat().st_mode & 0o077
            assert is_closed or behind_closed_doors(path, service.data_dir), path
    for name in ("token", "secrets", "a", "w"):
        for path in run_dir.glob(f"{name}*"):
            assert path.suffix or not path.lstat().st_mode & 0o077, path
    token = (run_dir / "token").read_bytes()
    for process in service.processes():
        with contextlib.suppress(psutil.NoSuchProcess, FileNotFoundError):
            place = Path(f"/proc/{process.pid}")
            assert "NoNewPrivs:\t1" in (place / "status").read_text(), process
            assert re.search(r"Max core file size +0 +0 ", (place / "limits").read_text()), process
            for readable in (place / "environ", place / "cmdline"):
                assert token not in readable.read_bytes(), process
                assert SECRET not in readable.read_bytes(), process


def behind_closed_doors(path, top):
    """Whether a folder above it lets nobody else in."""
    return any(not folder.stat().st_mode & 0o077 for folder in path.parents if folder.is_relative_to(top))


def a_second_start_is_refused(service):
    second = Service(service.data_dir).start(until_ready=False)
    assert "in use" in second.process.stdout.read()
    assert second.process.wait(10) == 2
    assert service.answers()


def survives_the_kill_of(service, name):
    victim = service.named(name)
    if name == "postgres":
        victim = next(
            each for each in service.processes() if each.name() == name and each.ppid() == service.process.pid
        )
    victim.kill()
    wait_until(lambda: has_ended(victim), 5, f"the end of {victim}")
    wait_until(lambda: service.answers() and alive(service, name), READY_S, f"another {name}")


def alive(service, name):
    return any(not has_ended(each) and each.name() == name for each in service.processes())


def other_user():
    """An ordinary user's id, if we may become one and this environment can be read by one."""
    if os.geteuid() != 0 or reachable_python() is None:
        return None
    return pwd.getpwnam("nobody").pw_uid


def reachable_python():
    """An interpreter that every user can start: ours, or one of the same version from the system."""
    candidates = [sys.executable, shutil.which(f"python{sys.version_info[0]}.{sys.version_info[1]}", path="/usr/bin")]
    return next((each for each in candidates if each and all_may_enter(Path(each).resolve())), sys.executable)


def all_may_enter(path):
    return all(folder.stat().st_mode & stat.S_IXOTH for folder in path.parents)
