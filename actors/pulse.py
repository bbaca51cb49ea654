"""An actor's pulse: whether it answers, and by which process. One that has been silent for too long is ended.

By its process id, because a frozen process does nothing that it is asked: id and start time together name it beyond
doubt. What it held is leased and fenced, so that ending it loses nothing; Ray starts another in its place.
"""

import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import psutil

from actors import cluster

Recorded = Callable[[], Awaitable[psutil.Process | None]]
Condemn = Callable[[], Awaitable[None]]
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a ping may take, and how many in a row an actor may miss; None: for ever.

    `still`: while its process does not run at all. A busy machine lets everybody run now and then, so it is frozen.
    `silent`: while its process runs: it is busy with what never ends, or waits for what never comes.
    `absent`: while it is not known to have a process: it is being placed or is starting, perhaps slowly.
    """

    limit_s: float = cluster.PING_LIMIT_S
    still: int = 2
    silent: int | None = 5
    absent: int | None = 20


HOST: Final = Patience()
"""With a second between pings, a frozen host is ended after 8 s, one that hangs after 20 s, in time for D5."""
CONTROLLER: Final = Patience(absent=None)
REPLICA: Final = Patience(limit_s=1.5, silent=None, absent=None)
"""Senders wait for it: frozen, it is ended after 5 s. Serve replaces one that is otherwise ill or never starts."""


async def _nothing() -> None:
    return None


class Pulse:
    """The pulse of one actor.

    `here`: whether the actor runs on this machine, so that process ids mean something. `recorded` finds the process
    that it has put on record, for one that hung before it ever answered us. `condemn` is awaited before it is ended,
    and says that it was us. `ours`: it is no actor of Ray Serve.
    """

    def __init__(
        self,
        handle: cluster.Handle,
        *,
        here: bool,
        patience: Patience = HOST,
        recorded: Recorded = _nothing,
        condemn: Condemn = _nothing,
        ours: bool = True,
    ) -> None:
        self._handle = handle
        self._here = here
        self._patience = patience
        self._recorded = recorded
        self._condemn = condemn
        self._ours = ours
        self._process: psutil.Process | None = None
        self._missed = 0
        self._used_s: float | None = None

    async def beats(self) -> bool:
        """Whether the actor answers now; one that has not for too long is ended. Raises ActorEnded."""
        pid = await cluster.ping(self._handle, ours=self._ours, limit_s=self._patience.limit_s)
        if pid is None:
            await self._missing()
            return False
        self._missed, self._used_s = 0, None
        if self._here and (self._process is None or self._process.pid != pid):
            with contextlib.suppress(psutil.Error):
                self._process = psutil.Process(pid)
        return True

    async def _missing(self) -> None:
        self._missed += 1
        process = self._process or await self._recorded()
        used_s = None if process is None else _used_s(process)
        if process is not None and used_s is not None:
            still, self._used_s = used_s == self._used_s, used_s
            if _reached(self._missed, self._patience.still if still else self._patience.silent):
                await self._end(process)
        elif _reached(self._missed, self._patience.absent if self._here else self._patience.silent):
            _log.warning("an actor has not answered %d times: it is started again", self._missed)
            self._missed = 0
            await self._condemn()
            await cluster.restart(self._handle)

    async def _end(self, process: psutil.Process) -> None:
        _log.warning("process %d has not answered %d times: it is ended", process.pid, self._missed)
        await self._condemn()
        with contextlib.suppress(psutil.Error):
            process.kill()
        self._missed, self._used_s, self._process = 0, None, None


def _reached(count: int, limit: int | None) -> bool:
    return limit is not None and count >= limit


def _used_s(process: psutil.Process) -> float | None:
    """The processor time of all its threads; None when it has ended. Psutil knows a new process by an old number."""
    try:
        if not process.is_running() or process.status() == psutil.STATUS_ZOMBIE:
            return None
        times = process.cpu_times()
    except psutil.Error:
        return None
    return times.user + times.system
