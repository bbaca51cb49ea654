"""The one address of a module for all users of its app (format, `app_webhook`): kept by admins, routed by tenant."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from taske_ray.core.capability import Module
from taske_ray.core.capability.params import ParamsSchema
from taske_ray.core.redaction import Redactor
from taske_ray.core.webhook import Delivery, Reception, routed_by
from taske_ray.db.app_hooks import AppHookRows, find_app_hook, triggers_of_app
from taske_ray.db.database import Database
from taske_ray.errors import Conflict, FieldError, Invalid, NotFound
from taske_ray.security.sealed import Place, WrappedKey
from taske_ray.security.tokens import digest, new_token
from taske_ray.services.catalog_cache import CapabilityCache
from taske_ray.services.sealing import Sealer


class AppHooks:
    """What admins do with the hooks of apps."""

    def __init__(self, database: Database, *, cache: CapabilityCache, sealer: Sealer, url: str) -> None:
        self._rows = AppHookRows(database)
        self._cache = cache
        self._sealer = sealer
        self._url = url

    async def get(self, module: str, *, admin: UUID) -> dict[str, Any]:
        """The address, and which secrets are set. Raises NotFound."""
        kept = await self._kept(module, admin)
        if kept is None:
            raise NotFound
        return self._view(module, kept)

    async def put(self, module: str, fields: Mapping[str, Any], *, admin: UUID) -> dict[str, Any]:
        """Save the app's secrets; its address stays the same. Raises NotFound, Conflict, Invalid."""
        found = await self._cache.module(module)
        block = _block(found)
        try:
            filled = ParamsSchema({"additionalProperties": False, **block["fields"]}).fill(dict(fields), now="")
        except Invalid as error:
            errors = [FieldError("/fields" + one.pointer, one.code, one.message) for one in error.errors]
            raise Invalid(error.message, errors=errors) from None
        before = await self._kept(module, admin)
        token: str = before["token"] if before else new_token()
        kept = {"token": token, "fields": filled}
        data_key, sealed = await self._sealer.seal(
            json.dumps(kept).encode(), owner=None, purpose="hooks", place=_place(module)
        )
        await self._rows.put(module, admin=admin, digest=digest(token), data_key=data_key, sealed=sealed)
        return self._view(module, kept)

    async def delete(self, module: str, *, admin: UUID) -> None:
        """End the address at once. Raises NotFound."""
        if not await self._rows.delete(module, admin=admin):
            raise NotFound

    async def _kept(self, module: str, admin: UUID) -> dict[str, Any] | None:
        row = await self._rows.get(module, admin=admin)
        if row is None:
            return None
        found: dict[str, Any] = json.loads(await self._sealer.open(bytes(row.sealed), _place(module), owner=None))
        return found

    def _view(self, module: str, kept: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "module": module,
            "hook_url": f"{self._url}/hooks/{kept['token']}",
            "fields": {name: {"set": value is not None} for name, value in kept["fields"].items()},
        }


@dataclass(frozen=True, slots=True)
class AppHook:
    """An app's hook, ready to judge deliveries; `match` is the connection's field that tells tenants apart."""

    module: str
    rules: Reception
    by: Any
    match: str


class AppRoutes:
    """From a delivery to an app to the triggers that it is for."""

    def __init__(self, database: Database, *, cache: CapabilityCache, sealer: Sealer) -> None:
        self._database = database
        self._cache = cache
        self._sealer = sealer

    async def find(self, token_digest: bytes) -> AppHook:
        """The app's hook behind a token. Raises NotFound, also where the module has no such block any more."""
        row = await find_app_hook(self._database, digest=token_digest)
        if row is None:
            raise NotFound
        try:
            block = _block(await self._cache.module(row["module"]))
        except Conflict:
            raise NotFound from None
        wrapped = WrappedKey(
            row["data_key"], row["key_owner"], "hooks", row["key_version"], row["kek_id"], bytes(row["wrapped"])
        )
        kept = json.loads(self._sealer.open_with(wrapped, bytes(row["sealed"]), _place(row["module"])))
        rules = Reception(
            verify=block["verify"],
            handshake=block["handshake"],
            respond=block["respond"],
            scope={"app": {"secret": kept["fields"]}},
            redactor=Redactor([kept["token"], *kept["fields"].values()]),
        )
        return AppHook(row["module"], rules, block["route"]["by"], block["route"]["match"])

    async def triggers(self, hook: AppHook, delivery: Delivery) -> list[dict[str, Any]]:
        """The rows of the enabled triggers that a genuine delivery is for."""
        tenant = routed_by(delivery, hook.by)
        if tenant is None:
            return []
        return await triggers_of_app(self._database, module=hook.module, match=hook.match, tenant=tenant)


def _block(module: Module) -> dict[str, Any]:
    if module.app_webhook is None or module.app_webhook["route"] is None:
        raise Conflict(f"{module.id} has no webhook for all users of its app", code="no_app_webhook")
    return module.app_webhook


def _place(module: str) -> Place:
    return Place("app_hooks", module, "sealed")
