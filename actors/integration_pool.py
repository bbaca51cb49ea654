"""The pool of IntegrationClients from the side of a host: which member takes a call, and what if it dies.

The same connection is always served by the same client, so that refresh is single-flight and rate limits are exact.
Calls travel in batches and are answered in batches, each as soon as it is done: a slow API holds up nobody else. A
client keeps an outcome until it is acknowledged, for whoever takes the run over before it was recorded.
"""

import asyncio
import logging
from collections import defaultdict
from dataclasses import dataclass
from uuid import UUID

from actors.cluster import ActorLost
from actors.directory import Directory
from actors.outbox import Outbox
from taske_ray.core.call import Call
from taske_ray.core.outcome import ErrorClass, Failed, Outcome, Unknown
from taske_ray.errors import Unavailable

_grace_s = 15.0
_shunned_s = 5.0
_last_words_s = 1.0
Reply = tuple[str, Outcome]
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Question:
    """A call whose outcome was not recorded, asked of `client`, the one that its intent names.

    Asked by the owner of the run with `fence`: older owners can start no call of the run there any more. `age_s` is how
    long ago the intent was written, `timeout_s` how long the call may be in flight.
    """

    call_id: str
    client: UUID
    run_id: str
    fence: int
    age_s: float
    timeout_s: float


class IntegrationPool:
    """Calls of one host. `reply_to` is the name under which the clients send outcomes back, to its `outcomes`.

    `by_user`: all calls of a user go to one client, so that what a user may do to a host is counted in one place.
    """

    def __init__(self, directory: Directory, *, reply_to: str, by_user: bool = False) -> None:
        self._directory = directory
        self._by_user = by_user
        self._reply_to = reply_to
        self._outboxes: dict[UUID, Outbox[Call]] = {}
        self._waiting: dict[str, asyncio.Future[Outcome]] = {}
        self._at: defaultdict[UUID, set[str]] = defaultdict(set)
        self._watches: dict[UUID, asyncio.Task[None]] = {}
        self._shunned: dict[UUID, float] = {}
        self._recorded: defaultdict[UUID, list[str]] = defaultdict(list)

    @property
    def in_flight(self) -> int:
        """How many calls have no outcome yet."""
        return len(self._waiting)

    async def choose(self, user_id: UUID, connection_id: UUID | None, call_id: str) -> UUID | None:
        """The client that a call belongs to; None when there is none. An intent names it before the call is made."""
        key = client_key(user_id, connection_id, call_id, by_user=self._by_user)
        client = self._pick(key)
        if client is None:  # early after a start: look once more before the call is put off
            try:
                await self._directory.look()
            except Unavailable:
                return None
            client = self._pick(key)
        return client

    def _pick(self, key: bytes) -> UUID | None:
        """A client that died a moment ago may stand in the rows still: its calls go where they will go without it."""
        now = asyncio.get_running_loop().time()
        return self._directory.pick("client", key, without={one for one, until in self._shunned.items() if until > now})

    async def perform(self, call: Call, at: UUID | None = None) -> Outcome:
        """Hand the call to its client and return the outcome; whatever happens to the client, there is one.

        `at` is the client that the call's intent names: no other may make it.
        """
        client = at or await self.choose(call.user_id, call.connection_id, call.id)
        if client is None or not self._is_live(client) or not self._outbox(client).put(call):
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

    async def adopt(self, question: Question) -> Outcome | None:
        """What became of a call of an earlier owner of its run, waited for while it is in flight (durability, 6.4).

        A call that its client never had is `never_began`. None: nobody can tell.
        """
        if not self._is_live(question.client):  # perhaps it began after our last look
            await self._directory.look()
        if not self._is_live(question.client):
            _log.info("nobody can tell what became of %s: its client is gone", question.call_id)
            return None
        try:
            answer: Outcome | None = await self._directory.call(
                question.client, "outcome_of", question, timeout_s=question.timeout_s + _grace_s
            )
        except (ActorLost, TimeoutError) as error:
            _log.info("a client could not tell what became of %s: %s", question.call_id, error)
            return None
        return answer

    def acknowledge(self, call_id: str, client: UUID) -> None:
        """The call's outcome is recorded: its client is told with the next calls, or within seconds."""
        self._recorded[client].append(call_id)

    async def tell_recorded(self) -> None:
        """Acknowledge to the clients that get no calls now."""
        for client in list(self._recorded):
            ids = self._recorded.pop(client)
            try:
                await self._directory.call(client, "submit", client, self._reply_to, [], ids, timeout_s=_grace_s)
            except (ActorLost, TimeoutError):
                continue  # its outcomes went with it, or are forgotten in time

    def outcomes(self, replies: list[Reply]) -> None:
        """Take what a client sends back; outcomes that nobody waits for are ignored."""
        for call_id, outcome in replies:
            self._settle(call_id, outcome)

    def left(self, client: UUID) -> None:
        """A client is not live any more: what it answered last may still be on its way."""
        self._shun(client)
        asyncio.get_running_loop().call_later(_last_words_s, self.gone, client)

    def gone(self, client: UUID) -> None:
        """A client's process is gone: nobody can know what became of its calls.

        New calls are not handed to it for a while, in which the rows say who is live now: they are not sent and wait.
        """
        self._shun(client)
        watch = self._watches.pop(client, None)
        if watch is not None:
            watch.cancel()
        self._outboxes.pop(client, None)
        self._recorded.pop(client, None)
        for call_id in self._at.pop(client, ()):
            self._settle(call_id, Unknown("The integration client died while the call was open.", "client_lost"))

    def _shun(self, client: UUID) -> None:
        now = asyncio.get_running_loop().time()
        self._shunned = {one: until for one, until in self._shunned.items() if until > now}
        self._shunned[client] = now + _shunned_s

    def _is_live(self, client: UUID) -> bool:
        shunned = asyncio.get_running_loop().time() < self._shunned.get(client, 0.0)
        return not shunned and any(host.id == client for host in self._directory.of_kind("client"))

    def _settle(self, call_id: str, outcome: Outcome) -> None:
        answer = self._waiting.get(call_id)
        if answer is not None and not answer.done():
            answer.set_result(outcome)

    def _outbox(self, client: UUID) -> Outbox[Call]:
        outbox = self._outboxes.get(client)
        if outbox is None:

            async def send(batch: list[Call]) -> None:
                recorded = self._recorded.pop(client, [])
                await self._directory.call(client, "submit", client, self._reply_to, batch, recorded)

            outbox = self._outboxes[client] = Outbox(send, turn=lambda call: call.user_id, lost=self._lost)
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


def client_key(user_id: UUID, connection_id: UUID | None, call_id: str, *, by_user: bool) -> bytes:
    """What decides which client makes a call: its connection, so that refresh and rate limits are in one place."""
    if by_user:
        return user_id.bytes
    return connection_id.bytes if connection_id else call_id.encode()


def _not_taken(message: str) -> Failed:
    return Failed(ErrorClass.TRANSIENT, "no_client", message, sent=False)
