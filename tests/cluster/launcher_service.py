"""One `taske up` with the toy service, started and watched from outside; what the launcher's tests share."""

import contextlib
import http.client
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil

from taske_ray.launcher import processes
from tests.facts import wait_until

HERE = Path(__file__).parent


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


def nothing_is_left(service):
    wait_until(lambda: not service.processes(), 5, "the end of its processes")
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
