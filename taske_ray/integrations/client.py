"""Performing calls: look the capability up, open the connection, hold the conversation, name the outcome.

A plain class; one per process, on one event loop. It is the only place where credentials are in plain text, for the
length of a call. Nothing that a service answers raises; retries belong to the engine.
"""

import logging
import traceback
from collections.abc import Awaitable, Callable, Generator, Iterable, Mapping
from dataclasses import replace
from typing import Any, TypeGuard
from uuid import UUID

from taske_ray import logs
from taske_ray.clock import Clock
from taske_ray.core.call import Call
from taske_ray.core.capability import CallContext, Capability, Module, connection_test, converse
from taske_ray.core.capability.tokens import missing_scopes
from taske_ray.core.connection import default_connection
from taske_ray.core.http import HttpRequest, HttpResponse
from taske_ray.core.outcome import ErrorClass, Failed, Outcome, Succeeded, Unknown
from taske_ray.core.times import format_time
from taske_ray.errors import NotFound, Unavailable
from taske_ray.integrations.drive import drive
from taske_ray.integrations.executors.port import Executor, Job
from taske_ray.integrations.failures import NotSent
from taske_ray.integrations.kept_answers import KeptAnswers, KeptForCall
from taske_ray.integrations.ledger import CallLedger, Finished
from taske_ray.integrations.limits import limits_of, pause_asked_for
from taske_ray.integrations.ports import (
    Capabilities,
    ConnectionResolver,
    OpenedConnection,
    TokenStore,
)
from taske_ray.integrations.sending import Conduct, Sender, Sending, lease_over
from taske_ray.integrations.token_keeper import TokenKeeper
from taske_ray.integrations.transport import Transport
from taske_ray.security.sealed import VaultError

unknown_connection = "unknown_connection"

_log = logging.getLogger(__name__)
Talk = Callable[[CallContext], Generator[HttpRequest, HttpResponse, Any]]


class IntegrationClient:
    """Performs calls for all users of its process.

    `database_time` estimates the database's clock in seconds since the epoch (durability, 5.4); `internal` are the
    executors of capabilities that make no request, by name.
    """

    def __init__(
        self,
        *,
        capabilities: Capabilities,
        connections: ConnectionResolver,
        tokens: TokenStore,
        transport: Transport,
        clock: Clock,
        database_time: Callable[[], float],
        internal: Mapping[str, Executor] | None = None,
        conduct: "Conduct | None" = None,
    ) -> None:
        self._capabilities = capabilities
        self._connections = connections
        self._clock = clock
        self._database_time = database_time
        self._internal = dict(internal or {})
        self._ledger = CallLedger(clock.monotonic)
        self._kept = KeptAnswers(clock.monotonic)
        self._sender = Sender(transport, clock=clock, database_time=database_time, conduct=conduct or Conduct())
        self._tokens = TokenKeeper(
            connections=connections, store=tokens, send=self.ask, clock=clock, database_time=database_time
        )

    @property
    def in_flight(self) -> int:
        """How many calls are under way."""
        return self._ledger.in_flight

    async def perform(self, call: Call) -> Outcome:
        """Make the call, once for its id however often it is handed in; every failure is an outcome."""
        if self._ledger.is_fenced_out(call):
            return lease_over()
        return await self._ledger.once(call, lambda: self._finish(call))

    async def outcomes_of(
        self, call_id: str, *, run_id: str = "", fence: int = 0, age_s: float = 0.0
    ) -> Outcome | None:
        """What came of a call, waited for while it is in flight; None: it never began here, so nothing was sent.

        With the run and its new fence, older owners can start no call of the run here any more (durability, 6.4).
        `age_s`: how long ago it was meant to be made; Unknown where this process has forgotten outcomes of that time.
        """
        return await self._ledger.find(call_id, run_id=run_id, fence=fence, age_s=age_s)

    def acknowledge(self, call_ids: Iterable[str]) -> None:
        """These outcomes are in the database; they need not be kept."""
        self._ledger.acknowledge(call_ids)

    async def test_connection(self, user_id: UUID, connection_id: UUID) -> Succeeded | Failed:
        """Ask the service whether it knows a connection; Succeeded.output is `{"label": …}`.

        One that has to be made again is asked for all the same: perhaps the service has changed its mind.
        """
        opened = await self._opened(user_id, connection_id)
        if isinstance(opened, Failed):
            return opened
        try:
            module = await self._capabilities.module(opened.module)
        except (NotFound, Unavailable) as error:
            return Failed(ErrorClass.TRANSIENT, error.code, error.message, sent=False)
        usable = await self._tokens.usable(user_id, opened, module)
        if isinstance(usable, Failed):
            return usable

        executor = self._executor_of(module, usable)
        if executor is not None:
            tested = await executor.test(usable.values)
            return await self._settled(tested, usable) if isinstance(tested, Failed) else tested

        async def try_it(with_: OpenedConnection) -> Succeeded | Failed:
            now = format_time(self._clock.now())
            talk = connection_test(module, with_.values, now=now)
            outcome = await drive(talk, lambda request: self.ask(user_id, request))
            if isinstance(outcome, Unknown):
                return Failed(ErrorClass.TRANSIENT, "no_answer", outcome.message, request=outcome.request)
            return outcome

        outcome = await try_it(usable)
        if _is_expired(outcome):
            renewed = await self._tokens.refused(user_id, usable, module)
            if isinstance(renewed, Failed):
                return renewed
            usable, outcome = renewed, await try_it(renewed)
        return await self._settled(outcome, usable) if isinstance(outcome, Failed) else outcome

    async def keep_quick(self) -> None:
        """See how busy this process is; to be done many times a second."""
        await self._sender.pacing.keep_quick()

    async def register(self, capability: Capability, call: Call, talk: Talk) -> Any:
        """Hold a conversation about a webhook's registration (`core/capability/exchange/subscription.py`)."""
        return await self._outside(capability, call, Sending(0.0), talk)

    async def close(self) -> None:
        """Close every connection to services."""
        await self._tokens.close()
        await self._sender.close()

    async def ask(
        self, owner: UUID | None, request: HttpRequest, may_send: Callable[[], bool] = lambda: True
    ) -> HttpResponse:
        """One request that belongs to no call of a run. Raises NotSent, MaybeSent or Refused."""
        return await self._sender.ask(owner, request, may_send)

    async def _finish(self, call: Call) -> Finished:
        sending = Sending(0.0)
        with logs.bound(call_id=call.id, run_id=call.run_id):
            try:
                outcome = await self._outcome(call, sending)
            except Exception as error:  # noqa: BLE001 - whatever it is, the caller must learn what may have left
                # not `exception`: its text may hold a parameter
                _log.error("a call ended unexpectedly: %s", _where(error))
                outcome = _unexpected(sending)
        return Finished(outcome, sending.received_bytes)

    async def _outcome(self, call: Call, sending: "Sending") -> Outcome:
        try:
            capability = await self._capabilities.pinned(call.capability, call.version)
        except NotFound as error:
            return Failed(ErrorClass.FATAL, "unknown_capability", error.message, sent=False)
        except Unavailable as error:
            return Failed(ErrorClass.TRANSIENT, error.code, error.message, sent=False)
        if capability.request is None:
            return await self._internally(capability, call, sending)
        outcome: Outcome = await self._outside(capability, call, sending, lambda context: converse(capability, context))
        return outcome

    async def _outside(self, capability: Capability, call: Call, sending: "Sending", talk: Talk) -> Any:
        """A conversation with the service; once more with another token where it refused the first."""
        opened = await self._opened_for(capability, call)
        if isinstance(opened, Failed):
            return opened
        send = self._sender.of(capability, call, sending)
        outcome = await self._conversed(capability, call, opened, send, sending, talk)
        if opened is not None and _is_expired(outcome):
            renewed = await self._tokens.refused(call.user_id, opened, capability.module)
            if isinstance(renewed, Failed):
                return replace(renewed, http_status=outcome.http_status, request=outcome.request)
            if call.run_id and call.lease_ends_at is not None:
                return outcome  # of a run: what is sent again is an attempt of its own, made at once (durability, D3)
            opened, outcome = renewed, await self._conversed(capability, call, renewed, send, sending, talk)
        return await self._settled(outcome, opened) if isinstance(outcome, Failed) else outcome

    async def _conversed(
        self,
        capability: Capability,
        call: Call,
        opened: OpenedConnection | None,
        send: Callable[[HttpRequest], Awaitable[HttpResponse]],
        sending: "Sending",
        talk: Talk,
    ) -> Any:
        context = _context(call, opened, self._kept.of(call, opened))
        outcome = await drive(talk(context), send)
        if (pause_s := pause_asked_for(outcome)) is not None:
            self._sender.pause(limits_of(capability, call).asked_keys(sending.host), pause_s)
        return outcome

    async def _internally(self, capability: Capability, call: Call, sending: "Sending") -> Outcome:
        executor = self._internal.get(capability.executor or "")
        if executor is None:
            return Failed(ErrorClass.FATAL, "not_callable", f"{capability.id} makes no call.", sent=False)
        opened = await self._opened_for(capability, call)
        if isinstance(opened, Failed):
            return opened
        if opened is None:
            message = f"{capability.id} needs a connection."
            return Failed(ErrorClass.PERMISSION, "connection_required", message, sent=False)
        sending.began = True
        job = Job(call, capability, opened.values, may_send=lambda: self._sender.may_send(call))
        try:
            async with self._sender.pacing.place(
                call.user_id, str(opened.values.config.get("host", "")), retry=call.is_retry
            ):
                outcome = await executor.perform(job)
        except NotSent as error:
            return Failed(error.error_class, error.code, error.message, retry_after_s=error.retry_after_s, sent=False)
        return await self._settled(outcome, opened) if isinstance(outcome, Failed) else outcome

    def _executor_of(self, module: Module, opened: OpenedConnection) -> Executor | None:
        """Who tries a connection of a scheme whose capabilities make no requests."""
        names = (
            each.executor
            for each in module.capabilities.values()
            if opened.values.auth_id in each.auth_ids and each.executor is not None
        )
        return next((self._internal[name] for name in names if name in self._internal), None)

    async def _opened_for(self, capability: Capability, call: Call) -> OpenedConnection | Failed | None:
        """The connection of a call with a token that is good; None where it names none.

        It must be one of the capability's module and schemes, and have been granted what the capability needs.
        """
        if call.connection_id is None:
            return None
        opened = await self._opened(call.user_id, call.connection_id)
        if isinstance(opened, Failed):
            shared = opened.code == unknown_connection and call.connection_id == default_connection(capability)
            return None if shared and not capability.needs_connection else opened
        if opened.module != capability.module.id or opened.values.auth_id not in capability.auth_ids:
            return Failed(
                ErrorClass.FATAL, "wrong_connection", f"The connection does not fit {capability.id}.", sent=False
            )
        if missing := missing_scopes(capability, opened.scopes):
            message = f"The connection lacks what {capability.id} needs; connect it again with: {', '.join(missing)}"
            return Failed(ErrorClass.PERMISSION, "missing_scopes", message, sent=False)
        if not opened.active:
            return _inactive()
        usable = await self._tokens.usable(call.user_id, opened, capability.module)
        return _inactive() if isinstance(usable, OpenedConnection) and not usable.active else usable

    async def _opened(self, user_id: UUID, connection_id: UUID) -> OpenedConnection | Failed:
        try:
            return await self._connections.open(user_id, connection_id)
        except NotFound:
            return Failed(ErrorClass.FATAL, unknown_connection, "There is no such connection.", sent=False)
        except VaultError as error:
            return Failed(ErrorClass.AUTH_REVOKED, error.code, error.message, sent=False)
        except Unavailable as error:
            return Failed(ErrorClass.TRANSIENT, error.code, error.message, sent=False)

    async def _settled(self, failed: Failed, opened: OpenedConnection | None) -> Failed:
        """An expired login that cannot be refreshed is a revoked one; the connection learns of it."""
        if failed.error_class is ErrorClass.AUTH_EXPIRED:
            revoked = ErrorClass.PERMISSION if opened is None else ErrorClass.AUTH_REVOKED
            failed = replace(failed, error_class=revoked)
        if failed.error_class is ErrorClass.AUTH_REVOKED and opened is not None:
            await self._mark(opened, failed.code)
        return failed

    async def _mark(self, opened: OpenedConnection, reason: str) -> None:
        """Best effort: the outcome stands, and the next call finds out again."""
        try:
            await self._connections.mark_needs_reauth(opened, reason)
        except (Unavailable, NotFound):
            _log.warning("a connection could not be marked", extra={"connection_id": str(opened.id)})


def _context(call: Call, opened: OpenedConnection | None, kept: KeptForCall) -> CallContext:
    return CallContext(
        params=call.params,
        now=call.now,
        connection=opened.values if opened else None,
        run_id=call.run_id,
        step=call.step,
        cursor=call.cursor,
        validators=call.validators or None,
        idempotency_key=call.idempotency_key,
        kept=kept,
    )


def _inactive() -> Failed:
    return Failed(ErrorClass.AUTH_REVOKED, "needs_reauth", "The connection must be made again.", sent=False)


def _is_expired(outcome: Outcome) -> TypeGuard[Failed]:
    return isinstance(outcome, Failed) and outcome.error_class is ErrorClass.AUTH_EXPIRED


def _unexpected(sending: Sending) -> Outcome:
    message = "The call ended unexpectedly inside the service."
    return Unknown(message, "internal") if sending.began else Failed(ErrorClass.FATAL, "internal", message, sent=False)


def _where(error: Exception) -> str:
    """The kind of an exception and the line it came from, without its text."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} at {frame.name}:{frame.lineno}"
