"""Everything Ray, in one file: names, options, how an actor is spawned, found, called and ended.

The other files of this package hold plain classes; `spawn_supervisor` and `Hosts` make Ray actors of them. Such a
class has `async start()`, which runs once per incarnation before the first call is let through, so that an actor that
Ray restarted needs nobody to start it again. Ray decides where a process runs and restarts it; who *owns* what is
decided by leases in PostgreSQL alone, because in a partition Ray may run the old and the new copy at once.
"""

import asyncio
import contextlib
import importlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import psutil
import ray
from ray.exceptions import ActorDiedError, RayActorError, RayTaskError
from ray.util import list_named_actors

from taske_ray.errors import TaskeError, Unavailable

NAMESPACE: Final = "taske"
SUPERVISOR: Final = "TriggerSupervisor"

PING_LIMIT_S: Final = 3.0
START_LIMIT_S: Final = 60.0
SILENT_PINGS: Final = 5
"""A host that misses so many in a row is stuck: it is ended for Ray to start afresh. Its work is leased, not lost.

One a round of a ping and a second: 20 s and more, so that a stuck watcher host is replaced within the 45 s of D5."""

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


async def find(name: str) -> Handle | None:
    """The actor of that name, or None."""
    try:
        return await asyncio.to_thread(ray.get_actor, name, NAMESPACE)
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


async def ping(handle: Handle) -> int | None:
    """The id of the actor's process, if it answers now; raises ActorDiedError if it never will again."""
    try:
        async with asyncio.timeout(PING_LIMIT_S):
            pid: int = await handle.ping.remote()
    except ActorDiedError:
        raise
    except (RayActorError, TimeoutError):
        return None
    return pid


async def kill(name: str) -> None:
    """End the actor for good, without its knowing; ask it to stop first if it has something to finish."""
    handle = await find(name)
    if handle is not None:
        await asyncio.to_thread(ray.kill, handle, no_restart=True)


async def kill_all() -> None:
    """End every actor of ours; for leaving a cluster that lives on."""
    await asyncio.gather(*(kill(name) for name in await asyncio.to_thread(list_named_actors)))


async def spawn_supervisor(cls: type | str, *args: Any) -> Handle:
    """The one supervisor: near the head node while that lives, anywhere afterwards."""
    selector = {"ray.io/node-id": ray.get_runtime_context().get_node_id()}
    handle = _spawn(
        Blueprint(cls, args), SUPERVISOR, label_selector=selector, fallback_strategy=[{"label_selector": {}}]
    )
    await _alive(handle)
    return handle


async def spawn_host(name: str, node_id: str, cls: type | str, *args: Any) -> Handle:
    """A host of that name, pinned to one node; the same one if it exists. Its class is given both, then `args`."""
    handle = _spawn(Blueprint(cls, (name, node_id, *args)), name, label_selector={"ray.io/node-id": node_id})
    await _alive(handle)
    return handle


@dataclass(slots=True)
class Hosts:
    """The supervisor's port to the cluster: so many hosts of each kind on every living node."""

    blueprints: Mapping[str, Blueprint]
    _known: dict[str, HostRef] = field(default_factory=dict)
    _missed: dict[str, int] = field(default_factory=dict)
    _spawning: dict[str, asyncio.Task[HostRef | None]] = field(default_factory=dict)
    _processes: dict[str, psutil.Process] = field(default_factory=dict)

    async def ensure_hosts(self, kind: str, count_per_node: int) -> list[HostRef]:
        """Spawn what is missing, end what stood on vanished nodes, and return the hosts that answer.

        Call it again and again: a host that Ray is restarting is absent from the answer and back in a later one.
        """
        living = await nodes()
        wanted = {f"{kind}-{node.id[:16]}-{number}": node.id for node in living for number in range(count_per_node)}
        await asyncio.gather(*(self._end(name) for name in await self._present(kind) if name not in wanted))
        found = await asyncio.gather(*(self._ensure(kind, name, node) for name, node in wanted.items()))
        return [host for host in found if host is not None]

    async def _ensure(self, kind: str, name: str, node: str) -> HostRef | None:
        known = self._known.get(name)
        if known is None:
            return await self._spawned(kind, name, node)
        try:
            return known if await self._answers(known) else None
        except ActorDiedError:
            del self._known[name]  # ended for good by somebody: the next round spawns another
            return None

    async def _spawned(self, kind: str, name: str, node: str) -> HostRef | None:
        """The host that is being spawned, if it comes in a moment: a process that hangs must not hold up the others."""
        if name not in self._spawning:
            self._spawning[name] = asyncio.create_task(self._spawn(kind, name, node))
        done, _ = await asyncio.wait([self._spawning[name]], timeout=PING_LIMIT_S)
        return self._spawning.pop(name).result() if done else None

    async def _spawn(self, kind: str, name: str, node: str) -> HostRef | None:
        blueprint = self.blueprints[kind]
        try:
            async with asyncio.timeout(START_LIMIT_S):
                handle = await spawn_host(name, node, blueprint.cls, *blueprint.args)
        except (RayActorError, TimeoutError):
            return None  # its node is going, or the machine is busy: the next round sees
        self._known[name] = HostRef(name, node, handle)
        return self._known[name]

    async def _answers(self, host: HostRef) -> bool:
        pid = await ping(host.handle)
        if pid is not None:
            self._missed[host.name] = 0
            self._remember(host, pid)
            return True
        self._missed[host.name] = self._missed.get(host.name, 0) + 1
        if self._missed[host.name] >= SILENT_PINGS:
            self._missed[host.name] = 0
            await asyncio.to_thread(ray.kill, host.handle, no_restart=False)
            self._end_process(host.name)
        return False

    def _remember(self, host: HostRef, pid: int) -> None:
        """The process behind a host, where it is one of this machine."""
        last = self._processes.get(host.name)
        if (last is None or last.pid != pid) and host.node == ray.get_runtime_context().get_node_id():
            with contextlib.suppress(psutil.Error):
                self._processes[host.name] = psutil.Process(pid)

    def _end_process(self, name: str) -> None:
        """Ray asks a process to end itself, which a frozen one cannot; psutil knows a new process by an old number."""
        process = self._processes.pop(name, None)
        if process is not None:
            with contextlib.suppress(psutil.Error):
                process.kill()

    async def _end(self, name: str) -> None:
        self._known.pop(name, None)
        await kill(name)

    async def _present(self, kind: str) -> Sequence[str]:
        named = await asyncio.to_thread(list_named_actors)
        return [name for name in named if name.startswith(f"{kind}-")]


def _spawn(blueprint: Blueprint, name: str, **placement: Any) -> Handle:
    remote: Any = ray.remote(**_OPTIONS)
    actor = remote(_hosted(blueprint.cls)).options(**_NAMED, **placement, name=name)
    spawned: Handle = actor.remote(*blueprint.args)
    return spawned


async def _alive(handle: Handle) -> None:
    """Wait until the process runs: a detached actor whose creator ends before that is lost with it."""
    await handle.ping.remote()


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
