"""Connections that need a consent: sending a user's browser to the provider, and what happens when it comes back.

    begin ──▶ the provider's page ──▶ finish: state checked and spent, code sealed ──▶ an IntegrationClient exchanges it

Codes, verifiers and secrets are sealed here and opened there: nothing in this process can read them again.
"""

import json
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from taske_ray.clock import Clock, new_id
from taske_ray.core.capability import AuthScheme, ConnectionValues, Module
from taske_ray.core.capability.tokens import Asking, OAuthClient, authorize_url, is_from
from taske_ray.core.ids import format_id, instance_connection_id, parse_id
from taske_ray.core.outcome import Succeeded
from taske_ray.core.redaction import Redactor
from taske_ray.db import connection_authorizations as rows
from taske_ray.db.connections import get_connection
from taske_ray.db.database import Database
from taske_ray.db.tables import Connection, ConnectionAuthorization
from taske_ray.errors import Conflict, Invalid, NotFound, TaskeError
from taske_ray.security.sealed import Place
from taske_ray.services.authorizations import Authorizations, lives
from taske_ray.services.catalog_cache import CapabilityCache
from taske_ray.services.connections import find_connection, find_scheme, require_client
from taske_ray.services.consent_wishes import (
    Arrived,
    Came,
    ConfirmationNeeded,
    Sent,
    Wish,
    asked_scopes,
    given_fields,
    hidden_address,
    refusal_of,
    view_consent,
)
from taske_ray.services.ports import Consents, Watchers
from taske_ray.services.principal import Principal
from taske_ray.services.sealing import Sealer
from taske_ray.services.trail import record

_longest = 2000


class ConnectionAuthorizations:
    """The consents of users. `cautious`: strangers have accounts here, so an unknown browser is asked first."""

    def __init__(
        self,
        database: Database,
        *,
        cache: CapabilityCache,
        sealer: Sealer,
        consents: Consents,
        watchers: Watchers,
        clock: Clock,
        url: str,
        cautious: bool,
    ) -> None:
        self._database = database
        self._cache = cache
        self._sealer = sealer
        self._consents = consents
        self._watchers = watchers
        self._clock = clock
        self._redirect_uri = f"{url}/api/v1/connections/callback"
        self._cautious = cautious
        self._visits = Authorizations(database, sealer, purpose="connect", vault="credentials")

    @property
    def redirect_uri(self) -> str:
        """What an OAuth client of ours must be registered with."""
        return self._redirect_uri

    async def begin(self, wish: Wish, *, by: Principal, browser: str | None, bound: bool) -> Sent:
        """Where to send the user. Raises Invalid, NotFound.

        `bound`: the one who asks is a browser, and only that browser may come back; `browser` is its cookie, if any.
        """
        old = None if wish.connection is None else await self._old(wish, by)
        module, scheme = await self._scheme(wish, old)
        config, secret = given_fields(scheme, wish.fields, old)
        async with self._database.transaction(owner=by.user_id) as tx:
            known = {**(old.config if old else {}), **config, **secret}
            client = await require_client(tx, scheme, module.id, known)
        assert client is not None
        scopes = asked_scopes(module, scheme, wish, old)
        consent_id = new_id()
        visit = await self._visits.begin(
            module.id,
            browser=browser,
            owner=by.user_id,
            target=wish.target,
            detail={"consent": consent_id.hex, "account": hidden_address(by.email), "module": module.id},
            bound=bound,
        )
        row = await self._add(consent_id, wish, by.user_id, (scheme, module), old, config, secret, scopes)
        values = ConnectionValues(scheme.id, {**(old.config if old else {}), **config})
        asking = Asking(module, scheme, values, self._clock.now(), OAuthClient(client))
        url = await self._address(asking, row, state=visit.state, challenge=visit.challenge)
        return Sent(
            {**view_consent(row), "authorize_url": url, "redirect_uri": self._redirect_uri},
            visit.browser if bound else None,
        )

    async def _address(self, asking: Asking, row: ConnectionAuthorization, *, state: str, challenge: str) -> str:
        """The provider's page; where its parameters read secrets, made where those can be opened."""
        params = asking.oauth.authorize_params
        if params is None or not params.reads_secret:
            place = self._redirect_uri
            return authorize_url(asking, redirect_uri=place, state=state, challenge=challenge, scopes=row.scopes)
        outcome = await self._consents.authorize_url(row.user_id, row.id, state=state, challenge=challenge)
        if not isinstance(outcome, Succeeded):
            raise refusal_of(outcome)
        return str(outcome.output)

    async def get(self, authorization_id: str, *, owner: UUID) -> dict[str, Any]:
        """What became of one. Raises NotFound."""
        wanted = parse_id("authorization", authorization_id)
        async with self._database.transaction(owner=owner) as tx:
            row = await rows.get_consent(tx, owner=owner, consent_id=wanted)
        if row is None:
            raise NotFound
        return view_consent(row, now=self._clock.now())

    async def finish(self, came: Came) -> Arrived:
        """The browser came back. Raises Invalid for a state that is not good, Conflict where nothing came of it."""
        if self._cautious and not came.confirmed:
            unbound = await self._visits.find_unbound(came.state)
            if unbound is not None and came.error is None:
                raise ConfirmationNeeded({name: str(unbound[name]) for name in ("account", "module")})
        back = await self._visits.finish_anywhere(came.state, browser=came.browser)
        owner, consent_id = back.user_id, UUID(hex=str(back.detail["consent"]))
        assert owner is not None
        row = await self._returned(owner, consent_id)
        try:
            await self._check(came, row)
        except TaskeError as error:
            await self._fail(owner, consent_id, error)
            raise
        code_key, code_sealed = await self._seal(owner, consent_id, "code_sealed", (came.code or "").encode())
        sealed = {"code_key": code_key, "code_sealed": code_sealed, "proof_key": back.data_key}
        async with self._database.transaction(owner=owner) as tx:
            sealed |= {"proof_row": str(back.place.row), "proof_sealed": back.sealed}
            await rows.return_consent(tx, owner=owner, consent_id=consent_id, **sealed)
        outcome = await self._consents.connect(owner, row.connection_id, consent_id)
        if not isinstance(outcome, Succeeded):
            raise refusal_of(outcome)
        action = "connection.change" if row.reconnects else "connection.create"
        async with self._database.transaction(owner=owner) as tx:
            detail = {"scopes": row.scopes}
            await record(tx, action, by=owner, object_=format_id("conn", row.connection_id), detail=detail)
        if row.reconnects:
            self._watchers.changed()
        label = outcome.output.get("label") if isinstance(outcome.output, dict) else None
        return Arrived({**view_consent(row), "status": "succeeded", "label": label}, back.target)

    async def _old(self, wish: Wish, by: Principal) -> Connection:
        async with self._database.transaction(owner=by.user_id) as tx:
            try:
                return await find_connection(tx, wish.connection or "", None if wish.shared else by.user_id)
            except NotFound:
                raise Invalid.at("/connection", "unknown_connection", "You have no such connection") from None

    async def _scheme(self, wish: Wish, old: Connection | None) -> tuple[Module, AuthScheme]:
        name = old.module if old else wish.module
        if name is None or (old and (wish.module or wish.auth)):
            raise Invalid.at("/module", "one_of_required", "Name a module, or a connection to connect again")
        current = (await self._cache.catalog()).modules.get(name)
        schemes = [] if current is None else list(current.module.auth.values())
        fitting = [one.id for one in schemes if one.type == "oauth2_code" and (one.owner == "instance") is wish.shared]
        auth = old.auth if old else wish.auth or (fitting[0] if len(fitting) == 1 else None)
        if current is not None and auth is None:
            raise Invalid.at("/auth", "unknown_auth", f"{name} offers for this: {', '.join(fitting) or 'nothing'}")
        scheme = await find_scheme(self._cache, name, auth or "", shared=wish.shared)
        assert current is not None
        if scheme.type != "oauth2_code":
            message = "This one is made from fields, with POST /connections"
            raise Invalid.at("/auth", "needs_no_consent", message)
        return current.module, scheme

    async def _add(
        self,
        consent_id: UUID,
        wish: Wish,
        user_id: UUID,
        of: tuple[AuthScheme, Module],
        old: Connection | None,
        config: dict[str, Any],
        secret: dict[str, Any],
        scopes: Sequence[str],
    ) -> ConnectionAuthorization:
        scheme, module = of
        made = instance_connection_id(module.id, scheme.id) if wish.shared else new_id()
        data_key, sealed = None, None
        if secret:
            data_key, sealed = await self._seal(user_id, consent_id, "sealed", json.dumps(secret).encode())
        async with self._database.transaction(owner=user_id) as tx:
            there = old is not None
            if wish.shared and not there:
                there = await get_connection(tx, owner=None, connection_id=made) is not None
            return await rows.add_consent(
                tx,
                id=consent_id,
                user_id=user_id,
                connection_id=old.id if old else made,
                connection_owner=None if wish.shared else user_id,
                reconnects=there,
                module=module.id,
                auth=scheme.id,
                name=old.name if old else wish.name or module.id,
                config=config,
                scopes=list(scopes),
                redirect_uri=self._redirect_uri,
                data_key=data_key,
                sealed=sealed,
                lives=lives,
            )

    async def _returned(self, owner: UUID, consent_id: UUID) -> ConnectionAuthorization:
        async with self._database.transaction(owner=owner) as tx:
            row = await rows.get_consent(tx, owner=owner, consent_id=consent_id)
        if row is None:
            raise Invalid("This sign-in was not begun here, or it took too long; begin again", code="bad_state")
        return row

    async def _check(self, came: Came, row: ConnectionAuthorization) -> None:
        """Whether the provider said yes, and is the one that was asked. Raises Conflict, Invalid."""
        if came.error is not None:
            said = ": ".join(part for part in (came.error, came.description) if part)
            code = "access_denied" if came.error == "access_denied" else "provider_refused"
            raise Conflict(f"The provider answered {Redactor().text(said)[:500]}", code=code)
        if not came.code or len(came.code) > _longest:
            raise Invalid.at("?code", "missing", "The provider sent no code")
        current = (await self._cache.catalog()).modules.get(row.module)
        scheme = current.module.auth.get(row.auth) if current is not None else None
        if scheme is None:
            raise Conflict(f"{row.module} has no such scheme any more", code="unknown_auth")
        if came.issuer is not None and not is_from(scheme, came.issuer):
            raise Invalid.at("?iss", "wrong_issuer", "The answer is from another provider than the one that was asked")

    async def _fail(self, owner: UUID, consent_id: UUID, error: TaskeError) -> None:
        async with self._database.transaction(owner=owner) as tx:
            told = {"code": error.code, "message": error.message}
            await rows.fail_consent(tx, owner=owner, consent_id=consent_id, error=told)

    async def _seal(self, owner: UUID, consent_id: UUID, column: str, plain: bytes) -> tuple[UUID, bytes]:
        place = Place("connection_authorizations", consent_id, column)
        return await self._sealer.seal(plain, owner=owner, purpose="credentials", place=place)
