"""`taske up` as a process: it starts, mends, refuses and ends what it should, with a toy service behind it."""

import contextlib
import http.client
import json
import os
import pwd
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import grpc
import psutil
import pytest

from taske_ray.launcher import processes

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]

HERE = Path(__file__).parent
READY_S = 60.0
RAY_METHODS = (
    "/ray.rpc.NodeInfoGcsService/CheckAlive",
    "/ray.rpc.InternalKVGcsService/InternalKVKeys",
    "/ray.rpc.NodeManagerService/GetNodeStats",
    "/ray.rpc.ObjectManagerService/Push",
    "/ray.rpc.CoreWorkerService/PushTask",
    "/ray.serve.ASGIService/HandleRequest",
)


class Service:
    """One `taske up` with the toy service, started and watched from outside."""

    def __init__(self, data_dir, *, python=sys.executable, user=None, **options):
        self.data_dir = data_dir
        self.port = free_port()
        self._start = {"python": python, "user": user, "options": options}
        self.process = None
        self.lines = []

    def start(self, *, until_ready=True):
        """Start it, and return when it says that it is ready."""
        self.lines = []
        options = {"data_dir": self.data_dir, "port": self.port, **self._start["options"]}
        user = self._start["user"]
        self.process = subprocess.Popen(
            [
                self._start["python"],
                str(HERE / "launcher_toy.py"),
                *(f"{name}={value}" for name, value in options.items()),
            ],
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), *sys.path[1:], str(HERE.parents[1])])},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            user=user,
            group=user,
            extra_groups=None if user is None else (),
            cwd="/",
        )
        while until_ready and not (self.lines and self.lines[-1].startswith("Taske is ready")):
            line = self.process.stdout.readline()
            assert line, f"it ended: {self.lines} {self.log()}"
            self.lines.append(line.strip())
        return self

    def log(self):
        """The end of what its runtime process wrote."""
        with contextlib.suppress(OSError):
            return (self.data_dir / "runtime.log").read_text()[-3000:]

    def get(self, path="/healthz", **headers):
        """Status, content type and JSON body of one request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        with contextlib.closing(connection):
            connection.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
            answer = connection.getresponse()
            return answer.status, answer.getheader("content-type"), json.loads(answer.read())

    def answers(self):
        """Whether the service is healthy from outside."""
        with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
            return self.get()[0] == 200
        return False

    def processes(self):
        """Everything of this instance but the launcher: by its mark, or standing in its database's directory."""
        found = {process.pid: process for process in processes.marked(self.data_dir)}
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                if Path(process.cwd()) == self.data_dir / "postgres":
                    found[process.pid] = process
        return list(found.values())

    def named(self, name):
        """One of its processes, by the name of its program."""
        return next(process for process in self.processes() if process.name() == name)

    def stop(self):
        """The exit code after SIGTERM, and how long it took."""
        began = time.monotonic()
        self.process.terminate()
        self.process.stdout.read()
        return self.process.wait(40), time.monotonic() - began


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


def test_a_life(service):
    """Ready within the limit, safe from outside, refused to a second start, mended after kills, gone after SIGTERM."""
    began = time.monotonic()
    service.start()
    assert time.monotonic() - began < 25
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
    wait_for(lambda: not service.processes(), 20)
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
        assert not runtime.is_running() or runtime.status() == psutil.STATUS_ZOMBIE
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
        wait_for(service.answers, READY_S)
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
    machine = next(
        address.address
        for addresses in psutil.net_if_addrs().values()
        for address in addresses
        if address.family == socket.AF_INET and not address.address.startswith("127.")
    )
    open_ports = {
        connection.laddr.port: process.name()
        for process in service.processes()
        for connection in process.net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN and connection.laddr.ip not in ("127.0.0.1", "::1")
    }
    assert service.port not in open_ports
    for port, name in open_ports.items():
        answers = {code_of(machine, port, method) for method in RAY_METHODS}
        assert grpc.StatusCode.UNAUTHENTICATED in answers, f"{name} at {port} answered {answers}"
        assert answers <= {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.UNIMPLEMENTED}


def code_of(address, port, method):
    with grpc.insecure_channel(f"{address}:{port}") as channel:
        try:
            channel.unary_unary(method)(b"", timeout=5)
        except grpc.RpcError as error:
            return error.code()
    return grpc.StatusCode.OK


def everything_is_private(service):
    run_dir = service.data_dir / "run"
    for folder in (service.data_dir, run_dir, service.data_dir / "postgres"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((run_dir / "token").stat().st_mode) == 0o600
    token = (run_dir / "token").read_bytes()
    for process in service.processes():
        if process.name() != "postgres":
            assert token not in Path(f"/proc/{process.pid}/environ").read_bytes()
            assert token not in Path(f"/proc/{process.pid}/cmdline").read_bytes()
    for path in run_dir.rglob("a*"):
        if path.is_socket():
            assert stat.S_IMODE(path.stat().st_mode) == 0o600


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
    wait_for(lambda: not victim.is_running() or victim.status() == psutil.STATUS_ZOMBIE, 5)
    wait_for(lambda: service.answers() and alive(service, name), READY_S)


def alive(service, name):
    return any(each.name() == name and each.status() != psutil.STATUS_ZOMBIE for each in service.processes())


def nothing_is_left(service):
    wait_for(lambda: not service.processes(), 5)
    assert not [path for path in service.data_dir.rglob("*") if path.is_socket()]
    for name in ("lock", "processes.json", "run/token", "run/haproxy"):
        assert not (service.data_dir / name).exists()
    assert is_free(service.port)


def is_free(port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return probe.connect_ex(("127.0.0.1", port)) != 0


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


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


def wait_for(fact, within_s):
    deadline = time.monotonic() + within_s
    while not fact():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)
