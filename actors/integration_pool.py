"""The pool of IntegrationClients from the side of a host: which member takes a call, and what if it dies.

The same connection is always served by the same client, so that refresh is single-flight and rate limits are exact.
Calls travel in batches and are answered in batches, each as soon as it is done: a slow API holds up nobody else.
"""

import asyncio
import logging
from collections import defaultdict
from uuid import UUID

from actors.cluster import ActorLost
from actors.directory import Directory
from actors.outbox import Outbox
from taske_ray.core.call import Call
from taske_ray.core.outcome import ErrorClass, Failed, Outcome, Unknown

_grace_s = 15.0
Reply = tuple[str, Outcome]
_log = logging.getLogger(__name__)


class IntegrationPool:
    """Calls of one host. `reply_to` is the name under which the clients send outcomes back, to its `outcomes`."""

    def __init__(self, directory: Directory, *, reply_to: str) -> None:
        self._directory = directory
        self._reply_to = reply_to
        self._outboxes: dict[UUID, Outbox[Call]] = {}
        self._waiting: dict[str, asyncio.Future[Outcome]] = {}
        self._at: defaultdict[UUID, set[str]] = defaultdict(set)
        self._watches: dict[UUID, asyncio.Task[None]] = {}

    @property
    def in_flight(self) -> int:
        """How many calls have no outcome yet."""
        return len(self._waiting)

    async def perform(self, call: Call) -> Outcome:
        """Hand the call to its client and return the outcome; whatever happens to the client, there is one."""
        client = await self._client_for(call)
        if client is None or not self._outbox(client).put(call):
            return _not_taken("No integration client has room right now.")
        answer: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting[call.id] = answer
        self._at[client].add(call.id)
        try:
            async with asyncio.timeout(call.timeout_s + _grace_s):
                return await answer
        except TimeoutError:
            return Unknown("The integration client did not answer in time.")
        finally:
            self._waiting.pop(call.id, None)
            self._at[client].discard(call.id)

    def outcomes(self, replies: list[Reply]) -> None:
        """Take what a client sends back; outcomes that nobody waits for are ignored."""
        for call_id, outcome in replies:
            self._settle(call_id, outcome)

    def gone(self, client: UUID) -> None:
        """A client's process is gone: nobody can know what became of its calls."""
        watch = self._watches.pop(client, None)
        if watch is not None:
            watch.cancel()
        self._outboxes.pop(client, None)
        for call_id in self._at.pop(client, ()):
            self._settle(call_id, Unknown("The integration client died while the call was open.", "client_lost"))

    async def _client_for(self, call: Call) -> UUID | None:
        key = call.connection_id.bytes if call.connection_id else call.id.encode()
        client = self._directory.pick("client", key)
        if client is None:  # early after a start: look once more before the call is put off
            await self._directory.look()
            client = self._directory.pick("client", key)
        return client

    def _settle(self, call_id: str, outcome: Outcome) -> None:
        answer = self._waiting.get(call_id)
        if answer is not None and not answer.done():
            answer.set_result(outcome)

    def _outbox(self, client: UUID) -> Outbox[Call]:
        outbox = self._outboxes.get(client)
        if outbox is None:

            async def send(batch: list[Call]) -> None:
                await self._directory.call(client, "submit", self._reply_to, batch)

            outbox = self._outboxes[client] = Outbox(send, lost=self._lost)
            self._watches[client] = asyncio.create_task(self._watch(client))
        return outbox

    def _lost(self, batch: list[Call], error: Exception) -> None:
        _log.warning("%d calls did not reach their client for certain: %s", len(batch), error)
        for call in batch:
            self._settle(call.id, Unknown("The integration client was lost while it took the call.", "client_lost"))

    async def _watch(self, client: UUID) -> None:
        """A call that ends only with the client: the fastest way to learn of its death."""
        try:
            await self._directory.call(client, "watch")
        except ActorLost:
            self._watches.pop(client, None)
            self.gone(client)


def _not_taken(message: str) -> Failed:
    return Failed(ErrorClass.TRANSIENT, "no_client", message, sent=False)
