"""IntegrationClient: the pooled actor that makes calls, its connections warm; only its process opens credentials.

It takes calls in batches and answers in batches, each call as soon as it is done. Killed with calls in flight, it
leaves outcomes that nobody can know; the hosts that wait learn of its death within a second and decide by policy. The
mails of the outbox are sent from here, too.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from actors.call_trail import CallTrail
from actors.connection_resolver import CatalogOfCalls, ConnectionResolver
from actors.consent_store import ConsentStore
from actors.data_keys import DataKeys
from actors.directory import Directory
from actors.host_process import HostProcess, drain_s
from actors.integration_pool import Question
from actors.mail_sender import MailSender
from actors.replies import Replies
from actors.subscriptions import SubscriptionKeeper
from actors.token_store import TokenStore
from taske_ray.core.call import Call
from taske_ray.core.outcome import ErrorClass, Failed, Outcome
from taske_ray.core.retry import never_began
from taske_ray.crash_points import reach
from taske_ray.db.mail_outbox import MailOutbox
from taske_ray.integrations.client import IntegrationClient as Client
from taske_ray.integrations.connector import Connector
from taske_ray.integrations.executors.imap import Imap
from taske_ray.integrations.executors.postgres import Postgres
from taske_ray.integrations.executors.smtp import SmtpAccount
from taske_ray.integrations.own import open_guard, own_urls
from taske_ray.integrations.sending import Conduct
from taske_ray.integrations.transport import Transport
from taske_ray.services.master_key import open_keyring
from taske_ray.services.sealing import Sealer
from taske_ray.services.trail import Trail

_look_s = 0.05
_mail_s = 1.0
_subscriptions_s = 1.0


class IntegrationClient:
    """One member of the pool."""

    def __init__(self, name: str, node: str) -> None:
        self._process = HostProcess("client", name, node)
        self._replies = Replies()
        self._calls: set[asyncio.Task[None]] = set()
        self._draining = False

    async def start(self) -> None:
        """Register, and begin to take calls and to send mails."""
        process = self._process
        capacity = process.settings.density.calls_per_client
        self._directory = Directory(process.database)
        await process.open(capacity=capacity, lost=self._lost, directory=self._directory)
        self._assemble(capacity)
        self._trail = Trail(process.database)
        self._audit = CallTrail(self._trail)
        process.every(lambda: _look_s, self._client.keep_quick)
        process.every(lambda: _subscriptions_s, self._subscriptions().work)
        if process.settings.smtp_url:
            process.every(lambda: _mail_s, self._mails(process.settings.smtp_url).work)

    def _assemble(self, capacity: int) -> None:
        """What makes calls and connections, over one transport and one set of opened keys."""
        process, settings = self._process, self._process.settings
        keyring = open_keyring(settings, ["credentials"])
        transport = Transport(guard=open_guard(settings), connections=2 * capacity, own_urls=own_urls(settings))
        database, keys = process.database, DataKeys(process.database, keyring)
        sealer = Sealer(database, keyring)
        capabilities = CatalogOfCalls(process.capabilities)
        connections = ConnectionResolver(database, keys, url=settings.url)
        tokens = TokenStore(database, keys, sealer, client=lambda: process.lease.host_id)
        self._client = Client(
            capabilities=capabilities,
            connections=connections,
            tokens=tokens,
            transport=transport,
            clock=process.clock,
            database_time=process.lease.now_s,
            conduct=Conduct(
                limits=settings.limits,
                room=capacity,
                retries_per_s=1 / settings.density.integration_clients,
                lease_end=self._lease_end,
            ),
            internal={"smtp_account": SmtpAccount(transport), "imap": Imap(transport), "postgres": Postgres(transport)},
        )
        self._connector = Connector(
            capabilities=capabilities,
            connections=connections,
            consents=ConsentStore(database, keys, sealer),
            tokens=tokens,
            send=self._client.ask,
            database_time=process.lease.now_s,
        )

    def _subscriptions(self) -> SubscriptionKeeper:
        process, settings = self._process, self._process.settings
        return SubscriptionKeeper(
            process.database,
            client=self._client,
            cache=process.capabilities,
            sealer=Sealer(process.database, open_keyring(settings, ["hooks"])),
            url=settings.url,
        )

    def _mails(self, smtp_url: str) -> MailSender:
        process = self._process
        outbox = MailOutbox(process.database)
        return MailSender(outbox, smtp_url=smtp_url, sender=process.settings.mail_from, now_s=process.lease.now_s)

    async def submit(self, to: UUID, reply_to: str, calls: list[Call], recorded: Sequence[str] = ()) -> None:
        """Begin these calls; each outcome goes to the `outcomes` of the actor named `reply_to`.

        They were meant for the client `to`. When that one is gone and Ray has started this process in its place, none
        is begun: their intents name the other, of whom nobody could learn what became of them. `recorded` are earlier
        calls whose outcomes are in the database.
        """
        self._client.acknowledge(recorded)
        if self._draining or to != self._process.lease.host_id:
            for call in calls:
                self._replies.put(reply_to, (call.id, _leaving()))
            return
        for call in calls:
            task = asyncio.get_running_loop().create_task(self._answer(reply_to, replace(call, client=to)))
            self._calls.add(task)
            task.add_done_callback(self._calls.discard)

    def _lease_end(self, call: Call) -> float | None:
        """Until when a call may send: within its caller's lease, as far as that has been renewed, and within our own.

        When ours has run out, the caller has given us up and sent it elsewhere.
        """
        if call.lease_ends_at is None:
            return None
        ours = self._process.lease
        if call.client not in (None, ours.host_id):
            return 0.0
        renewed = None if call.host is None else self._directory.lease_end(call.host)
        return min(max(call.lease_ends_at, renewed or 0.0), ours.ends_at)

    async def perform(self, call: Call) -> Outcome:
        """Make one call that somebody waits for."""
        if self._draining:
            return _leaving()
        outcome = await self._client.perform(call)
        self._audit.saw(call, outcome)
        self._client.acknowledge([call.id])
        return outcome

    async def outcome_of(self, question: Question) -> Outcome | None:
        """What became of a call, for the new owner of its run; None where this process cannot tell."""
        if question.client != self._process.lease.host_id:
            return None  # the client that was meant is gone: Ray started this process in its place
        found = await self._client.outcomes_of(
            question.call_id, run_id=question.run_id, fence=question.fence, age_s=question.age_s
        )
        if found is None:
            message = "The process that meant to make this call died before; nothing was sent."
            return Failed(ErrorClass.TRANSIENT, never_began, message, sent=False)
        return found

    async def test_connection(self, user_id: UUID, connection_id: UUID) -> Outcome:
        """Make a connection's test request."""
        return await self._client.test_connection(user_id, connection_id)

    async def connect(self, user_id: UUID, consent_id: UUID) -> Outcome:
        """Exchange the code that a user came back with, and make their connection."""
        return await self._connector.connect(user_id, consent_id)

    async def authorize_url(self, user_id: UUID, consent_id: UUID, state: str, challenge: str) -> Outcome:
        """Where to send a user, where that takes secrets."""
        return await self._connector.authorize_url(user_id, consent_id, state=state, challenge=challenge)

    async def revoke(self, user_id: UUID, connection_id: UUID) -> bool:
        """Have the provider forget the tokens of a connection that is about to be deleted."""
        return await self._connector.revoke(user_id, connection_id)

    async def revoke_all(self, user_id: UUID, within_s: float) -> int:
        """Have the providers forget the tokens of a user who is about to go; how many did in that time."""
        return await self._connector.revoke_all(user_id, within_s)

    async def watch(self) -> None:
        """Never return: whoever waits learns at once when this process ends."""
        await asyncio.Event().wait()

    async def stats(self) -> dict[str, Any]:
        """Live counts, for metrics."""
        return {"calls_in_flight": self._client.in_flight}

    async def stop(self, within_s: float = drain_s) -> None:
        """Take no more calls, let those in flight end for a while, send their outcomes, end the lease."""
        self._draining = True
        if self._calls:
            await asyncio.wait(self._calls, timeout=within_s)
        await self._replies.close()
        await self._client.close()
        await self._trail.close()
        await self._process.close()

    async def _answer(self, reply_to: str, call: Call) -> None:
        reach("C9.client")
        outcome = await self._client.perform(call)
        self._audit.saw(call, outcome)
        reach("C11.client")
        if not call.run_id:  # a poll: whoever takes it over asks the service again
            self._client.acknowledge([call.id])
        self._replies.put(reply_to, (call.id, outcome))

    async def _lost(self) -> None:
        """Declared dead: calls in flight end by themselves, and new ones carry leases of their own."""


def _leaving() -> Failed:
    """A call that comes too late waits a moment: another client, or this one's next process, makes it."""
    return Failed(ErrorClass.TRANSIENT, "no_client", "The integration client has ended or is about to.", sent=False)
