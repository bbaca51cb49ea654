"""The hooks that one process knows, ready to judge deliveries: kept for seconds, looked up once for many at once."""

import asyncio
import json
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from taske_ray.core.capability import parse_verify
from taske_ray.core.webhook import Reception, reception
from taske_ray.db.database import Database
from taske_ray.db.fire_values import Skip
from taske_ray.db.fires import FireStore
from taske_ray.db.subscriptions import live_subscriptions
from taske_ray.db.tasks import find_hook
from taske_ray.errors import NotFound, Unavailable
from taske_ray.services.catalog_cache import CapabilityCache
from taske_ray.services.hooks import open_hook, subscription_place
from taske_ray.services.sealing import Sealer

_kept = 10_000
_trusted_s = 5.0  # what a remembered hook is checked with may have been replaced by then


@dataclass(frozen=True, slots=True)
class Hook:
    """A webhook trigger, ready to judge deliveries."""

    trigger_id: UUID
    user_id: UUID
    task_id: UUID
    version: int
    enabled: bool
    overlap: str
    rules: tuple[Reception, ...]
    responds_with_result: bool
    loaded_at: float


class KnownHooks:
    """Hooks by the digest of their tokens."""

    def __init__(
        self,
        database: Database,
        *,
        store: FireStore,
        cache: CapabilityCache,
        sealer: Sealer,
        monotonic: Callable[[], float],
    ) -> None:
        self._database = database
        self._store = store
        self._cache = cache
        self._sealer = sealer
        self._monotonic = monotonic
        self._hooks: OrderedDict[bytes, Hook] = OrderedDict()
        self._loads: dict[bytes, asyncio.Task[Hook]] = {}

    async def remembered(self, key: bytes) -> Hook | None:
        """The hook as it was seconds ago, or as somebody is about to find it: many at once cause one look."""
        hook = self._hooks.get(key)
        if hook is not None and self._monotonic() - hook.loaded_at < _trusted_s:
            return hook
        load = self._loads.get(key)
        try:
            return None if load is None else await asyncio.shield(load)
        except NotFound:
            return None

    async def load(self, key: bytes) -> Hook:
        """The hook as it is now. Raises NotFound."""
        load = asyncio.get_running_loop().create_task(self._look_up(key))
        self._loads[key] = load
        load.add_done_callback(lambda done: self._looked_up(key, done))
        return await asyncio.shield(load)  # others may wait for it, too

    def _looked_up(self, key: bytes, load: asyncio.Task[Hook]) -> None:
        if self._loads.get(key) is load:
            del self._loads[key]
        if not load.cancelled():
            load.exception()  # perhaps nobody waits for it any more

    async def _look_up(self, key: bytes) -> Hook:
        """Read it from its rows; only enabled ones are remembered."""
        self._hooks.pop(key, None)
        row = await find_hook(self._database, digest=key)
        if row is None:
            raise NotFound
        if not row["enabled"]:
            await self._store.skip(Skip(row["trigger_id"], "disabled"))
            raise NotFound
        hook = await self._build(row)
        self._hooks[key] = hook
        if len(self._hooks) > _kept:
            self._hooks.popitem(last=False)
        return hook

    async def _build(self, row: dict[str, Any]) -> Hook:
        capability = await self._cache.pinned(row["capability"], row["capability_version"])
        params, opened = row["spec"], open_hook(self._sealer, row)
        verify, secrets = None, [opened[name] for name in ("secret", "token") if name in opened]
        if params.get("verify"):
            secret = {"secret": opened["secret"]} if "secret" in opened else {}
            verify = [parse_verify({**params["verify"], **secret})]
        scope, config = {"params": capability.params.scope(params)}, row["config"] or {}
        rules = tuple(
            reception(
                capability.webhook or {},
                verify=verify,
                dedupe_header=params.get("dedupe_header"),
                scope={**scope, "conn": {"config": config, "secret": proof}, "hook": {"state": state, "url": None}},
                secrets=[*secrets, *state.values(), *proof.values()],
            )
            for state, proof in await self._kept_of(row)
        )
        return Hook(
            trigger_id=row["trigger_id"],
            user_id=row["user_id"],
            task_id=row["task_id"],
            version=row["version"],
            enabled=row["enabled"],
            overlap=row["overlap"],
            rules=rules,
            responds_with_result=params.get("respond") == "result",
            loaded_at=self._monotonic(),
        )

    async def _kept_of(self, row: dict[str, Any]) -> list[tuple[dict[str, Any], dict[str, Any]]]:
        """What each live registration of the trigger keeps: its state, and what it needs of the connection's secrets.

        Before the service has answered the state is what was made for it. Raises Unavailable while nothing is kept yet
        that could tell a genuine delivery.
        """
        if row["hook_mode"] not in ("subscribe", "verified"):
            return [({}, {})]
        kept = [
            json.loads(
                await self._sealer.open(bytes(each["sealed"]), subscription_place(each["id"]), owner=row["user_id"])
            )
            for each in await live_subscriptions(self._database, trigger_id=row["trigger_id"])
        ]
        if not kept and row["hook_mode"] == "verified" and row["config"] is not None:
            raise Unavailable("What its signatures are checked with is not there yet", retry_after_s=2)
        gone = row["config"] is None  # with its connection goes what was kept of it
        return [(one.get("state", one["generated"]), {} if gone else one.get("proof", {})) for one in kept] or [
            ({}, {})
        ]
