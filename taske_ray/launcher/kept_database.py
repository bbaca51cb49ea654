"""The embedded PostgreSQL of a running instance: started again whenever it has ended, for as long as that takes."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from taske_ray.db.embedded import EmbeddedPostgres
from taske_ray.errors import StartRefused

PATIENCE_S: Final = 15.0
"""A command such as `taske user create` may have the database for a moment."""
AGAIN_S: Final = (1.0, 2.0, 5.0)
"""How long until the next try where it cannot be started, as on a full disk; the last for all that follow."""


class KeptDatabase:
    """The server of one data directory. `say` is told in words what becomes of it."""

    def __init__(
        self, data_dir: Path, say: Callable[[str], None], *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._server = EmbeddedPostgres(data_dir)
        self._say = say
        self._monotonic = monotonic
        self._failures = 0
        self._again_at = 0.0

    def start(self) -> str:
        """Its url, once it answers. Raises StartRefused."""
        self._say("Starting PostgreSQL")
        return self._server.start(patience_s=PATIENCE_S)

    def mend(self) -> None:
        """To be called all the time: start it where it has ended. What needs it answers 503 until it is there."""
        if self._server.is_running or self._monotonic() < self._again_at:
            return
        if not self._failures:
            self._say("PostgreSQL has ended; starting it again")
        self._server.stop()
        try:
            self._server.start()
        except StartRefused as refused:
            if not self._failures:
                self._say(f"{refused.message}; trying again until it does")
            self._again_at = self._monotonic() + AGAIN_S[min(self._failures, len(AGAIN_S) - 1)]
            self._failures += 1
            return
        if self._failures:
            self._say("PostgreSQL runs again")
            self._failures = 0

    def stop(self) -> None:
        """End it."""
        self._server.stop()
