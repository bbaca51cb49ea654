"""Asking the service from outside, over its own front door, whether it lives and is ready."""

import contextlib
import http.client
import socket
import time
from pathlib import Path
from typing import Final

ANSWER_LIMIT_S: Final = 5.0
EVERY_S: Final = 2.0
DOOR_LIMIT_S: Final = 1.5
DOOR_MISSES: Final = 2
"""So often in a row HAProxy may take a connection and not answer on it: it hangs or is full."""
ADMIN_LIMIT_S: Final = 0.5
"""With the limits above, one that hangs is ended after 6 s at most, before anybody has waited for 8 s."""


class Probe:
    """Asks `/healthz` and `/readyz` of the address that people use."""

    def __init__(self, host: str, port: int) -> None:
        self._host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - everywhere includes here
        self._port = port
        self._asked_at = 0.0
        self._misses = 0
        self.last_answer = "nothing answered yet"

    def is_due(self) -> bool:
        """Whether it is time to ask again."""
        return time.monotonic() - self._asked_at >= EVERY_S

    def is_healthy(self) -> bool:
        """Whether `/healthz` answers 200."""
        self._asked_at = time.monotonic()
        return self._answers("/healthz")

    def is_ready(self) -> bool:
        """Whether `/readyz` answers 200."""
        return self._answers("/readyz")

    def door_misses(self) -> int:
        """How often in a row the front door has not answered now; it is asked for what needs nobody behind it.

        A refused connection is no hang: nobody waits for it.
        """
        self._asked_at = time.monotonic()
        connection = http.client.HTTPConnection(self._host, self._port, timeout=DOOR_LIMIT_S)
        self._misses += 1
        with contextlib.closing(connection):
            try:
                connection.request("GET", "/-/")
                connection.getresponse()
            except TimeoutError:
                return self._misses
            except (OSError, http.client.HTTPException):
                pass
        self._misses = 0
        return 0

    def _answers(self, path: str) -> bool:
        connection = http.client.HTTPConnection(self._host, self._port, timeout=ANSWER_LIMIT_S)
        with contextlib.closing(connection):
            try:
                connection.request("GET", path)
                answer = connection.getresponse()
                text = answer.read(2000).decode(errors="replace")
            except (OSError, http.client.HTTPException) as error:
                self.last_answer = f"{path}: {error or type(error).__name__}"
                return False
        self.last_answer = f"{path}: {answer.status} {text}"
        return answer.status == http.client.OK


def is_full(run_dir: Path) -> bool:
    """Whether a HAProxy that takes no more connections at its door still answers at its admin socket: it is no hang."""
    for path in run_dir.glob("*/a"):
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as admin:
            admin.settimeout(ADMIN_LIMIT_S)
            admin.connect(str(path))
            admin.sendall(b"show info\n")
            if admin.recv(100):
                return True
    return False
