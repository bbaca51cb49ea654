"""The hook of a webhook trigger: its token, shown to its owner only, and the literal secret of its signature check.

Both are sealed together (purpose `hooks`); what is stored in the open is the token's digest and a masked parameter.
"""

import json
from typing import Any
from uuid import UUID

from taske_ray.core.redaction import MASK
from taske_ray.core.template import contains_template
from taske_ray.db.tasks import HookRow, StoredTask
from taske_ray.errors import Invalid
from taske_ray.security.sealed import Place, WrappedKey
from taske_ray.security.tokens import digest, new_token
from taske_ray.services.sealing import Sealer


class Hooks:
    """Makes hooks and shows them to their owners."""

    def __init__(self, sealer: Sealer, *, url: str) -> None:
        self._sealer = sealer
        self._url = url

    async def make(
        self, params: dict[str, Any], *, owner: UUID, trigger_id: UUID, before: StoredTask | None
    ) -> tuple[HookRow, dict[str, Any]]:
        """The hook of a trigger with these parameters, and the parameters as they may be stored.

        A trigger that had a hook keeps its token, and its secret where the mask was sent back. Raises Invalid.
        """
        old = await self._opened(before) if before is not None and before.hook_sealed else {}
        secret, masked = _split(params)
        if secret == MASK:
            secret = old.get("secret")
            if secret is None:
                raise Invalid.at("/trigger/params/verify/secret", "missing", "Write the secret itself")
        hook = {"token": old.get("token") or new_token()} | ({"secret": secret} if secret is not None else {})
        if hook == old and before is not None:
            return HookRow(before.hook_hash, before.hook_data_key, before.hook_sealed), masked
        return await self._sealed(hook, owner, trigger_id), masked

    async def rotated(self, task: StoredTask) -> HookRow:
        """The same hook with another token."""
        return await self._sealed(await self._opened(task) | {"token": new_token()}, task.user_id, task.trigger_id)

    async def url_of(self, task: StoredTask) -> str | None:
        """Where deliveries go; None for other triggers. Raises VaultError."""
        if not task.hook_sealed:
            return None
        return f"{self._url}/hooks/{(await self._opened(task))['token']}"

    async def _sealed(self, hook: dict[str, Any], owner: UUID, trigger_id: UUID) -> HookRow:
        data_key, sealed = await self._sealer.seal(
            json.dumps(hook).encode(), owner=owner, purpose="hooks", place=hook_place(trigger_id)
        )
        return HookRow(digest(hook["token"]), data_key, sealed)

    async def _opened(self, task: StoredTask) -> dict[str, Any]:
        assert task.hook_sealed is not None
        opened = await self._sealer.open(bytes(task.hook_sealed), hook_place(task.trigger_id), owner=task.user_id)
        found: dict[str, Any] = json.loads(opened)
        return found


def hook_place(trigger_id: UUID) -> Place:
    """Where a sealed hook stands."""
    return Place("triggers", trigger_id, "hook_sealed")


def subscription_place(subscription_id: UUID) -> Place:
    """Where the secrets of a registration at a service stand."""
    return Place("subscriptions", subscription_id, "sealed")


def open_hook(sealer: Sealer, row: dict[str, Any]) -> dict[str, Any]:
    """The hook `{token, secret?}` of a row that was read together with its wrapped data key. Raises VaultError."""
    wrapped = WrappedKey(
        row["hook_data_key"], row["key_owner"], "hooks", row["key_version"], row["kek_id"], bytes(row["wrapped"])
    )
    opened = sealer.open_with(wrapped, bytes(row["hook_sealed"]), hook_place(row["trigger_id"]))
    found: dict[str, Any] = json.loads(opened)
    return found


def _split(params: dict[str, Any]) -> tuple[str | None, dict[str, Any]]:
    """A literal secret of the signature check, and the parameters with it masked."""
    verify = params.get("verify")
    secret = verify.get("secret") if isinstance(verify, dict) else None
    if not isinstance(secret, str) or contains_template(secret):
        return None, params
    return secret, {**params, "verify": {**params["verify"], "secret": MASK}}
