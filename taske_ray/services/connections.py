"""Connections: made from fields, sealed at once, never shown again (security, 9.5, 9.6). Nothing here can open them."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from taske_ray.clock import new_id
from taske_ray.core.capability import AuthScheme
from taske_ray.core.ids import format_id, parse_id
from taske_ray.core.outcome import Failed, Succeeded
from taske_ray.core.redaction import MASK
from taske_ray.db import audit
from taske_ray.db import connections as rows
from taske_ray.db.database import Database
from taske_ray.db.tables import Connection
from taske_ray.errors import FieldError, Invalid, NotFound
from taske_ray.security.credentials import hints, seal_credentials
from taske_ray.services.catalog_cache import CapabilityCache
from taske_ray.services.ports import Calls, Watchers
from taske_ray.services.sealing import Sealer

_no_tokens = dict.fromkeys(
    ("scopes", "token_at", "refresh_from", "token_expires_at", "refresh_owner", "refresh_until")
) | {"refresh_tries": 0}
"""The credential is a new one: nothing is known of its tokens, and no refresh of the old ones may store any."""


class Connections:
    """What a user can do with connections."""

    def __init__(
        self, database: Database, *, cache: CapabilityCache, sealer: Sealer, calls: Calls, watchers: Watchers
    ) -> None:
        self._database = database
        self._cache = cache
        self._sealer = sealer
        self._calls = calls
        self._watchers = watchers

    async def create(
        self, *, owner: UUID, module: str, auth: str, name: str, fields: Mapping[str, Any]
    ) -> dict[str, Any]:
        """A new connection. Raises Invalid with a pointer for each field that is wrong."""
        config, secret = _split(await self._scheme(module, auth), fields)
        connection_id = new_id()
        row = Connection(id=connection_id, user_id=owner, module=module, auth=auth, name=name, config=config)
        if secret:
            row.data_key, row.sealed = await self._seal(owner, connection_id, secret)
            row.hints = hints(secret)
        async with self._database.transaction(owner=owner) as tx:
            saved = await rows.add_connection(tx, row)
            await _audit(tx, "connection.create", saved)
        return _view(saved)

    async def list(
        self, *, owner: UUID, after: UUID | None = None, limit: int = 50, module: str | None = None
    ) -> Sequence[dict[str, Any]]:
        """A page of connections, newest first."""
        async with self._database.transaction(owner=owner) as tx:
            found = await rows.list_connections(tx, owner=owner, after=after, limit=limit, module=module)
        return [_view(row) for row in found]

    async def get(self, connection_id: str, *, owner: UUID) -> dict[str, Any]:
        """One connection. Raises NotFound."""
        async with self._database.transaction(owner=owner) as tx:
            return _view(await _find(tx, connection_id, owner))

    async def change(
        self, connection_id: str, *, owner: UUID, name: str | None, fields: Mapping[str, Any] | None
    ) -> dict[str, Any]:
        """Another name, other fields. Secrets are given again as a whole; changing an open field needs them too.

        Where a credential may go is an open field: whoever changes it must know the secret (security, 9.6).
        Raises Invalid, NotFound.
        """
        changes: dict[str, Any] = {} if name is None else {"name": name}
        async with self._database.transaction(owner=owner) as tx:
            row = await _find(tx, connection_id, owner)
        if fields is not None:
            changes |= await self._changed_fields(row, fields)
        async with self._database.transaction(owner=owner) as tx:
            row = await _find(tx, connection_id, owner, lock=True)
            saved = await rows.change_connection(tx, row, **changes) if changes else row
            await _audit(tx, "connection.change", saved)
        if "status" in changes:
            await self._resume(saved)
        return _view(saved)

    async def delete(self, connection_id: str, *, owner: UUID) -> None:
        """Destroy the connection; runs that need it fail and use nothing. Raises NotFound."""
        async with self._database.transaction(owner=owner) as tx:
            row = await _find(tx, connection_id, owner)
            await rows.delete_connection(tx, owner=owner, connection_id=row.id)
            await _audit(tx, "connection.delete", row)

    async def test(self, connection_id: str, *, owner: UUID) -> dict[str, Any]:
        """Ask the service whether the credential works. Raises NotFound, Unavailable."""
        async with self._database.transaction(owner=owner) as tx:
            row = await _find(tx, connection_id, owner)
        outcome = await self._calls.test_connection(owner, row.id)
        if isinstance(outcome, Succeeded):
            label = outcome.output.get("label") if isinstance(outcome.output, dict) else None
            text = None if label is None else str(label)[:200]
            async with self._database.transaction(owner=owner) as tx:
                await rows.mark_tested(tx, owner=owner, connection_id=row.id, label=text)
            if row.status != "active":
                await self._resume(row)
            return {"ok": True, "label": text, "error": None}
        if isinstance(outcome, Failed):
            error = {"class": outcome.error_class.value, "code": outcome.code, "message": outcome.message}
            return {"ok": False, "label": None, "error": error}
        return {"ok": False, "label": None, "error": {"code": "no_answer", "message": "The service did not answer"}}

    async def _resume(self, row: Connection) -> None:
        await rows.resume_triggers(self._database, owner=row.user_id, connection_id=row.id)
        self._watchers.changed()

    async def _scheme(self, module: str, auth: str) -> AuthScheme:
        current = (await self._cache.catalog()).modules.get(module)
        if current is None:
            raise Invalid.at("/module", "unknown_module", f"There is no module {module[:100]!r}")
        scheme = current.module.auth.get(auth)
        if scheme is None or scheme.type == "none":
            known = ", ".join(one.id for one in current.module.auth.values() if one.type != "none")
            raise Invalid.at("/auth", "unknown_auth", f"{module} can be connected with: {known or 'nothing'}")
        if not scheme.can_be_made:
            raise Invalid.at("/auth", "unsupported", f"Connections of type {scheme.type} cannot be made from fields")
        return scheme

    async def _changed_fields(self, row: Connection, fields: Mapping[str, Any]) -> dict[str, Any]:
        scheme = await self._scheme(row.module, row.auth)
        open_fields = {name: value for name, value in fields.items() if name not in scheme.secret_names}
        merged = {**row.config, **open_fields}
        given = {name: value for name, value in fields.items() if name in scheme.secret_names and value != MASK}
        if not given and scheme.secret_names and merged == row.config:
            return {}
        config, secret = _split(scheme, {**merged, **given})
        changes: dict[str, Any] = {"config": config, "version": row.version + 1, **_no_tokens}
        changes |= {"status": "active", "status_reason": None}
        if secret:
            changes["data_key"], changes["sealed"] = await self._seal(row.user_id, row.id, secret)
            changes["hints"] = hints(secret)
        return changes

    async def _seal(self, owner: UUID | None, connection_id: UUID, secret: dict[str, Any]) -> tuple[UUID, bytes]:
        key = await self._sealer.key_for(owner, "credentials")
        return key.id, seal_credentials(key, connection_id, secret)


async def _find(tx: Any, connection_id: str, owner: UUID, *, lock: bool = False) -> Connection:
    wanted = parse_id("conn", connection_id)
    row = await rows.get_connection(tx, owner=owner, connection_id=wanted, lock=lock)
    if row is None:
        raise NotFound
    return row


async def _audit(tx: Any, action: str, row: Connection) -> None:
    await audit.add_audit(tx, entry_id=new_id(), action=action, user_id=row.user_id, object_=format_id("conn", row.id))


def _split(scheme: AuthScheme, fields: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    try:
        return scheme.split(fields)
    except Invalid as error:
        found = [FieldError("/fields" + one.pointer, one.code, one.message) for one in error.errors]
        raise Invalid("The fields do not fit", errors=found) from None


def _view(row: Connection) -> dict[str, Any]:
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
    }
