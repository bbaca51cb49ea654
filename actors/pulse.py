"""An actor's pulse: whether it answers, and by which process. One that has been silent for too long is ended.

By its process id, because a frozen process does nothing that it is asked: id and start time together name it beyond
doubt. What it held is leased and fenced, so that ending it loses nothing; Ray starts another in its place.
"""

import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Final

import psutil

from actors import cluster

SILENT_PINGS: Final = 5
"""An actor that misses so many in a row hangs, if its process lives: 20 s, so that a watcher host is replaced within
the 45 s of D5. Each is a ping of three seconds, and a second between."""
START_PINGS: Final = 20
"""So many an actor may miss that is not known to have a process: it is being placed or is starting, perhaps slowly."""
Recorded = Callable[[], Awaitable[psutil.Process | None]]
_log = logging.getLogger(__name__)


async def _nothing() -> psutil.Process | None:
    return None


class Pulse:
    """The pulse of one actor.

    `here`: whether the actor runs on this machine, so that process ids mean something. `recorded` finds the process
    that it has put on record, for one that hung before it ever answered us. `method` answers with the process id.
    """

    def __init__(
        self, handle: cluster.Handle, *, here: bool, recorded: Recorded = _nothing, method: str = "ping"
    ) -> None:
        self._handle = handle
        self._here = here
        self._recorded = recorded
        self._method = method
        self._process: psutil.Process | None = None
        self._missed = 0

    async def beats(self) -> bool:
        """Whether the actor answers now; one that has not for too long is ended. Raises ActorEnded."""
        pid = await cluster.ping(self._handle, self._method)
        if pid is None:
            await self._missing()
            return False
        self._missed = 0
        if self._here and (self._process is None or self._process.pid != pid):
            with contextlib.suppress(psutil.Error):
                self._process = psutil.Process(pid)
        return True

    async def _missing(self) -> None:
        self._missed += 1
        process = self._process or await self._recorded()
        if self._missed >= SILENT_PINGS and process is not None and _lives(process):
            _log.warning("process %d has not answered %d times: it is ended", process.pid, self._missed)
            with contextlib.suppress(psutil.Error):
                process.kill()
            self._missed, self._process = 0, None
        elif self._missed >= (START_PINGS if self._here else SILENT_PINGS):
            _log.warning("an actor has not answered %d times: it is started again", self._missed)
            self._missed = 0
            await cluster.restart(self._handle)


def _lives(process: psutil.Process) -> bool:
    """Psutil knows a new process by an old number."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
