"""One whole service as its operator runs it: the installed command, in a data directory of its own."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import httpx

from taske_ray import Taske
from tests.cluster.launcher_service import Service
from tests.facts import wait_until

TASKE = Path(sys.executable).with_name("taske")
PASSWORD = "seven green bottles on a wall"
_ready = "Taske is ready at "


class Instance(Service):
    """One `taske up`; started and stopped as often as wanted on the same data."""

    def __init__(self, data_dir, **settings):
        super().__init__(data_dir)
        self.settings = settings
        self.output = data_dir.with_name("output")

    @property
    def url(self):
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def environ(self):
        """The environment of its commands: no settings of anybody else, and no saved logins."""
        own = {name: value for name, value in os.environ.items() if not name.startswith("TASKE_")}
        places = {"HOME": str(self.data_dir.parent), "XDG_CONFIG_HOME": str(self.data_dir.parent / "config")}
        return own | places | {"TASKE_DATA_DIR": str(self.data_dir), "TASKE_URL": self.url} | self.settings

    def start(self, *options):
        """Start it, and return when it has said that it is ready."""
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [TASKE, "up", "--port", str(self.port), *options],
                env=self.environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd="/",
            )
        self.until_said(_ready + self.url, 120)
        return self

    def until_said(self, text, within_s):
        """Return what it has said once it contains `text`."""

        def said():
            output = self.output.read_text()
            assert text in output or self.process.poll() is None, f"it ended: {output} {self.log()}"
            return output if text in output else None

        return wait_until(said, within_s, lambda: f"{text!r} in {self.output.read_text()} {self.log()}")

    def stop(self):
        """The exit code after SIGTERM, and how long it took."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(45), time.monotonic() - began

    def taske(self, *arguments, given=None, key=None):
        """Run a command of ours against it; the finished process, its output as text."""
        environ = self.environ | ({"TASKE_API_KEY": key} if key else {})
        return subprocess.run(
            [TASKE, *arguments], env=environ, input=given, capture_output=True, text=True, timeout=60, check=False
        )

    def account(self, email, *, admin=False):
        """A new user's API key: an ordinary one signs up over REST, an admin is made by the operator."""
        if admin:
            done = self.taske("user", "create", email, "--admin", "--password-stdin", given=PASSWORD)
            assert done.returncode == 0, done.stderr
        else:
            sent = httpx.post(f"{self.url}/auth/signup", json={"email": email, "password": PASSWORD}, timeout=20)
            assert sent.status_code == 202, sent.text
        with Taske(self.url) as taske:
            taske.account.login(email, PASSWORD)
            return taske.api_keys.create("tests").key


@contextmanager
def instance(**settings):
    """An instance that is not started yet; ended in any case, and its directory with it."""
    directory = Path(tempfile.mkdtemp(prefix="taske-e-"))
    directory.chmod(0o711)  # the embedded database's own user passes through
    found = Instance(directory / "data", **settings)
    try:
        yield found
    finally:
        if found.process is not None and found.process.poll() is None:
            found.process.send_signal(signal.SIGTERM)
            try:
                found.process.wait(45)
            except subprocess.TimeoutExpired:
                found.process.kill()
                found.process.wait()
        shutil.rmtree(directory, ignore_errors=True)
