"""How services in the deployments reach the actors: the ports of `taske_ray/services/ports.py`, kept over Ray."""

import asyncio
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from actors import cluster
from actors.cluster import ActorLost
from actors.directory import Directory
from actors.integration_pool import client_key
from actors.outbox import Outbox
from taske_ray.core.call import Call
from taske_ray.core.outcome import ErrorClass, Failed, Outcome, Unknown
from taske_ray.db.database import Database
from taske_ray.db.fire_values import AssignedRun
from taske_ray.limits import Limits

_parts = ("run", "client")
revoke_s = 8.0


class ServicePorts:
    """Run hosts, watchers, calls and readiness in one object: each is a few lines over the directory."""

    def __init__(self, database: Database, limits: Limits) -> None:
        self._directory = Directory(database)
        self._by_user = limits.by_user
        self._changes: Outbox[None] = Outbox(self._tell_supervisor)
        self._supervisor: cluster.Handle | None = None
        self._looking: asyncio.Task[None] | None = None

    async def open(self) -> "ServicePorts":
        """Begin to follow which hosts are live."""
        self._looking = asyncio.create_task(self._directory.keep())
        return self

    async def close(self) -> None:
        """Stop following."""
        if self._looking is not None:
            self._looking.cancel()

    def pick(self, key: bytes) -> UUID | None:
        """The run host that `key` belongs to, unless it has more than enough to take."""
        return self._directory.taker(key)

    def assigned(self, run: AssignedRun) -> None:
        """Nudge the run's host to start it."""
        self._directory.nudge(run.host, "take", run)

    def queued(self) -> None:
        """Nudge the hosts to claim."""
        for host in self._directory.of_kind("run"):
            self._directory.nudge(host.id, "claim", None)

    def changed(self) -> None:
        """Nudge the supervisor."""
        self._changes.put(None)

    async def perform(self, call: Call) -> Outcome:
        """Make a call that a person waits for."""
        key = client_key(call.user_id, call.connection_id, call.id, by_user=self._by_user)
        return await self._ask(key, "perform", call, timeout_s=call.timeout_s + 5)

    async def test_connection(self, user_id: UUID, connection_id: UUID) -> Outcome:
        """Make a connection's test request."""
        key = client_key(user_id, connection_id, "", by_user=self._by_user)
        return await self._ask(key, "test_connection", user_id, connection_id, timeout_s=35.0)

    async def connect(self, user_id: UUID, connection_id: UUID, consent_id: UUID) -> Outcome:
        """Exchange the code of a consent."""
        key = client_key(user_id, connection_id, "", by_user=self._by_user)
        return await self._ask(key, "connect", user_id, consent_id, timeout_s=75.0)

    async def authorize_url(self, user_id: UUID, consent_id: UUID, *, state: str, challenge: str) -> Outcome:
        """Where to send a user, where that takes secrets."""
        return await self._ask(user_id.bytes, "authorize_url", user_id, consent_id, state, challenge, timeout_s=15.0)

    async def revoke(self, user_id: UUID, connection_id: UUID) -> bool:
        """Have the provider forget a connection's tokens; a provider that is slow does not hold up its deletion."""
        client = self._directory.pick("client", client_key(user_id, connection_id, "", by_user=self._by_user))
        if client is None:
            return False
        try:
            return bool(await self._directory.call(client, "revoke", user_id, connection_id, timeout_s=revoke_s))
        except (ActorLost, TimeoutError):
            return False

    async def revoke_all(self, user_id: UUID) -> int:
        """Have the providers forget all tokens of a user; they do not hold up the end of the account."""
        client = self._directory.pick("client", user_id.bytes)
        if client is None:
            return 0
        try:
            return int(await self._directory.call(client, "revoke_all", user_id, revoke_s, timeout_s=revoke_s + 1))
        except (ActorLost, TimeoutError):
            return 0

    async def parts(self) -> dict[str, bool]:
        """Which parts answer: the supervisor, and a live host of each kind."""
        try:
            counts = await cluster.call(await self._find_supervisor(), "ready", timeout_s=3.0)
        except (ActorLost, TimeoutError):
            self._supervisor = None
            counts = {}
        names = {"run": "run_hosts", "client": "integration_clients"}
        hosts = {names[kind]: bool(counts.get(kind) and self._directory.of_kind(kind)) for kind in _parts}
        return {"supervisor": bool(counts), "watchers": bool(counts.get("watcher")), **hosts}

    async def figures(self) -> dict[str, Any]:
        """Live counts of every host, by its name."""
        try:
            found: dict[str, Any] = await cluster.call(await self._find_supervisor(), "stats", timeout_s=5.0)
        except (ActorLost, TimeoutError):
            self._supervisor = None
            return {}
        return found

    async def _ask(self, key: bytes, method: str, *args: Any, timeout_s: float) -> Outcome:
        client = self._directory.pick("client", key)
        if client is None:
            return Failed(ErrorClass.TRANSIENT, "no_client", "No integration client is up right now.", sent=False)
        try:
            outcome: Outcome = await self._directory.call(client, method, *args, timeout_s=timeout_s)
        except (ActorLost, TimeoutError):
            return Unknown("The integration client was lost or did not answer in time.", "client_lost")
        return outcome

    async def _tell_supervisor(self, _changes: list[None]) -> None:
        try:
            await cluster.call(await self._find_supervisor(), "changed", timeout_s=5.0)
        except ActorLost:
            self._supervisor = None  # a new one reads the rows anyway
            raise

    async def _find_supervisor(self) -> cluster.Handle:
        if self._supervisor is None:
            self._supervisor = await cluster.find(cluster.SUPERVISOR)
        if self._supervisor is None:
            raise ActorLost("the supervisor is not up")
        return self._supervisor


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports under the names that services know; one object keeps them all."""

    run_hosts: ServicePorts
    watchers: ServicePorts
    calls: ServicePorts
    consents: ServicePorts
    readiness: ServicePorts


async def connect_ports(database: Database, limits: Limits) -> Ports:
    """The ports of one deployment's process."""
    ports = await ServicePorts(database, limits).open()
    return Ports(ports, ports, ports, ports, ports)
