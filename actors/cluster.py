"""Everything Ray, in one file: names, options, how an actor is spawned, found, called and ended.

The other files of this package hold plain classes; `spawn_supervisor` and `spawn_host` make Ray actors of them. Such a
class has `async start()`, which runs once per incarnation before the first call is let through, so that an actor that
Ray restarted needs nobody to start it again. Ray decides where a process runs and restarts it; who *owns* what is
decided by leases in PostgreSQL alone, because in a partition Ray may run the old and the new copy at once.
"""

import asyncio
import importlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import ray
from ray.exceptions import ActorDiedError, RayActorError, RayTaskError
from ray.util import list_named_actors

from taske_ray.errors import TaskeError, Unavailable

NAMESPACE: Final = "taske"
SUPERVISOR: Final = "TriggerSupervisor"

PING_LIMIT_S: Final = 3.0

Handle = Any
"""Ray's `ActorHandle`: its stubs type each method by the class, and here one name serves all classes."""

_NAMED: Final[dict[str, Any]] = {
    "namespace": NAMESPACE,
    "lifetime": "detached",  # outlives whoever spawned it
    "get_if_exists": True,  # spawning twice gives the same actor
}
_OPTIONS: Final[dict[str, Any]] = {
    "max_restarts": -1,
    "max_task_retries": 0,  # Ray never repeats a call: only we know what may be sent twice
    "max_concurrency": 2000,
    "num_cpus": 0.01,  # with 0 Ray would place it at random
    "enable_task_events": False,
}


class ActorLost(Unavailable):
    """The actor is dead, restarting or unreachable; whether it did what it was asked is unknown."""

    code = "actor_lost"


class ActorEnded(ActorLost):
    """The actor was ended for good, by somebody who meant it: Ray starts no other."""

    code = "actor_ended"


@dataclass(frozen=True, slots=True)
class Node:
    """A living machine of the cluster."""

    id: str
    address: str


@dataclass(frozen=True, slots=True)
class HostRef:
    """A living host: its name, the node it is pinned to, and the handle to call it by."""

    name: str
    node: str
    handle: Handle


@dataclass(frozen=True, slots=True)
class Blueprint:
    """What a host of one kind is made of: a plain class and its arguments, without secrets: a process reads its own.

    The class may be named instead (`module:Class`): then only the actor's own process imports it.
    """

    cls: type | str
    args: tuple[Any, ...] = ()


def connect(address: str, **options: Any) -> None:
    """Join the cluster at `address` (`local` starts one); does nothing in a process that is in a cluster already.

    Never guesses an address: without one Ray would join whatever cluster it finds on this machine.
    """
    if not ray.is_initialized():
        ray.init(address=address, namespace=NAMESPACE, log_to_driver=False, **options)


async def nodes() -> list[Node]:
    """The machines that are alive."""
    found = await asyncio.to_thread(ray.nodes)
    return [Node(node["NodeID"], node["NodeManagerAddress"]) for node in found if node["Alive"]]


async def find(name: str, namespace: str = NAMESPACE) -> Handle | None:
    """The actor of that name, or None."""
    try:
        return await asyncio.to_thread(ray.get_actor, name, namespace)
    except ValueError:
        return None


async def call(handle: Handle, method: str, *args: Any, timeout_s: float | None = None) -> Any:
    """Await `method(*args)` of an actor spawned here.

    Raises what the method raised, ActorLost if the actor went away meanwhile, and TimeoutError.
    """
    try:
        async with asyncio.timeout(timeout_s):
            return await handle.invoke.remote(method, args)
    except RayTaskError as failed:
        raise _cause(failed) from None
    except RayActorError as lost:
        raise ActorLost(f"{method}: {type(lost).__name__}") from None


async def ping(handle: Handle, *, ours: bool = True, limit_s: float = PING_LIMIT_S) -> int | None:
    """The id of the actor's process, if it answers now; raises ActorEnded if it never will again."""
    try:
        async with asyncio.timeout(limit_s):
            pid: int = await (handle.ping.remote() if ours else handle.__ray_call__.remote(_process_id))
    except ActorDiedError:
        raise ActorEnded("it was ended for good") from None
    except (RayActorError, TimeoutError):
        return None
    return pid


def _process_id(_actor: Any) -> int:
    """What an actor that is not ours is asked."""
    return os.getpid()


async def restart(handle: Handle) -> None:
    """End the actor's process, for Ray to start another; one that hangs is gone after five seconds."""
    await asyncio.to_thread(ray.kill, handle, no_restart=False)


def this_node() -> str:
    """The node of this process."""
    node: str = ray.get_runtime_context().get_node_id()
    return node


async def names(namespace: str = NAMESPACE) -> Sequence[str]:
    """The actors that have a name: all but those that were ended for good."""
    found: list[dict[str, str]] = await asyncio.to_thread(list_named_actors, all_namespaces=True)
    return [actor["name"] for actor in found if actor["namespace"] == namespace]


async def kill(name: str) -> None:
    """End the actor for good, without its knowing; ask it to stop first if it has something to finish."""
    handle = await find(name)
    if handle is not None:
        await asyncio.to_thread(ray.kill, handle, no_restart=True)


async def kill_all() -> None:
    """End every actor of ours; for leaving a cluster that lives on."""
    await asyncio.gather(*(kill(name) for name in await names()))


async def spawn_supervisor(cls: type | str, *args: Any) -> Handle:
    """The one supervisor: near the head node while that lives, anywhere afterwards."""
    handle = _spawn(
        Blueprint(cls, args),
        SUPERVISOR,
        label_selector={"ray.io/node-id": this_node()},
        fallback_strategy=[{"label_selector": {}}],
    )
    await handle.ping.remote()  # a detached actor whose creator ends before it runs is lost with it
    return handle


def spawn_host(name: str, node_id: str, blueprint: Blueprint) -> Handle:
    """A host of that name, pinned to one node; the same one if it exists. Its class is given both, then its arguments.

    Returns before it runs: whoever spawns hosts outlives their start, or is started again and finds them.
    """
    made = Blueprint(blueprint.cls, (name, node_id, *blueprint.args))
    return _spawn(made, name, label_selector={"ray.io/node-id": node_id})


def _spawn(blueprint: Blueprint, name: str, **placement: Any) -> Handle:
    remote: Any = ray.remote(**_OPTIONS)
    actor = remote(_hosted(blueprint.cls)).options(**_NAMED, **placement, name=name)
    spawned: Handle = actor.remote(*blueprint.args)
    return spawned


def _cause(failed: RayTaskError) -> BaseException:
    cause = failed.cause
    return cause if isinstance(cause, TaskeError) else failed


def _hosted(plain: type | str) -> type:
    """A class by the same name, for Ray's process titles, whose instances hold one of the plain class."""

    def hold(self: _Hosted, *args: Any) -> None:
        _Hosted.__init__(self, plain, args)

    name = plain.rpartition(":")[2] if isinstance(plain, str) else plain.__name__
    return type(name, (_Hosted,), {"__init__": hold})


class _Hosted:
    """A plain class and the two methods by which this file speaks to it."""

    def __init__(self, plain: type | str, args: tuple[Any, ...]) -> None:
        self._actor = _class(plain)(*args)
        self._starting: asyncio.Task[None] | None = None

    async def invoke(self, method: str, args: tuple[Any, ...]) -> Any:
        """Start on the first call of this incarnation, then pass the call on."""
        await asyncio.shield(self._begun())
        return await getattr(self._actor, method)(*args)

    async def ping(self) -> int:
        """Answer with the process id, and begin to start if nothing else did."""
        self._begun()
        return os.getpid()

    def _begun(self) -> "asyncio.Task[None]":
        last = self._starting
        if last is None or (last.done() and (last.cancelled() or last.exception() is not None)):
            self._starting = asyncio.ensure_future(self._actor.start())
        assert self._starting is not None
        return self._starting


def _class(plain: type | str) -> Any:
    if isinstance(plain, type):
        return plain
    module, _, name = plain.partition(":")
    return getattr(importlib.import_module(module), name)
