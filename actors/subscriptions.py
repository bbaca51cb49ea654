"""SubscriptionKeeper: registers webhooks at services, checks and renews them, and ends those that nobody wants.

    wanted (enabled triggers) ─▶ subscribing ─▶ active ─▶ ending ─▶ gone
                                      ▲            │ the service has forgotten it
                                      └────────────┘

It lives in the integration clients, because a registration is made with a credential and answers with a secret, and
neither may leave them. What `verify` needs of the connection's own secrets is kept with the registration, sealed for
the purpose `hooks`: the hooks deployment opens no connection. Rows say what is due; a client that dies leaves its rows
to the next one.
"""

import asyncio
import json
import logging
import secrets
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from taske_ray.clock import new_id
from taske_ray.core.call import Call
from taske_ray.core.capability import CallContext, Capability
from taske_ray.core.capability.exchange import subscription as talks
from taske_ray.core.capability.exchange.subscription import Gone, Subscribed
from taske_ray.core.outcome import ErrorClass, Failed, Unknown
from taske_ray.core.subscription import is_given_up, is_near_its_end, next_look_s, wait_s
from taske_ray.core.times import format_time, parse_time
from taske_ray.db.database import Database
from taske_ray.db.subscriptions import DueSubscription, Settled, SubscriptionStore
from taske_ray.errors import NotFound, TaskeError
from taske_ray.integrations.client import IntegrationClient
from taske_ray.security.sealed import Place
from taske_ray.services.catalog_cache import CapabilityCache
from taske_ray.services.hooks import hook_place, subscription_place
from taske_ray.services.sealing import Sealer

_at_once = 20
_request_s = 60.0
_lease_s = 150.0  # longer than that, and than what replaces one registration by another
_log = logging.getLogger(__name__)
Kept = dict[str, Any]
Found = Subscribed | Gone | Failed | Unknown


class SubscriptionKeeper:
    """Looks after registrations; `url` is where webhooks reach this instance."""

    def __init__(
        self, database: Database, *, client: IntegrationClient, cache: CapabilityCache, sealer: Sealer, url: str
    ) -> None:
        self._store = SubscriptionStore(database)
        self._client = client
        self._cache = cache
        self._sealer = sealer
        self._url = url

    async def work(self) -> None:
        """One round: what is wanted, then what is due."""
        await self._store.reconcile()
        due = await self._store.claim(most=_at_once, lease_s=_lease_s)
        await asyncio.gather(*(self._look_after(one) for one in due))

    async def _look_after(self, due: DueSubscription) -> None:
        try:
            capability = await self._cache.pinned(due.capability, due.capability_version)
            kept = await self._kept(due)
            match due.status:
                case "subscribing":
                    await self._subscribe(due, capability, kept)
                case "active":
                    await self._check(due, capability, kept)
                case "ending":
                    await self._end(due, capability, kept)
        except NotFound:
            await self._store.drop(due)  # the capability is gone with its versions: nothing can be said any more
        except TaskeError as error:
            _log.warning("a webhook registration waits: %s", error.code, extra={"trigger_id": str(due.trigger_id)})

    async def _subscribe(self, due: DueSubscription, capability: Capability, kept: Kept) -> None:
        if kept:
            await self._settle(due, capability, kept, await self._subscribed_again(due, capability, kept))
            return
        if due.hook_sealed is None:
            await self._store.drop(due)
            return
        proof = await self._talk(due, capability, lambda _: talks.stand())
        if not isinstance(proof, Subscribed):
            await self._settle(due, capability, kept, proof)
            return
        hook = await self._sealer.open(bytes(due.hook_sealed), hook_place(due.trigger_id), owner=due.user_id)
        url = f"{self._url}/hooks/{json.loads(hook)['token']}"
        kept = {"url": url, "generated": _generated(capability), "proof": proof.proof}
        await self._store.keep(due.id, *await self._sealed(due, kept))
        await self._settle(due, capability, kept, await self._subscribed(due, capability, kept))

    async def _subscribed(self, due: DueSubscription, capability: Capability, kept: Kept) -> Found:
        def talk(context: CallContext) -> talks.Conversation:
            if _block(capability)["subscribe"] is None:
                return talks.stand()
            return talks.subscribe(capability, context, url=kept["url"], generated=kept["generated"])

        return await self._talk(due, capability, talk)

    async def _subscribed_again(self, due: DueSubscription, capability: Capability, kept: Kept) -> Found:
        """The earlier answer may have been lost with the process that waited for it: look before asking again."""
        if talks.finds_existing(capability):
            found = await self._talk(
                due,
                capability,
                lambda context: talks.find_existing(capability, context, url=kept["url"], generated=kept["generated"]),
            )
            if isinstance(found, Subscribed):
                return found
        return await self._subscribed(due, capability, kept)

    async def _talk(
        self, due: DueSubscription, capability: Capability, talk: Callable[[CallContext], talks.Conversation]
    ) -> Found:
        found: Found = await self._client.register(
            capability, _call(due), lambda context: talks.proving(capability, context, talk(context))
        )
        return found

    async def _check(self, due: DueSubscription, capability: Capability, kept: Kept) -> None:
        """Renew what is about to end; else ask whether the service still knows it, if there is a way to ask."""
        if not kept["url"].startswith(f"{self._url}/hooks/"):  # this instance has another public address by now
            await self._replace(due, capability, kept)
            return
        renewal = _block(capability)["renew"]
        if renewal is not None and is_near_its_end(due.now, due.expires_at, renewal["before"]):
            if renewal["request"] is None:
                await self._replace(due, capability, kept)
                return
            found = await self._asked(due, capability, kept, talks.renew)
        elif _block(capability)["check"] is not None:
            found = await self._asked(due, capability, kept, talks.check)
        else:
            found = Subscribed(kept["state"])
        if isinstance(found, Gone):  # registered anew, with fresh secrets
            await self._store.settle(due, Settled("subscribing", 0.0, None, None))
            return
        await self._settle(due, capability, kept, found)

    async def _replace(self, due: DueSubscription, capability: Capability, kept: Kept) -> None:
        """Register anew, then end the former registration."""
        url = f"{self._url}/hooks/{kept['url'].rpartition('/')[2]}"
        fresh = {**kept, "url": url, "generated": _generated(capability)}
        found = await self._subscribed(due, capability, fresh)
        if not isinstance(found, Subscribed):
            await self._settle(due, capability, kept, found)
            return
        left_id = new_id()
        left = Settled("ending", 0.0, *await self._sealed(due, kept, place=subscription_place(left_id)))
        await self._store.replace(due, left, left_id, await self._standing(due, capability, fresh, found))

    async def _end(self, due: DueSubscription, capability: Capability, kept: Kept) -> None:
        if "state" not in kept or _block(capability)["unsubscribe"] is None:
            await self._store.drop(due)
            return
        if due.succeeded and not talks.ends_by_name(capability):
            await self._store.drop(due)  # the request would end what has taken its place
            return
        found = await self._asked(due, capability, kept, talks.unsubscribe)
        hopeless = isinstance(found, Failed) and found.error_class in (ErrorClass.AUTH_REVOKED, ErrorClass.PERMISSION)
        if isinstance(found, Gone) or hopeless or is_given_up(due.tries) or _has_no_connection(found):
            if not isinstance(found, Gone):
                _log.warning("a webhook stays registered at its service", extra={"trigger_id": str(due.trigger_id)})
            await self._store.drop(due)
            return
        await self._settle(due, capability, kept, found)

    async def _asked(self, due: DueSubscription, capability: Capability, kept: Kept, make: Any) -> Found:
        return await self._talk(
            due, capability, lambda context: make(capability, context, url=kept["url"], state=kept["state"])
        )

    async def _settle(self, due: DueSubscription, capability: Capability, kept: Kept, found: Found) -> None:
        if isinstance(found, Subscribed):
            await self._store.settle(due, await self._standing(due, capability, kept, found))
            return
        error = {"code": found.code, "message": found.message} if isinstance(found, Failed | Unknown) else None
        retry_after_s = found.retry_after_s if isinstance(found, Failed) else None
        settled = Settled(
            due.status,
            wait_s(due.tries, retry_after_s),
            *await self._sealed(due, kept),
            expires_at=due.expires_at,
            tries=due.tries + 1,
            error=error,
        )
        await self._store.settle(due, settled)

    async def _standing(self, due: DueSubscription, capability: Capability, kept: Kept, found: Subscribed) -> Settled:
        """An active registration, and when to look at it next."""
        renewal = _block(capability)["renew"]
        expires_at = _moment(found.expires_at) or (due.expires_at if found.expires_at is None else None)
        again_s = next_look_s(
            due.now,
            checks=_block(capability)["check"] is not None,
            expires_at=expires_at if renewal is not None else None,
            before=renewal["before"] if renewal is not None else timedelta(),
        )
        proof = found.proof or kept.get("proof", {})
        sealed = await self._sealed(due, {**kept, "state": found.state, "proof": proof})
        return Settled("active", again_s, *sealed, expires_at=expires_at)

    async def _kept(self, due: DueSubscription) -> Kept:
        if due.sealed is None:
            return {}
        found: Kept = json.loads(
            await self._sealer.open(bytes(due.sealed), subscription_place(due.id), owner=due.user_id)
        )
        return found

    async def _sealed(
        self, due: DueSubscription, kept: Kept, place: Place | None = None
    ) -> tuple[uuid.UUID | None, bytes | None]:
        if not kept:
            return None, None
        text = json.dumps(kept).encode()
        return await self._sealer.seal(
            text, owner=due.user_id, purpose="hooks", place=place or subscription_place(due.id)
        )


def _call(due: DueSubscription) -> Call:
    return Call(
        id=f"subscription:{due.id}",
        user_id=due.user_id,
        capability=due.capability,
        version=due.capability_version,
        params=due.spec,
        now=format_time(due.now),
        connection_id=due.connection_id,
        timeout_s=_request_s,
        lease_ends_at=due.taken_until.timestamp(),
    )


def _generated(capability: Capability) -> dict[str, str]:
    """Fresh random values as the document asks for them."""
    wanted = (_block(capability)["subscribe"] or {"generate": {}})["generate"]
    return {name: _random(each["type"], each["bytes"]) for name, each in wanted.items()}


def _random(kind: str, size: int) -> str:
    if kind == "uuid":
        return str(uuid.UUID(bytes=secrets.token_bytes(16), version=4))
    return secrets.token_hex(size) if kind == "hex" else secrets.token_urlsafe(size)


def _has_no_connection(found: Found) -> bool:
    return isinstance(found, Failed) and found.code in ("unknown_connection", "connection_required")


def _moment(text: str | None) -> datetime | None:
    """When a registration ends; None for what is no time."""
    try:
        return parse_time(text) if text else None
    except ValueError:
        return None


def _block(capability: Capability) -> dict[str, Any]:
    assert capability.webhook is not None
    return capability.webhook
