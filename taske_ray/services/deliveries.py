"""Incoming webhooks: token, signature, one transaction, and only then an answer (durability, 9). The hot path.

Definitions of hooks are kept in memory for seconds; the fire statement checks again that the trigger is still there,
enabled and of the version that the delivery was verified against. Whatever is refused on a remembered definition is
judged once more on a fresh one.
"""

import asyncio
import contextlib
import json
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from taske_ray.clock import Clock, new_id
from taske_ray.core.capability import parse_verify
from taske_ray.core.ids import format_id
from taske_ray.core.webhook import (
    Accepted,
    Answer,
    Delivery,
    Event,
    Filtered,
    Handshake,
    Reception,
    Rejected,
    receive_by_any,
    reception,
)
from taske_ray.crash_points import reach
from taske_ray.db.audit import Entry
from taske_ray.db.database import Database
from taske_ray.db.fire_values import Fire, Fired, Skip, details
from taske_ray.db.fires import FireStore
from taske_ray.db.history import History, StoredRun
from taske_ray.db.subscriptions import live_subscriptions
from taske_ray.db.tasks import find_hook
from taske_ray.deadline import within
from taske_ray.errors import Invalid, NotFound, Unauthenticated, Unavailable
from taske_ray.limits import Limits, profiles
from taske_ray.security.tokens import digest
from taske_ray.services.app_deliveries import AppDeliveries
from taske_ray.services.app_hooks import AppRoutes
from taske_ray.services.catalog_cache import CapabilityCache
from taske_ray.services.firing import Firing, refusal_of
from taske_ray.services.hook_limits import HookLimits
from taske_ray.services.hooks import open_hook, subscription_place
from taske_ray.services.sealing import Sealer
from taske_ray.services.trail import Trail

_kept = 10_000
_answered_within_s = 4.5  # 9.5: a sender hears within five seconds that the database is away
_patience_s = 25.0
_first_look_s = 0.02
_longest_look_s = 0.5
_trusted_s = 5.0  # what a remembered hook is checked with may have been replaced by then
_finished = frozenset({"succeeded", "failed", "cancelled", "needs_attention"})


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


@dataclass(frozen=True, slots=True)
class FailedRun:
    """A run that was to give the answer and has failed or was cancelled."""

    run_id: str
    status: str
    error: Any


@dataclass(frozen=True, slots=True)
class Received:
    """What became of a delivery: the answer to give, or the run that gives none."""

    status: int
    body: Any
    headers: dict[str, str] | None = None
    failed: FailedRun | None = None


class Deliveries:
    """Accepts deliveries."""

    def __init__(
        self,
        database: Database,
        *,
        store: FireStore,
        firing: Firing,
        cache: CapabilityCache,
        sealer: Sealer,
        clock: Clock,
        trail: Trail,
        limits: Limits = profiles["default"],
    ) -> None:
        self._database = database
        self._history = History(database)
        self._store = store
        self._firing = firing
        self._cache = cache
        self._sealer = sealer
        self._clock = clock
        self._trail = trail
        self._within = HookLimits(store, firing=firing, limits=limits, monotonic=clock.monotonic)
        self._hooks: OrderedDict[bytes, Hook] = OrderedDict()
        self._loads: dict[bytes, asyncio.Task[Hook]] = {}
        routes = AppRoutes(database, cache=cache, sealer=sealer)
        self._apps = AppDeliveries(store, firing=firing, routes=routes, cache=cache, within=self._within, trail=trail)

    async def accept(self, token: str, delivery: Delivery) -> Received:
        """Record what was delivered; returns after the commit.

        Raises NotFound (no such hook, or disabled), Unauthenticated (signature), Invalid, TooManyRequests, Conflict (a
        loop of runs), and Unavailable when the database did not commit in time: then nobody knows, and the delivery is
        to come again.
        """
        try:
            found = await within(_answered_within_s, self._accepted(token, delivery))
        except TimeoutError:
            raise Unavailable("The database does not answer", retry_after_s=2) from None
        return await self._result(*found) if isinstance(found, tuple) else found

    async def _accepted(self, token: str, delivery: Delivery) -> "Received | tuple[Hook, Fired]":
        """The answer, or the run whose result is the answer."""
        reach("C1")
        key, now = digest(token), self._clock.now()
        hook = await self._remembered(key)
        if hook is not None:
            found = receive_by_any(delivery, hook.rules, now)
            if isinstance(found, Accepted):
                received = await self._record(hook, found, delivery.depth)
                if received is not None:
                    return received
        try:
            hook = await self._load(key)
        except NotFound:
            return _answered(await self._apps.accept(key, delivery, now))
        return await self._judge(hook, delivery, now)

    async def _judge(self, hook: Hook, delivery: Delivery, now: datetime) -> "Received | tuple[Hook, Fired]":
        found = receive_by_any(delivery, hook.rules, now)
        match found:
            case Accepted():
                received = await self._record(hook, found, delivery.depth)
                if received is None:
                    raise NotFound
                return received
            case Handshake(answer):
                await self._skip(hook, "handshake")
                return _answered(answer)
            case Filtered():
                await self._skip(hook, "filtered")
                return Received(202, {"run_id": None})
            case Rejected(reason, code, message):
                await self._skip(hook, reason, {"code": code, "message": message})
                if reason == "invalid_signature":
                    self._trail.count(_refusal(hook, code))
                    raise Unauthenticated("The signature is missing or wrong", code=code)
                raise Invalid(message, code=code)

    async def _record(self, hook: Hook, accepted: Accepted, depth: int) -> "Received | tuple[Hook, Fired] | None":
        """Fire every event of a delivery; None when the trigger is gone, disabled or another version."""
        await self._within.keep(hook.trigger_id, hook.user_id, depth=depth)
        if len(accepted.events) == 1:
            fired = [await self._firing.record(_fire(hook, accepted.events[0], depth))]
        else:
            fires = [_fire(hook, event, depth) for event in accepted.events]
            fired = await asyncio.gather(*map(self._firing.record, fires))
        statuses = {one.status for one in fired}
        if "gone" in statuses:
            return None
        refused = [one for one in fired if one.status in ("full", "spent")]
        if refused:
            await self._skip(hook, "quota", {"detail": details[refused[0].status]}, len(refused))
            raise refusal_of(refused[0])
        known = [one for one in fired if one.status == "duplicate"]
        if known:
            await self._skip(hook, "duplicate", {"run_id": format_id("run", known[0].run_id)}, len(known))
        begun = [one for one in fired if one.status != "overlap"]
        if hook.responds_with_result and begun:
            return hook, begun[0]
        return _answered(accepted.answer) if accepted.answer else Received(202, _run_ids(begun))

    async def _remembered(self, key: bytes) -> Hook | None:
        """The hook as it was seconds ago, or as somebody is about to find it: many at once cause one look."""
        hook = self._hooks.get(key)
        if hook is not None and self._clock.monotonic() - hook.loaded_at < _trusted_s:
            return hook
        load = self._loads.get(key)
        try:
            return None if load is None else await asyncio.shield(load)
        except NotFound:
            return None

    async def _load(self, key: bytes) -> Hook:
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
            loaded_at=self._clock.monotonic(),
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

    async def _skip(self, hook: Hook, reason: str, sample: Any = None, count: int = 1) -> None:
        await self._store.skip(Skip(hook.trigger_id, reason, count, sample))

    async def _result(self, hook: Hook, fired: Fired) -> Received:
        """The last output of a run, when it is there in time; a lost waiter, or a lost database, loses nothing."""
        try:
            return await within(_patience_s, self._finished(hook, fired.run_id))
        except TimeoutError:
            return Received(202, {"run_id": format_id("run", fired.run_id)})

    async def _finished(self, hook: Hook, run_id: UUID) -> Received:
        """The answer as soon as the run is over; a database that is away is asked again."""
        pause = _first_look_s
        while True:
            with contextlib.suppress(Unavailable):
                run = await self._history.get(owner=hook.user_id, run_id=run_id)
                if run is not None and run.status in _finished:
                    return await self._answer_of(hook, run)
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, _longest_look_s)

    async def _answer_of(self, hook: Hook, run: StoredRun) -> Received:
        run_id = format_id("run", run.id)
        if run.status == "needs_attention":
            return Received(202, {"run_id": run_id})
        if run.status != "succeeded":
            return Received(502, None, failed=FailedRun(run_id, run.status, run.error))
        steps = await self._history.steps(owner=hook.user_id, run_id=run.id)
        outputs = [step.output for step in steps if step.status == "succeeded"]
        return Received(200, outputs[-1] if outputs else None)


def _fire(hook: Hook, event: Event, depth: int) -> Fire:
    run_id = new_id()
    return Fire(
        trigger_id=hook.trigger_id,
        user_id=hook.user_id,
        task_id=hook.task_id,
        task_version=hook.version,
        fire_key=event.key or str(run_id),
        run_id=run_id,
        input=event.output,
        trigger_version=hook.version,
        overlap=hook.overlap,
        depth=depth,
    )


def _refusal(hook: Hook, code: str) -> Entry:
    """A delivery without the signature that its task asks for; many are one entry."""
    return Entry(
        new_id(), "hook.signature", hook.user_id, format_id("task", hook.task_id), "refused", detail={"code": code}
    )


def _run_ids(fired: list[Fired]) -> dict[str, Any]:
    ids = [format_id("run", one.run_id) for one in fired]
    if not ids:
        return {"run_id": None}  # another run of the task is live, and the task says that one is enough
    return {"run_id": ids[0]} if len(ids) == 1 else {"run_id": ids[0], "run_ids": ids}


def _answered(answer: Answer) -> Received:
    return Received(answer.status, answer.body, dict(answer.headers))
