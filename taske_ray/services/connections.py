"""Connections: made from fields, sealed at once, never shown again (security, 9.5, 9.6). Nothing here can open them."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from taske_ray.clock import new_id
from taske_ray.core.capability import AuthScheme
from taske_ray.core.ids import format_id, instance_connection_id, parse_id
from taske_ray.core.outcome import Failed, Succeeded
from taske_ray.core.redaction import MASK
from taske_ray.db import connections as rows
from taske_ray.db import oauth_clients
from taske_ray.db.database import Database, Transaction
from taske_ray.db.tables import Connection
from taske_ray.errors import Conflict, FieldError, Invalid, NotFound
from taske_ray.security.credentials import hints, seal_credentials
from taske_ray.services.catalog_cache import CapabilityCache
from taske_ray.services.ports import Calls, Consents, Watchers
from taske_ray.services.sealing import Sealer
from taske_ray.services.trail import record

_no_tokens = dict.fromkeys(
    ("scopes", "token_at", "refresh_from", "token_expires_at", "refresh_owner", "refresh_until")
) | {"refresh_tries": 0}
"""The credential is a new one: nothing is known of its tokens, and no refresh of the old ones may store any."""


class Connections:
    """What a user can do with connections, and an administrator (`by`) with those of the instance (`owner` None)."""

    def __init__(
        self,
        database: Database,
        *,
        cache: CapabilityCache,
        sealer: Sealer,
        calls: Calls,
        consents: Consents,
        watchers: Watchers,
    ) -> None:
        self._database = database
        self._cache = cache
        self._sealer = sealer
        self._calls = calls
        self._consents = consents
        self._watchers = watchers

    async def create(
        self,
        *,
        owner: UUID | None,
        by: UUID | None = None,
        module: str,
        auth: str,
        name: str,
        fields: Mapping[str, Any],
    ) -> dict[str, Any]:
        """A new connection. Raises Invalid with a pointer for each field that is wrong, Conflict."""
        scheme = await find_scheme(self._cache, module, auth, shared=owner is None)
        if not scheme.can_be_made:
            message = "Begin this one with POST /connections/authorize: its provider asks you to allow it"
            raise Invalid.at("/auth", "needs_consent", message)
        config, secret = split_fields(scheme, fields)
        connection_id = new_id() if owner is not None else instance_connection_id(module, auth)
        row = Connection(id=connection_id, user_id=owner, module=module, auth=auth, name=name, config=config)
        if secret:
            row.data_key, row.sealed = await self._seal(owner, connection_id, secret)
            row.hints = hints(secret)
        async with self._database.transaction(owner=owner or by) as tx:
            await require_client(tx, scheme, module, {**config, **secret})
            if owner is not None:
                await rows.add_connection(tx, row)
            elif not await rows.add_instance_connection(tx, row):
                raise Conflict(f"The instance is connected to {module} by {auth} already", code="connection_exists")
            await _audit(tx, "connection.create", row.id, owner or by)
            saved = await rows.get_connection(tx, owner=owner, connection_id=connection_id)
            assert saved is not None
        return view_connection(saved)

    async def list(
        self,
        *,
        owner: UUID | None,
        by: UUID | None = None,
        after: UUID | None = None,
        limit: int = 50,
        module: str | None = None,
    ) -> Sequence[dict[str, Any]]:
        """A page of connections, newest first."""
        async with self._database.transaction(owner=owner or by) as tx:
            found = await rows.list_connections(tx, owner=owner, after=after, limit=limit, module=module)
        return [view_connection(row) for row in found]

    async def get(self, connection_id: str, *, owner: UUID | None, by: UUID | None = None) -> dict[str, Any]:
        """One connection. Raises NotFound."""
        async with self._database.transaction(owner=owner or by) as tx:
            return view_connection(await find_connection(tx, connection_id, owner))

    async def change(
        self,
        connection_id: str,
        *,
        owner: UUID | None,
        by: UUID | None = None,
        name: str | None,
        fields: Mapping[str, Any] | None,
    ) -> dict[str, Any]:
        """Another name, other fields. Secrets are given again as a whole; changing an open field needs them too.

        Where a credential may go is an open field: whoever changes it must know the secret (security, 9.6).
        Raises Invalid, NotFound.
        """
        changes: dict[str, Any] = {} if name is None else {"name": name}
        async with self._database.transaction(owner=owner or by) as tx:
            row = await find_connection(tx, connection_id, owner)
        if fields is not None:
            changes |= await self._changed_fields(row, fields)
        async with self._database.transaction(owner=owner or by) as tx:
            row = await find_connection(tx, connection_id, owner, lock=True)
            if "config" in changes:
                # of the row as it is now: each credential has a number of its own
                changes |= {"version": row.version + 1, "given": row.given + 1}
            saved = await rows.change_connection(tx, row, **changes) if changes else row
            await _audit(tx, "connection.change", row.id, owner or by)
        if "status" in changes:
            await self._resume(saved, by)
        return view_connection(saved)

    async def delete(self, connection_id: str, *, owner: UUID | None, by: UUID | None = None) -> None:
        """Destroy the connection; runs that need it fail and use nothing. Raises NotFound.

        Where the provider can be told, it forgets the tokens first; one that does not answer holds nothing up.
        """
        async with self._database.transaction(owner=owner or by) as tx:
            row = await find_connection(tx, connection_id, owner)
        revoked = await self._can_be_revoked(row) and await self._consents.revoke(_acting(owner, by), row.id)
        async with self._database.transaction(owner=owner or by) as tx:
            if not await rows.delete_connection(tx, owner=owner, connection_id=row.id):
                raise NotFound
            await _audit(tx, "connection.delete", row.id, owner or by, {"revoked": revoked})

    async def test(self, connection_id: str, *, owner: UUID | None, by: UUID | None = None) -> dict[str, Any]:
        """Ask the service whether the credential works. Raises NotFound, Unavailable."""
        async with self._database.transaction(owner=owner or by) as tx:
            row = await find_connection(tx, connection_id, owner)
        outcome = await self._calls.test_connection(_acting(owner, by), row.id)
        if isinstance(outcome, Succeeded):
            label = outcome.output.get("label") if isinstance(outcome.output, dict) else None
            text = None if label is None else str(label)[:200]
            async with self._database.transaction(owner=owner or by) as tx:
                await rows.mark_tested(tx, owner=owner, connection_id=row.id, label=text)
            if row.status != "active":
                await self._resume(row, by)
            return {"ok": True, "label": text, "error": None}
        if isinstance(outcome, Failed):
            error = {"class": outcome.error_class.value, "code": outcome.code, "message": outcome.message}
            return {"ok": False, "label": None, "error": error}
        return {"ok": False, "label": None, "error": {"code": "no_answer", "message": "The service did not answer"}}

    async def _resume(self, row: Connection, by: UUID | None) -> None:
        if row.user_id is not None:
            await rows.resume_triggers(self._database, owner=row.user_id, connection_id=row.id)
        elif by is not None:
            await rows.resume_instance_triggers(self._database, by=by, connection_id=row.id)
        self._watchers.changed()

    async def _can_be_revoked(self, row: Connection) -> bool:
        current = (await self._cache.catalog()).modules.get(row.module)
        scheme = current.module.auth.get(row.auth) if current is not None else None
        return row.token_at is not None and scheme is not None and bool(scheme.oauth and scheme.oauth.revoke_url)

    async def _changed_fields(self, row: Connection, fields: Mapping[str, Any]) -> dict[str, Any]:
        scheme = await find_scheme(self._cache, row.module, row.auth, shared=row.user_id is None)
        if not scheme.can_be_made:
            message = "Connect it again with POST /connections/authorize to change its fields"
            raise Invalid.at("/fields", "needs_consent", message)
        open_fields = {name: value for name, value in fields.items() if name not in scheme.secret_names}
        merged = {**row.config, **open_fields}
        given = {name: value for name, value in fields.items() if name in scheme.secret_names and value != MASK}
        if not given and scheme.secret_names and merged == row.config:
            return {}
        config, secret = split_fields(scheme, {**merged, **given})
        changes: dict[str, Any] = {"config": config, **_no_tokens}
        changes |= {"status": "active", "status_reason": None}
        if secret:
            changes["data_key"], changes["sealed"] = await self._seal(row.user_id, row.id, secret)
            changes["hints"] = hints(secret)
        return changes

    async def _seal(self, owner: UUID | None, connection_id: UUID, secret: dict[str, Any]) -> tuple[UUID, bytes]:
        key = await self._sealer.key_for(owner, "credentials")
        return key.id, seal_credentials(key, connection_id, secret)


async def find_scheme(cache: CapabilityCache, module: str, auth: str, *, shared: bool) -> AuthScheme:
    """A way to connect, for a user or (`shared`) for the instance. Raises Invalid."""
    current = (await cache.catalog()).modules.get(module)
    if current is None:
        raise Invalid.at("/module", "unknown_module", f"There is no module {module[:100]!r}")
    scheme = current.module.auth.get(auth)
    if scheme is None or scheme.type == "none":
        known = ", ".join(one.id for one in current.module.auth.values() if one.type != "none")
        raise Invalid.at("/auth", "unknown_auth", f"{module} can be connected with: {known or 'nothing'}")
    if (scheme.owner == "instance") is not shared:
        message = f"Connections of {module} by {auth} are each user's own"
        if not shared:
            message = f"An administrator connects {module} by {auth} for everybody; you need no connection of your own"
        raise Invalid.at("/auth", "wrong_owner", message)
    return scheme


async def require_client(tx: Transaction, scheme: AuthScheme, module: str, held: Mapping[str, Any]) -> str | None:
    """The id of the OAuth client that a scheme acts as: the connection's own, else the instance's. Raises Invalid."""
    if not scheme.takes_client:
        return None
    own = held.get("client_id")
    if own:
        return str(own)
    client = await oauth_clients.get_client(tx, module=module, auth=scheme.id)
    if client is not None and scheme.client != "connection":
        return client.client_id
    if scheme.client == "instance":
        message = f"An administrator has to store the OAuth client for {module} first"
        raise Invalid.at("/auth", "no_oauth_client", message)
    message = f"Bring an OAuth client that is registered with {module}, or ask an administrator to store one"
    raise Invalid.at("/fields/client_id", "missing", message)


def _acting(owner: UUID | None, by: UUID | None) -> UUID:
    """Whoever acts: anybody may use what is the instance's."""
    found = owner or by
    assert found is not None
    return found


async def find_connection(tx: Transaction, connection_id: str, owner: UUID | None, *, lock: bool = False) -> Connection:
    """A connection of a user, or of the instance. Raises NotFound."""
    wanted = parse_id("conn", connection_id)
    row = await rows.get_connection(tx, owner=owner, connection_id=wanted, lock=lock)
    if row is None:
        raise NotFound
    return row


async def _audit(tx: Transaction, action: str, connection_id: UUID, by: UUID | None, detail: Any = None) -> None:
    await record(tx, action, by=by, object_=format_id("conn", connection_id), detail=detail)


def split_fields(scheme: AuthScheme, fields: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The fields of a connection as (open, secret). Raises Invalid with pointers into them."""
    try:
        return scheme.split(fields)
    except Invalid as error:
        found = [FieldError("/fields" + one.pointer, one.code, one.message) for one in error.errors]
        raise Invalid("The fields do not fit", errors=found) from None


def view_connection(row: Connection) -> dict[str, Any]:
    """A connection as its owner sees it: no secret, but which ones are set."""
    return {
        "id": format_id("conn", row.id),
        "module": row.module,
        "auth": row.auth,
        "name": row.name,
        "label": row.label,
        "status": row.status,
        "status_reason": row.status_reason,
        "fields": {**row.config, **row.hints},
        "created_at": row.created_at,
        "updated_at": row.updated_at,
        "tested_at": row.tested_at,
        "scopes": row.scopes,
        "token_expires_at": row.token_expires_at,
    }
