"""Asking the service from outside, over its own front door, whether it lives and is ready."""

import contextlib
import http.client
import time
from typing import Final

ANSWER_LIMIT_S: Final = 5.0
EVERY_S: Final = 2.0


class Probe:
    """Asks `/healthz` and `/readyz` of the address that people use."""

    def __init__(self, host: str, port: int) -> None:
        self._host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - everywhere includes here
        self._port = port
        self._asked_at = 0.0
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
