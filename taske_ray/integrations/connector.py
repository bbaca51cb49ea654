"""Connections made by a consent, and unmade: codes exchanged, accounts asked for their names, tokens revoked.

Here, because code, verifier and tokens are in plain text nowhere else. What comes of a consent is stored in one
statement at the end: a process that dies on the way leaves a code that was used, and the user consents again.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

from taske_ray import logs
from taske_ray.core.capability import AuthScheme, ConnectionValues, Module
from taske_ray.core.capability.exchange.refusal import Refusal
from taske_ray.core.capability.tokens import (
    Asking,
    Completed,
    Tokens,
    authorize_url,
    complete,
    exchange,
    refresh_at,
    revoke,
    token_names,
)
from taske_ray.core.http import HttpRequest, HttpResponse
from taske_ray.core.ids import format_id
from taske_ray.core.outcome import ErrorClass, Failed, Succeeded, Unknown
from taske_ray.errors import NotFound, TemplateError, Unavailable
from taske_ray.integrations.drive import drive
from taske_ray.integrations.ports import Capabilities, ConnectionResolver, Consent, Consents, NewCredential, TokenStore
from taske_ray.security.sealed import VaultError

_log = logging.getLogger(__name__)
_at_once = 10


class Connector:
    """Makes connections of consents. `send` makes a request on behalf of an owner."""

    def __init__(
        self,
        *,
        capabilities: Capabilities,
        connections: ConnectionResolver,
        consents: Consents,
        tokens: TokenStore,
        send: Callable[[UUID | None, HttpRequest], Awaitable[HttpResponse]],
        database_time: Callable[[], float],
    ) -> None:
        self._capabilities = capabilities
        self._connections = connections
        self._consents = consents
        self._tokens = tokens
        self._send = send
        self._database_time = database_time

    async def connect(self, user_id: UUID, consent_id: UUID) -> Succeeded | Failed:
        """Exchange a consent's code and keep what it brings; Succeeded.output is `{"connection": …, "label": …}`."""
        try:
            consent = await self._consents.take(user_id, consent_id)
            if consent is None:
                return Failed(ErrorClass.CONFLICT, "consent_used", "This consent was used already.", sent=False)
            found = await self._connected(consent)
        except (NotFound, Unavailable, VaultError) as error:
            found = Failed(ErrorClass.TRANSIENT, error.code, error.message, sent=False)
        if isinstance(found, Failed):
            await self._refuse(user_id, consent_id, found)
        return found

    async def authorize_url(self, user_id: UUID, consent_id: UUID, *, state: str, challenge: str) -> Succeeded | Failed:
        """Where to send a user, of a scheme whose parameters read secrets; Succeeded.output is the address."""
        try:
            consent = await self._consents.begun(user_id, consent_id)
            if consent is None:
                return Failed(ErrorClass.CONFLICT, "consent_used", "This consent was used already.", sent=False)
            module = await self._capabilities.module(consent.module)
            asking = await self._asking(module, _scheme(module, consent), await self._held(consent))
            address = authorize_url(
                asking, redirect_uri=consent.redirect_uri, state=state, challenge=challenge, scopes=consent.scopes
            )
        except (Refusal, TemplateError) as error:
            return Failed(ErrorClass.FATAL, error.code, "The address of the provider could not be made.", sent=False)
        except (NotFound, Unavailable, VaultError) as error:
            return Failed(ErrorClass.TRANSIENT, error.code, error.message, sent=False)
        return Succeeded(address)

    async def revoke_all(self, user_id: UUID, within_s: float) -> int:
        """Have the providers forget the tokens of somebody who leaves; how many did before the time was over."""
        done = 0
        turns = asyncio.Semaphore(_at_once)

        async def one(connection_id: UUID) -> None:
            nonlocal done
            async with turns:
                try:
                    revoked = await self.revoke(user_id, connection_id, leaving=True)
                    done += revoked  # a sum that awaits would forget what others added meanwhile
                except Exception:  # noqa: BLE001 - whatever one of them does, the user can leave
                    _log.exception("a connection of a user who leaves was not revoked")

        try:
            async with asyncio.timeout(within_s), asyncio.TaskGroup() as group:
                for connection_id in await self._consents.with_tokens(user_id):
                    group.create_task(one(connection_id))
        except (TimeoutError, Unavailable):
            _log.info("not every provider was told of a user who leaves")
        return done

    async def revoke(self, user_id: UUID, connection_id: UUID, *, leaving: bool = False) -> bool:
        """Have the provider forget a connection's tokens; False where it was not asked, or did not.

        An account that another connection lives on is left alone: some providers end both (security, 8.6). Of a user
        who is `leaving`, all go.
        """
        try:
            opened = await self._connections.open(user_id, connection_id)
            module = await self._capabilities.module(opened.module)
            scheme = module.auth.get(opened.values.auth_id)
            held = any(opened.values.secret.get(name) for name in token_names)
            if scheme is None or scheme.oauth is None or scheme.oauth.revoke_url is None or not held:
                return False
            if await self._consents.is_shared(opened, leaving=user_id if leaving else None):
                return False
            asking = await self._asking(module, scheme, opened.values)
            answer = await drive(revoke(asking), lambda request: self._send(opened.owner, request))
        except (NotFound, Unavailable, VaultError) as error:
            _log.info("a connection's tokens were not revoked: %s", error.code)
            return False
        if answer is not None:
            _log.info("a provider did not revoke a connection's tokens: %s", answer.code)
        return answer is None

    async def _connected(self, consent: Consent) -> Succeeded | Failed:
        module = await self._capabilities.module(consent.module)
        scheme = module.auth.get(consent.auth)
        if scheme is None or scheme.oauth is None:
            return Failed(ErrorClass.FATAL, "unknown_auth", f"{consent.module} has no such scheme any more", sent=False)
        asking = await self._asking(module, scheme, await self._held(consent))

        async def send(request: HttpRequest) -> HttpResponse:
            return await self._send(consent.owner, request)

        flow = exchange(asking, code=consent.code, verifier=consent.verifier, redirect_uri=consent.redirect_uri)
        tokens = await drive(flow, send)
        if not isinstance(tokens, Tokens):
            return _known(tokens)
        logs.hide([tokens.access, tokens.refresh or tokens.access])
        asking = asking.holding({}, tokens.kept_in(asking.connection.secret))
        completed = await drive(complete(asking, tokens), send)
        if not isinstance(completed, Completed):
            return _known(completed)
        return await self._kept(consent, asking, tokens, completed)

    async def _kept(self, consent: Consent, asking: Asking, tokens: Tokens, completed: Completed) -> Succeeded | Failed:
        credential = NewCredential(
            config={**asking.connection.config, **completed.config},
            secret=tokens.kept_in(asking.connection.secret),
            label=None if completed.label is None else completed.label[:200],
            scopes=tokens.scopes or consent.scopes,
            token_at=asking.now,
            refresh_from=refresh_at(asking.now, tokens.expires_at, asking.oauth.refresh.skew_s),
            expires_at=tokens.expires_at,
        )
        if not await self._consents.keep(consent, credential):
            return Failed(ErrorClass.NOT_FOUND, "connection_gone", "The connection was deleted meanwhile.", sent=True)
        return Succeeded({"connection": format_id("conn", consent.connection_id), "label": credential.label})

    async def _held(self, consent: Consent) -> ConnectionValues:
        """What the connection holds besides tokens: what was given now, over what is there."""
        config, secret = dict(consent.config), dict(consent.secret)
        if consent.reconnects:
            old = (await self._connections.open(consent.user_id, consent.connection_id)).values
            config, secret = {**old.config, **config}, {**old.secret, **secret}
        return ConnectionValues(consent.auth, config, {n: v for n, v in secret.items() if n not in token_names})

    async def _asking(self, module: Module, scheme: AuthScheme, values: ConnectionValues) -> Asking:
        app = await self._tokens.oauth_client(module.id, scheme.id)
        return Asking(module, scheme, values, datetime.fromtimestamp(self._database_time(), UTC), app)

    async def _refuse(self, user_id: UUID, consent_id: UUID, failed: Failed) -> None:
        try:
            await self._consents.refuse(user_id, consent_id, failed)
        except Unavailable:
            _log.warning("what came of a consent could not be written down")


def _scheme(module: Module, consent: Consent) -> AuthScheme:
    """The way to connect that a consent was begun for. Raises NotFound."""
    scheme = module.auth.get(consent.auth)
    if scheme is None:
        raise NotFound(f"{consent.module} has no such scheme any more")
    return scheme


def _known(failed: Failed | Unknown) -> Failed:
    if isinstance(failed, Unknown):
        return Failed(ErrorClass.TRANSIENT, "no_answer", failed.message, request=failed.request)
    return replace(failed, request=None)
