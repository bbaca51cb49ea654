"""Deliveries to the one address of an app: verified once, then judged by each trigger of the tenant that they name.

Every trigger applies its own filter, key and output; what keeps one from running is recorded with that one and holds
up no other: the sender is refused only where nothing ran, because it would send all of it again.
"""

import asyncio
from dataclasses import replace
from datetime import datetime
from typing import Any

from taske_ray.clock import new_id
from taske_ray.core.fire_keys import key_from_outside
from taske_ray.core.ids import format_id
from taske_ray.core.webhook import Accepted, Answer, Delivery, Event, Handshake, Rejected, receive, reception
from taske_ray.db.audit import Entry
from taske_ray.db.fire_values import Fire, Skip, details
from taske_ray.db.fires import FireStore
from taske_ray.errors import Conflict, Invalid, TaskeError, TooManyRequests, Unauthenticated
from taske_ray.services.app_hooks import AppHook, AppRoutes
from taske_ray.services.catalog_cache import CapabilityCache
from taske_ray.services.firing import Firing, refusal_of
from taske_ray.services.hook_limits import HookLimits
from taske_ray.services.trail import Trail


class AppDeliveries:
    """Accepts deliveries to apps."""

    def __init__(
        self,
        store: FireStore,
        *,
        firing: Firing,
        routes: AppRoutes,
        cache: CapabilityCache,
        within: HookLimits,
        trail: Trail,
    ) -> None:
        self._store = store
        self._within = within
        self._trail = trail
        self._firing = firing
        self._routes = routes
        self._cache = cache

    async def accept(self, token_digest: bytes, delivery: Delivery, now: datetime) -> Answer:
        """Record what was delivered; the answer to give after the commit.

        Raises NotFound (no such hook), Unauthenticated (signature), Invalid, TooManyRequests, Conflict (a loop).
        """
        app = await self._routes.find(token_digest)
        found = receive(delivery, app.rules, now)
        if isinstance(found, Handshake):
            return found.answer
        if isinstance(found, Rejected):
            if found.reason == "invalid_signature":
                self._trail.count(_refusal(app, found.code))
                raise Unauthenticated("The signature is missing or wrong", code=found.code)
            raise Invalid(found.message, code=found.code)
        rows = await self._routes.triggers(app, delivery)
        fired = await asyncio.gather(*(self._fired(app, row, delivery, now) for row in rows))
        run_ids = [run_id for each in fired if isinstance(each, list) for run_id in each]
        refusals = [each for each in fired if isinstance(each, TaskeError)]
        if refusals and not run_ids:
            raise refusals[0]
        if isinstance(found, Accepted) and found.answer is not None:
            return found.answer
        return Answer(202, {}, {"run_id": run_ids[0] if run_ids else None, "run_ids": run_ids})

    async def _fired(
        self, app: AppHook, row: dict[str, Any], delivery: Delivery, now: datetime
    ) -> list[str] | TaskeError:
        """The runs of one trigger, or why there are none though it wanted some."""
        capability = await self._cache.pinned(row["capability"], row["capability_version"])
        scope = {"params": capability.params.scope(row["spec"]), "conn": {"config": row["config"], "secret": {}}}
        rules = replace(reception(capability.webhook or {}, verify=(), scope=scope), redactor=app.rules.redactor)
        found = receive(delivery, rules, now)
        if not isinstance(found, Accepted):
            invalid = isinstance(found, Rejected)
            sample = {"code": found.code, "message": found.message} if isinstance(found, Rejected) else None
            await self._store.skip(Skip(row["trigger_id"], "invalid" if invalid else "filtered", 1, sample))
            return []
        try:
            await self._within.keep(row["trigger_id"], row["user_id"], depth=delivery.depth)
        except (TooManyRequests, Conflict) as over:
            return over
        fired = await self._firing.record_together([_fire(row, event, delivery.depth) for event in found.events])
        refused = [one for one in fired if one.status in ("full", "spent")]
        if refused:
            sample = {"detail": details[refused[0].status]}
            await self._store.skip(Skip(row["trigger_id"], "quota", len(refused), sample))
        known = [one for one in fired if one.status == "duplicate"]
        if known:
            sample = {"run_id": format_id("run", known[0].run_id)}
            await self._store.skip(Skip(row["trigger_id"], "duplicate", len(known), sample))
        begun = [format_id("run", one.run_id) for one in fired if one.status in ("created", "duplicate")]
        return refusal_of(refused[0]) if refused else begun


def _refusal(app: AppHook, code: str) -> Entry:
    """A delivery that the app's provider has not signed; many are one entry."""
    return Entry(new_id(), "hook.signature", None, app.module, "refused", detail={"code": code})


def _fire(row: dict[str, Any], event: Event, depth: int) -> Fire:
    run_id = new_id()
    return Fire(
        trigger_id=row["trigger_id"],
        user_id=row["user_id"],
        task_id=row["task_id"],
        task_version=row["version"],
        fire_key=key_from_outside(event.key or str(run_id)),
        run_id=run_id,
        input=event.output,
        trigger_version=row["version"],
        overlap=row["overlap"],
        depth=depth,
    )
