"""Incoming webhooks: token, signature, one transaction, and only then an answer (durability, 9). The hot path.

The fire statement checks again that the trigger is still there, enabled and of the version that the delivery was
verified against. Whatever is refused on a remembered hook (`known_hooks.py`) is judged once more on a fresh one.
"""

import asyncio
import contextlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from taske_ray.clock import Clock, new_id
from taske_ray.core.fire_keys import key_from_outside
from taske_ray.core.ids import format_id
from taske_ray.core.webhook import (
    Accepted,
    Answer,
    Delivery,
    Event,
    Filtered,
    Handshake,
    Rejected,
    receive_by_any,
)
from taske_ray.crash_points import reach
from taske_ray.db.audit import Entry
from taske_ray.db.database import Database
from taske_ray.db.fire_values import Fire, Fired, Skip, details
from taske_ray.db.fires import FireStore
from taske_ray.db.history import History, StoredRun
from taske_ray.deadline import within
from taske_ray.errors import Invalid, NotFound, Unauthenticated, Unavailable
from taske_ray.limits import Limits, profiles
from taske_ray.places import Places
from taske_ray.security.tokens import digest
from taske_ray.services.app_deliveries import AppDeliveries
from taske_ray.services.app_hooks import AppRoutes
from taske_ray.services.catalog_cache import CapabilityCache
from taske_ray.services.firing import Firing, refusal_of
from taske_ray.services.hook_limits import HookLimits
from taske_ray.services.known_hooks import Hook, KnownHooks
from taske_ray.services.sealing import Sealer
from taske_ray.services.trail import Trail

_at_once, _at_once_shared = 100, 24
"""Deliveries in one process that are worked on together, of one hook and of several; the others take turns, so that
nobody's flood is a line for everybody."""
_answered_within_s = 4.5  # 9.5: a sender hears within five seconds that the database is away
_patience_s = 25.0
_first_look_s = 0.02
_longest_look_s = 0.5
_finished = frozenset({"succeeded", "failed", "cancelled", "needs_attention"})


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
        self._history = History(database)
        self._store = store
        self._firing = firing
        self._clock = clock
        self._trail = trail
        self._places = Places(_at_once, shared=_at_once_shared)
        self._within = HookLimits(store, firing=firing, limits=limits, monotonic=clock.monotonic)
        self._hooks = KnownHooks(database, store=store, cache=cache, sealer=sealer, monotonic=clock.monotonic)
        routes = AppRoutes(database, cache=cache, sealer=sealer)
        self._apps = AppDeliveries(store, firing=firing, routes=routes, cache=cache, within=self._within, trail=trail)

    async def accept(self, token: str, delivery: Delivery) -> Received:
        """Record what was delivered; returns after the commit.

        Raises NotFound (no such hook, or disabled), Unauthenticated (signature), Invalid, TooManyRequests, Conflict (a
        loop of runs), and Unavailable when the database did not commit in time: then nobody knows, and the delivery is
        to come again.
        """
        try:
            found = await within(_answered_within_s, self._in_turn(digest(token), delivery))
        except TimeoutError:
            raise Unavailable("The database does not answer", retry_after_s=2) from None
        return await self._result(*found) if isinstance(found, tuple) else found

    async def _in_turn(self, key: bytes, delivery: Delivery) -> "Received | tuple[Hook, Fired]":
        reach("C1")
        await self._places.enter(whose=key)
        try:
            return await self._accepted(key, delivery)
        finally:
            self._places.leave()

    async def _accepted(self, key: bytes, delivery: Delivery) -> "Received | tuple[Hook, Fired]":
        """The answer, or the run whose result is the answer."""
        now = self._clock.now()
        hook = await self._hooks.remembered(key)
        if hook is not None:
            found = receive_by_any(delivery, hook.rules, now)
            if isinstance(found, Accepted):
                received = await self._record(hook, found, delivery.depth)
                if received is not None:
                    return received
        try:
            hook = await self._hooks.load(key)
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
        """Fire all events of a delivery or none; None when the trigger is gone, disabled or another version."""
        await self._within.keep(hook.trigger_id, hook.user_id, depth=depth)
        fired = await self._firing.record_together([_fire(hook, event, depth) for event in accepted.events])
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
        fire_key=key_from_outside(event.key or str(run_id)),
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
