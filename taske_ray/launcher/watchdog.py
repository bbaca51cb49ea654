"""Inside the runtime process: asks again and again what nobody else asks whether it still answers.

    Ray (GCS, raylet)         "alive" to the launcher while the GCS knows this machine as living, "cut_off" when not;
                              silence means that the GCS or this process hangs: the launcher starts everything afresh
    supervisor, controller    a process that hangs is ended by its id, and Ray starts another

A process that has exited is noticed without us. Hosts are the supervisor's, replicas and HAProxy the controller's.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Final

_every_s: Final = 1.0
_log = logging.getLogger(__name__)


async def keep(report: Callable[..., None], *, here: bool) -> None:
    """Watch until cancelled. `here`: all of Ray is on this machine."""
    from ray.serve._private.constants import SERVE_CONTROLLER_NAME, SERVE_NAMESPACE

    from actors import cluster

    await asyncio.gather(
        _watch_ray(report),
        _watch_actor(cluster.SUPERVISOR, cluster.NAMESPACE, "ping", here=here),
        _watch_actor(SERVE_CONTROLLER_NAME, SERVE_NAMESPACE, "get_pid", here=here),
    )


async def _watch_ray(report: Callable[..., None]) -> None:
    from actors import cluster

    here = cluster.this_node()
    while True:
        try:
            living = await cluster.nodes()  # takes as long as the GCS hangs
        except Exception:  # noqa: BLE001 - logged; the launcher decides by our silence
            _log.warning("Ray does not say which machines live", exc_info=True)
        else:
            report("alive" if any(node.id == here for node in living) else "cut_off")
        await asyncio.sleep(_every_s)


async def _watch_actor(name: str, namespace: str, method: str, *, here: bool) -> None:
    from actors import cluster
    from actors.pulse import Pulse

    pulse: Pulse | None = None
    while True:
        try:
            if pulse is None:
                handle: Any = await cluster.find(name, namespace)
                pulse = None if handle is None else Pulse(handle, here=here, method=method)
            if pulse is not None:
                await pulse.beats()
        except cluster.ActorEnded:
            pulse = None
        except Exception:  # noqa: BLE001 - logged, and the next round comes all the same
            _log.warning("%s could not be looked after", name, exc_info=True)
        await asyncio.sleep(_every_s)
