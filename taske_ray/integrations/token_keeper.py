"""Tokens that are good when a call needs them: refreshed before they end, by one process, once (durability, 6.10).

    usable ─▶ good: as it is     due: refresh, and where that fails just now, the old one      over: refresh
    refused ▶ the service says 401: refresh, unless the token is what a refused one was just replaced by: revoked

In one process a connection has one refresh in flight, whoever waits for it. Between processes a lease on its row
decides: ask under the lease, **store, then use**. A process that dies between answer and store leaves the lease open;
the next one asks once more with what is stored, and if it dies too, the connection needs a new consent.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from uuid import UUID

from taske_ray import logs
from taske_ray.clock import Clock
from taske_ray.core.capability import Module
from taske_ray.core.capability.tokens import Asking, Standing, Tokens, refresh_at, renew, standing
from taske_ray.core.http import HttpRequest, HttpResponse
from taske_ray.core.outcome import ErrorClass, Failed, Unknown
from taske_ray.crash_points import reach
from taske_ray.errors import NotFound, Unavailable
from taske_ray.integrations.drive import drive
from taske_ray.integrations.ports import ConnectionResolver, Lease, OpenedConnection, TokenStore
from taske_ray.integrations.recent import Recent
from taske_ray.security.assertions import sign_assertion
from taske_ray.security.sealed import VaultError

lease_s = 60.0
"""Longer than any request for tokens, which has 20 s."""
lease_margin_s = 1.0
just_got_s = 60.0
usual_skew_s = 300.0
patience_s = 45.0
look_again_s = 0.2
first_pause_s, longest_pause_s = 5.0, 300.0
keep_trying_to_store_s = 300.0
most_remembered = 10_000
"""Connections whose pause, and whose token got instead of a refused one, a process remembers."""

_not_the_providers = frozenset({"connection_changed", "refresh_busy", "no_oauth_client", "unavailable"})
_log = logging.getLogger(__name__)
Result = OpenedConnection | Failed
Send = Callable[[UUID | None, HttpRequest, Callable[[], bool]], Awaitable[HttpResponse]]


@dataclass(frozen=True, slots=True)
class _Pause:
    """A provider gave nothing: until when it is not asked again for this connection, and what it came to."""

    until: float
    version: int
    failed: Failed
    seconds: float


class TokenKeeper:
    """The tokens of one process's connections.

    `send` makes a request on behalf of an owner, if its last argument says right before that it still may.
    """

    def __init__(
        self,
        *,
        connections: ConnectionResolver,
        store: TokenStore,
        send: Send,
        clock: Clock,
        database_time: Callable[[], float],
    ) -> None:
        self._connections = connections
        self._store = store
        self._send = send
        self._clock = clock
        self._database_time = database_time
        self._flights: dict[UUID, asyncio.Task[Result]] = {}
        self._pauses: Recent[UUID, _Pause] = Recent(most_remembered)
        # versions that were got because the one before was refused
        self._instead: Recent[UUID, int] = Recent(most_remembered)

    async def usable(self, user_id: UUID, opened: OpenedConnection, module: Module) -> Result:
        """The connection with a token that is good as far as anybody knows."""
        scheme = module.auth.get(opened.values.auth_id)
        if scheme is None or not scheme.has_tokens:
            return opened
        held = bool(opened.values.secret.get("access_token"))
        now = self._now()
        stands = standing(now, has_token=held, refresh_from=opened.refresh_from, expires_at=opened.expires_at)
        if stands is Standing.GOOD:
            return opened
        found = await self._renewed(user_id, opened, module)
        if isinstance(found, Failed) and stands is Standing.DUE and found.error_class is not ErrorClass.AUTH_REVOKED:
            return opened  # it works yet; the next call tries again
        return found

    async def refused(self, user_id: UUID, opened: OpenedConnection, module: Module) -> Result:
        """The same connection after the service refused its token: with another one, or `auth_revoked`."""
        scheme = module.auth.get(opened.values.auth_id)
        if scheme is None or not scheme.has_tokens:
            message = "The service no longer accepts the credential."
            return await self._over(opened, Failed(ErrorClass.AUTH_REVOKED, "credential_refused", message))
        instead = self._instead.get(opened.id) if opened.id is not None else None
        if instead == opened.version and self._just_got(opened):
            message = "The service also refuses the token that its provider has just given instead."
            return await self._over(opened, Failed(ErrorClass.AUTH_REVOKED, "new_token_refused", message))
        found = await self._renewed(user_id, opened, module)
        if isinstance(found, OpenedConnection) and found.id is not None:
            self._instead[found.id] = found.version
        return found

    async def close(self) -> None:
        """Let refreshes under way end: what a provider has given must be stored."""
        if self._flights:
            await asyncio.wait(self._flights.values())

    async def _renewed(self, user_id: UUID, opened: OpenedConnection, module: Module) -> Result:
        assert opened.id is not None
        pause = self._pauses.get(opened.id)
        if (
            pause is not None
            and pause.version == opened.version
            and (left := pause.until - self._clock.monotonic()) > 0
        ):
            return replace(pause.failed, retry_after_s=left)
        flight = self._flights.get(opened.id)
        if flight is None:
            flight = asyncio.create_task(self._fly(user_id, opened, module), name=f"tokens {opened.id}")
            self._flights[opened.id] = flight
        return await asyncio.shield(flight)

    async def _fly(self, user_id: UUID, opened: OpenedConnection, module: Module) -> Result:
        assert opened.id is not None
        try:
            found = await self._in_turn(user_id, opened, module)
        except (Unavailable, VaultError, NotFound) as error:
            found = Failed(ErrorClass.TRANSIENT, error.code, error.message, sent=False)
        finally:
            self._flights.pop(opened.id, None)
        self._remember(opened, found)
        return await self._over(opened, found) if isinstance(found, Failed) else found

    async def _over(self, opened: OpenedConnection, failed: Failed) -> Failed:
        """What a new consent alone can mend is written down: nothing uses this version again, its owner is told."""
        if failed.error_class is ErrorClass.AUTH_REVOKED:
            try:
                await self._connections.mark_needs_reauth(opened, failed.code)
            except Unavailable:
                _log.warning("a connection could not be marked", extra={"connection_id": str(opened.id)})
        return failed

    async def _in_turn(self, user_id: UUID, opened: OpenedConnection, module: Module) -> Result:
        """Ask under the lease, or take what whoever has it stores."""
        assert opened.id is not None
        until = self._clock.monotonic() + patience_s
        while (began := self._clock.monotonic()) < until:
            lease = await self._store.take(opened)
            if lease is not None:
                return await self._asked(lease, began + lease_s - lease_margin_s, module)
            match await self._store.standing(opened):
                case "moved":
                    return await self._connections.open(user_id, opened.id)
                case "lost":
                    message = "Its tokens were lost twice while they were refreshed; connect it again."
                    return Failed(ErrorClass.AUTH_REVOKED, "tokens_lost", message, sent=False)
                case _:
                    await self._clock.sleep(look_again_s)
        message = "Another process refreshes the connection's tokens and has not come back."
        return Failed(ErrorClass.TRANSIENT, "refresh_busy", message, sent=False)

    async def _asked(self, lease: Lease, ends_at: float, module: Module) -> Result:
        """Ask the provider, until the lease ends by our own clock: then another process asks it."""
        opened = lease.opened
        scheme = module.auth[opened.values.auth_id]

        async def send(request: HttpRequest) -> HttpResponse:
            return await self._send(opened.owner, request, lambda: self._clock.monotonic() < ends_at)

        try:
            app = await self._store.oauth_client(module.id, scheme.id) if scheme.takes_client else None
            asking = Asking(module, scheme, opened.values, self._now(), app)
            found = await drive(renew(asking, sign_assertion), send)
        except BaseException:
            await self._store.release(lease)
            raise
        if isinstance(found, Tokens):
            logs.hide([found.access, found.refresh or found.access])
            reach("C15")
            return await self._kept(lease, asking, found)
        await self._store.release(lease)
        if isinstance(found, Unknown):  # the provider may have given new tokens; only asking again can tell
            return Failed(ErrorClass.TRANSIENT, "token_endpoint_silent", found.message, request=found.request)
        return found

    async def _kept(self, lease: Lease, asking: Asking, tokens: Tokens) -> Result:
        """Store, then use. What a provider has given is tried to be stored for minutes: it gives it once."""
        skew_s = asking.scheme.oauth.refresh.skew_s if asking.scheme.oauth is not None else usual_skew_s
        due_from = refresh_at(asking.now, tokens.expires_at, skew_s)
        until = self._clock.monotonic() + keep_trying_to_store_s
        while True:
            try:
                stored = await self._store.store(lease, tokens, asking.now, due_from)
                break
            except Unavailable:
                if self._clock.monotonic() > until:
                    raise
                _log.warning("new tokens could not be stored yet")
                await self._clock.sleep(1.0)
        if stored is None:
            message = "The connection was changed while its tokens were refreshed."
            return Failed(ErrorClass.TRANSIENT, "connection_changed", message, sent=False)
        return stored

    def _remember(self, opened: OpenedConnection, found: Result) -> None:
        """Do not ask a provider that gave nothing again at once; twice as long each time."""
        assert opened.id is not None
        before = self._pauses.pop(opened.id, None)
        if isinstance(found, Failed) and found.code not in _not_the_providers:
            longer = first_pause_s if before is None else min(before.seconds * 2, longest_pause_s)
            seconds = found.retry_after_s or longer
            self._pauses[opened.id] = _Pause(self._clock.monotonic() + seconds, opened.version, found, longer)

    def _just_got(self, opened: OpenedConnection) -> bool:
        return opened.token_at is not None and (self._now() - opened.token_at).total_seconds() < just_got_s

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._database_time(), UTC)
