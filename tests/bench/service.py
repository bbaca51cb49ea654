"""The service under measurement: the installed command in a data directory of its own, used by REST and the SDK."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx

from taske_ray import Taske, action, task, webhook
from tests.bench.stand import Stub

TASKE: Final = Path(sys.executable).with_name("taske")
EMAIL: Final = "bench@example.com"
_start_limit_s: Final = 180.0
_stop_limit_s: Final = 60.0
_password: Final = "a long password for a short life"


@dataclass(frozen=True, slots=True)
class Start:
    """Seconds from the command to ready; its steps and the second at which each began."""

    seconds: float
    steps: tuple[tuple[str, float], ...]


class Service:
    """One `taske up`, started and stopped as often as wanted in the same data directory."""

    def __init__(self, directory: Path, receiver: Stub, **settings: str) -> None:
        self.data_dir = self.database_dir = directory / "data"
        self.log = directory / "taske.log"
        self.port = _free_port()
        self._environment = _without_ours(os.environ) | {
            "TASKE_DATA_DIR": str(self.data_dir),
            "TASKE_EGRESS_ALLOW": f"127.0.0.1:{receiver.port}",
            "TASKE_LIMIT_TOKEN_PER_MIN": "none",  # one client makes 10,000 tasks as fast as it can
            **settings,
        }
        self._process: subprocess.Popen[bytes] | None = None
        self.api_key = ""

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> "Start":
        """Start it and wait until it says that it is ready. Raises RuntimeError with its log when it does not."""
        began = time.monotonic()
        steps: list[tuple[str, float]] = []
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [TASKE, "up", "--port", str(self.port)], env=self._environment, stdout=log, stderr=log, cwd="/"
            )
        while not (steps and steps[-1][0].startswith("Taske is ready")):
            after_s = time.monotonic() - began
            steps += [(line, after_s) for line in self.log.read_text().splitlines()[len(steps) :]]
            if self._process.poll() is not None or after_s > _start_limit_s:
                raise RuntimeError(f"it did not become ready: {self._ends_of_logs()}")
            time.sleep(0.02)
        return Start(steps[-1][1], tuple(steps[:-1]))

    def stop(self) -> float:
        """Ask it to end; seconds until it had. Raises RuntimeError when it needs to be killed or reports a failure."""
        if self._process is None or self._process.poll() is not None:
            return 0.0  # not started, or ended by itself, as whoever waited for it was told
        process, self._process = self._process, None
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        try:
            code = process.wait(_stop_limit_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise RuntimeError(f"it did not stop: {self._ends_of_logs()}") from None
        if code:
            raise RuntimeError(f"it ended with {code}: {self._ends_of_logs()}")
        return time.monotonic() - began

    def kill(self) -> None:
        """`kill -9` of `taske up`."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self._process = None

    def command(self, *arguments: str) -> None:
        """Run a `taske` command for this instance. Raises CalledProcessError."""
        subprocess.run([TASKE, *arguments], env=self._environment, check=True, stdout=subprocess.DEVNULL)

    def create_account(self) -> None:
        """An admin with an API key: metrics are for admins."""
        self.api_key = self.create_user(EMAIL, "--admin")

    def create_user(self, email: str, *options: str) -> str:
        """The API key of a new user."""
        command = [str(TASKE), "user", "create", email, *options, "--password-stdin"]
        said = f"{_password}\n".encode()
        subprocess.run(command, input=said, env=self._environment, check=True, stdout=subprocess.DEVNULL)
        with Taske(self.url) as taske:
            taske.account.login(email, _password)
            return taske.api_keys.create("bench").key

    def create_pipeline(self, receiver: Stub) -> str:
        """The task that is measured, webhook -> POST -> POST with the first one's output; its hook's URL."""
        first = action(
            "http.request", method="POST", url=f"{receiver.url}/first", body={"n": "{{ trigger.output.body.n }}"}
        )
        second = action(
            "http.request",
            method="POST",
            url=f"{receiver.url}/second",
            body={"receipt": "{{ action1.output.body.receipt }}"},
        )
        with Taske(self.url, self.api_key) as taske:
            saved = taske.tasks.create(task("Measured").when(webhook()).then(first, second))
        assert saved.trigger.hook_url is not None
        return f"{self.url}/hooks/{saved.trigger.hook_url.rpartition('/')[2]}"

    def run(self, run_id: str) -> dict[str, Any]:
        """One run, as the service tells it."""
        found: dict[str, Any] = self._get(f"/api/v1/runs/{run_id}").json()
        return found

    def figure(self, name: str) -> float:
        """The sum of one of the service's own figures over all hosts."""
        lines = self._get("/metrics").text.splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"taske_{name}{{"))

    def _get(self, path: str) -> httpx.Response:
        headers = {"authorization": f"Bearer {self.api_key}"}
        return httpx.get(self.url + path, headers=headers, timeout=30).raise_for_status()

    def _ends_of_logs(self) -> str:
        logs = [self.log, *self.data_dir.glob("*.log")]
        return "\n".join(f"--- {log.name}\n{log.read_text(errors='replace')[-3000:]}" for log in logs if log.exists())


@contextmanager
def temporary(receiver: Stub, **settings: str) -> Iterator[Service]:
    """A service in a directory that is gone afterwards; stopped in any case. `settings` are `TASKE_…` variables."""
    directory = Path(tempfile.mkdtemp(prefix="taske-bench-"))
    directory.chmod(0o711)  # the embedded database's own user passes through
    service = Service(directory, receiver, **settings)
    try:
        yield service
    finally:
        try:
            service.stop()
        finally:
            shutil.rmtree(directory, ignore_errors=True)


def _without_ours(environment: "os._Environ[str]") -> dict[str, str]:
    """The environment without settings that somebody made for another instance."""
    return {name: value for name, value in environment.items() if not name.startswith("TASKE_")}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
