"""Inside the runtime process: asks again and again what nobody else asks whether it still answers.

    Ray (GCS, raylet)         "alive" to the launcher while the GCS knows this machine as living, "cut_off" when not;
                              silence means that the GCS or this process hangs: the launcher starts everything afresh
    supervisor                a process that hangs is ended by its id, and Ray starts another
    Serve                     the controller likewise; a replica or proxy when it is frozen: Serve would take half a
                              minute, and nobody is to wait that long for an answer

A process that has exited is noticed without us, and hosts are the supervisor's.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

from actors import cluster
from actors.pulse import CONTROLLER, REPLICA, Pulse

SERVE_NAMESPACE: Final = "serve"
SERVE_CONTROLLER: Final = "SERVE_CONTROLLER_ACTOR"
"""As Serve has them; importing it would cost this process 50 MB."""
_every_s: Final = 1.0
_log = logging.getLogger(__name__)


async def keep(report: Callable[..., None], *, here: bool) -> None:
    """Watch until cancelled. `here`: all of Ray is on this machine."""
    looks = [Ray(report).look, Supervisor(here=here).look, *([Serve().look] if here else [])]
    await asyncio.gather(*(_again_and_again(look) for look in looks))


async def _again_and_again(look: Callable[[], Awaitable[None]]) -> None:
    while True:
        try:
            await look()
        except Exception:  # noqa: BLE001 - logged, and the next round comes all the same
            _log.warning("a look at Ray failed", exc_info=True)
        await asyncio.sleep(_every_s)


class Ray:
    """Looks whether the GCS answers, and whether it knows this machine as living."""

    def __init__(self, report: Callable[..., None]) -> None:
        self._report = report
        self._node = cluster.this_node()

    async def look(self) -> None:
        """One question; it takes as long as the GCS hangs."""
        living = await cluster.nodes()
        self._report("alive" if any(node.id == self._node for node in living) else "cut_off")


class Supervisor:
    """Looks after the supervisor, wherever it is."""

    def __init__(self, *, here: bool) -> None:
        self._here = here
        self._pulse: Pulse | None = None

    async def look(self) -> None:
        """One ping."""
        if self._pulse is None:
            handle = await cluster.find(cluster.SUPERVISOR)
            self._pulse = None if handle is None else Pulse(handle, here=self._here)
        try:
            if self._pulse is not None:
                await self._pulse.beats()
        except cluster.ActorEnded:
            self._pulse = None


class Serve:
    """Looks after the actors of Serve on this machine."""

    def __init__(self) -> None:
        self._pulses: dict[str, Pulse] = {}

    async def look(self) -> None:
        """One ping to each that is there now."""
        names = await cluster.names(SERVE_NAMESPACE)
        self._pulses = {name: pulse for name, pulse in self._pulses.items() if name in names}
        await asyncio.gather(*(self._look_at(name) for name in names))

    async def _look_at(self, name: str) -> None:
        if name not in self._pulses:
            handle = await cluster.find(name, SERVE_NAMESPACE)
            if handle is None:
                return
            self._pulses[name] = _pulse(name, handle)
        try:
            await self._pulses[name].beats()
        except cluster.ActorEnded:
            del self._pulses[name]


def _pulse(name: str, handle: Any) -> Pulse:
    return Pulse(handle, here=True, patience=CONTROLLER if name == SERVE_CONTROLLER else REPLICA, ours=False)
