"""One world (`world.py`) for all tests here, asked line by line."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


class Asked:
    """The world's answers."""

    def __init__(self, process):
        self._process = process
        self.v6 = False

    def ask(self, sink, url, **more):
        """What became of this URL at this sink."""
        self._process.stdin.write(json.dumps({"sink": sink, "url": url, **more}) + "\n")
        self._process.stdin.flush()
        return self.hear()

    def hear(self):
        """The next line."""
        line = self._process.stdout.readline()
        assert line, f"the world has ended: {self._process.wait(10)}"
        return json.loads(line)


@pytest.fixture(scope="session")
def world():
    """The world; a machine that gives nobody a network of their own skips the tests that need it."""
    command = [sys.executable, "-m", "tests.integration.egress.world"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        asked = Asked(process)
        first = asked.hear()
        if "impossible" in first:
            process.stdin.close()
            pytest.skip(
                f"no network namespace can be made here ({first['impossible']}): run as root, or allow user namespaces"
                " (sysctl user.max_user_namespaces, kernel.apparmor_restrict_unprivileged_userns=0)"
            )
        asked.v6 = first["v6"]
        yield asked
        process.stdin.close()
