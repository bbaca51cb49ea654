"""Tasks: what a user defines, changes, switches and fires by hand. The trigger's row moves in the same statement."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from taske_ray.clock import new_id
from taske_ray.core.capability import Capability
from taske_ray.core.capability.exchange.subscription import verifies_by_connection
from taske_ray.core.fire_keys import key_by_hand
from taske_ray.core.ids import format_id, parse_id
from taske_ray.core.times import format_time
from taske_ray.db.database import Database
from taske_ray.db.fire_values import Fire
from taske_ray.db.tasks import HookRow, StoredTask, TaskRows, TaskText, TriggerRow
from taske_ray.errors import Conflict, Invalid, NotFound, PreconditionFailed
from taske_ray.limits import Limits, codes, profiles
from taske_ray.services.catalog_cache import CapabilityCache
from taske_ray.services.firing import Firing
from taske_ray.services.hooks import Hooks
from taske_ray.services.ports import Watchers
from taske_ray.services.schedules import schedule_of
from taske_ray.services.task_checks import Checked, TaskChecks
from taske_ray.services.task_views import task_view, version_view
from taske_ray.services.trail import entry_of

_tries = 5


class Tasks:
    """What a user can do with tasks. After each change the watchers are nudged."""

    def __init__(
        self,
        database: Database,
        *,
        cache: CapabilityCache,
        hooks: Hooks,
        firing: Firing,
        watchers: Watchers,
        limits: Limits = profiles["default"],
        reachable: bool = True,
    ) -> None:
        """`reachable`: services outside can reach our webhooks, because the operator named a public URL."""
        self._rows = TaskRows(database)
        self._cache = cache
        self._checks = TaskChecks(database, cache, limits)
        self._hooks = hooks
        self._firing = firing
        self._watchers = watchers
        self._reachable = reachable
        self._most = limits.tasks

    async def create(self, document: dict[str, Any], *, owner: UUID) -> dict[str, Any]:
        """Save a new task. Raises Invalid with every error there is."""
        now = await self._rows.now()
        checked = await self._checks.check(document, owner=owner, now=now)
        task_id, trigger_id = new_id(), new_id()
        text = await self._text(checked, owner, trigger_id, now, None)
        entry = entry_of("task.create", owner, format_id("task", task_id))
        if not await self._rows.create(
            owner=owner, task_id=task_id, trigger_id=trigger_id, task=text, limit=self._most, entry=entry
        ):
            raise Invalid(f"You have {self._most} tasks, which is the limit", code=codes["tasks"])
        self._watchers.changed()
        return await self.get(format_id("task", task_id), owner=owner)

    async def get(self, task_id: str, *, owner: UUID) -> dict[str, Any]:
        """One task. Raises NotFound."""
        return await task_view(await self.stored(task_id, owner=owner), self._hooks)

    async def list(
        self, *, owner: UUID, after: UUID | None = None, limit: int = 50, name: str | None = None
    ) -> Sequence[dict[str, Any]]:
        """A page of tasks, newest first; `name` finds those of exactly this name."""
        rows = await self._rows.list(owner=owner, after=after, limit=limit, name=name)
        return [await task_view(row, self._hooks) for row in rows]

    async def replace(
        self, task_id: str, document: dict[str, Any], *, owner: UUID, expected: int | None = None
    ) -> dict[str, Any]:
        """Save the next version; the same text again changes nothing. Raises Invalid, NotFound, PreconditionFailed."""
        for _ in range(_tries):
            before = await self.stored(task_id, owner=owner)
            if expected is not None and before.version != expected:
                raise PreconditionFailed
            checked = await self._checks.check(document, owner=owner, now=before.read_at)
            text = await self._text(checked, owner, before.trigger_id, before.read_at, before)
            if _is_same(before, text):
                break
            if await self._rows.replace(
                owner=owner,
                task_id=before.id,
                trigger_id=before.trigger_id,
                expected=before.version,
                task=text,
                entry=entry_of("task.change", owner, task_id, {"version": before.version + 1}),
            ):
                self._watchers.changed()
                break
        else:
            raise Conflict("The task keeps being changed by others; try again")
        return await self.get(task_id, owner=owner)

    async def delete(self, task_id: str, *, owner: UUID, expected: int | None = None) -> None:
        """Delete a task; its runs stay in the history. Raises NotFound, PreconditionFailed."""
        wanted, entry = parse_id("task", task_id), entry_of("task.delete", owner, task_id)
        if not await self._rows.delete(owner=owner, task_id=wanted, expected=expected, entry=entry):
            await self.stored(task_id, owner=owner)
            raise PreconditionFailed
        self._watchers.changed()

    async def switch(self, task_id: str, *, owner: UUID, enabled: bool) -> dict[str, Any]:
        """Enable or disable. A schedule counts from now. Raises NotFound."""
        entry = entry_of("task.enable" if enabled else "task.disable", owner, task_id)
        for _ in range(_tries):
            task = await self.stored(task_id, owner=owner)
            anchor_at, next_fire_at = task.anchor_at, task.next_fire_at
            if enabled and not task.enabled:
                await self._check_reachable(task.capability, await self._mode(task))
                anchor_at, next_fire_at = _begin(task.kind, task.trigger_spec, task.read_at)
            if task.enabled == enabled and not task.paused_reason:
                break
            if await self._rows.switch(
                owner=owner,
                task_id=task.id,
                expected=task.version,
                enabled=enabled,
                anchor_at=anchor_at,
                next_fire_at=next_fire_at,
                entry=entry,
            ):
                self._watchers.changed()
                break
        return await self.get(task_id, owner=owner)

    async def rotate_hook(self, task_id: str, *, owner: UUID, expected: int | None = None) -> dict[str, Any]:
        """Give its hook another address; the old one ends at once. Raises NotFound, Conflict, PreconditionFailed."""
        for _ in range(_tries):
            task = await self.stored(task_id, owner=owner)
            if expected is not None and task.version != expected:
                raise PreconditionFailed
            if task.hook_sealed is None:
                raise Conflict("Only a task with a webhook has a hook", code="no_hook")
            hook = await self._hooks.rotated(task)
            entry = entry_of("task.rotate_hook", owner, task_id)
            if await self._rows.rotate_hook(
                owner=owner, task_id=task.id, expected=task.version, hook=hook, entry=entry
            ):
                self._watchers.changed()
                return await self.get(task_id, owner=owner)
        raise Conflict("The task keeps being changed by others; try again")

    async def _mode(self, task: StoredTask) -> str | None:
        if task.kind != "webhook":
            return None
        return hook_mode(await self._cache.pinned(task.capability, task.capability_version))

    async def _check_reachable(self, capability: str, mode: str | None) -> None:
        """A service that has to call us needs a way to; raises Invalid, which names triggers that need none."""
        if mode not in ("subscribe", "app") or self._reachable:
            return
        catalog = await self._cache.catalog()
        module = capability.partition(".")[0]
        current = catalog.modules.get(module)
        found = current.module.capabilities.values() if current is not None else ()
        polled = [each.id for each in found if each.kind == "trigger" and each.execution == "poll"]
        instead = f"; without one use {' or '.join(polled)}" if polled else ""
        message = f"{capability} needs a TASKE_PUBLIC_URL at which {module} reaches this service{instead}"
        raise Invalid.at("/trigger/capability", "public_url_required", message)

    async def versions(
        self, task_id: str, *, owner: UUID, before: int | None = None, limit: int = 50
    ) -> Sequence[dict[str, Any]]:
        """A page of saved versions, newest first. Raises NotFound."""
        task = await self.stored(task_id, owner=owner)
        rows = await self._rows.versions(owner=owner, task_id=task.id, before=before, limit=limit)
        return [version_view(row) for row in rows]

    async def roll_back(
        self, task_id: str, version: int, *, owner: UUID, expected: int | None = None
    ) -> dict[str, Any]:
        """Save an earlier version again, as the newest; enabled stays as it is. Raises Invalid, NotFound."""
        task = await self.stored(task_id, owner=owner)
        found = await self._rows.versions(owner=owner, task_id=task.id, before=version + 1, limit=1)
        if not found or found[0].version != version:
            raise Invalid.at("/version", "unknown_version", f"The task has no version {version}")
        return await self.replace(task_id, {**found[0].spec, "enabled": task.enabled}, owner=owner, expected=expected)

    async def run(
        self, task_id: str, given: dict[str, Any] | None, *, owner: UUID, key: str | None = None, depth: int = 0
    ) -> str:
        """Fire by hand, enabled or not; the run's id. `key` makes repeats one run, `depth` runs stand behind it.

        Raises NotFound, TooManyRequests, and Conflict for a loop of runs.
        """
        task = await self.stored(task_id, owner=owner)
        run_id = new_id()
        fire = Fire(
            trigger_id=task.trigger_id,
            user_id=owner,
            task_id=task.id,
            task_version=task.version,
            fire_key=key_by_hand(key or run_id),
            run_id=run_id,
            input=await self.trigger_output(task) if given is None else given,
            must_be_enabled=False,
            depth=depth,
        )
        return await self._firing.fire(fire)

    async def trigger_output(self, task: StoredTask) -> Any:
        """What a run by hand starts from: a schedule as if due now, else the trigger's example."""
        if task.kind in ("cron", "interval"):
            now = format_time(task.read_at)
            return {"scheduled_at": now, "fired_at": now, "missed_count": 0}
        if task.kind == "manual":
            return {}
        capability = await self._cache.pinned(task.capability, task.capability_version)
        return {} if capability.sample is None else capability.sample

    async def stored(self, task_id: str, *, owner: UUID) -> StoredTask:
        """The task as it stands. Raises NotFound, for a foreign one as for a made-up one."""
        task = await self._rows.get(owner=owner, task_id=parse_id("task", task_id))
        if task is None:
            raise NotFound
        return task

    async def _text(
        self, checked: Checked, owner: UUID, trigger_id: UUID, now: datetime, before: StoredTask | None
    ) -> TaskText:
        hook, params = HookRow(), checked.trigger["params"]
        if checked.kind == "webhook":
            hook, params = await self._hooks.make(params, owner=owner, trigger_id=trigger_id, before=before)
        capability, mode = checked.task.trigger.id, hook_mode(checked.task.trigger)
        if checked.task.spec["enabled"]:
            await self._check_reachable(capability, mode)
        same = before is not None and (before.capability, before.connection_id, before.trigger_spec) == (
            capability,
            checked.connection_id,
            params,
        )
        enabled = checked.task.spec["enabled"]
        anchor_at, next_fire_at = _begin(checked.kind, params, now) if enabled else (None, None)
        if before is not None and same and before.enabled and enabled:
            anchor_at, next_fire_at = before.anchor_at, before.next_fire_at
        trigger = TriggerRow(
            kind=checked.kind,
            hook_mode=mode,
            capability=capability,
            capability_version=checked.pins[capability],
            connection_id=checked.connection_id,
            spec=params,
            misfire=params.get("misfire") or "once",
            anchor_at=anchor_at,
            next_fire_at=next_fire_at,
            hook=hook,
            reset=before is not None and not same,
        )
        spec = checked.task.spec
        text = {name: spec[name] for name in ("name", "overlap", "actions")}
        text["trigger"] = {**spec["trigger"], "params": params}
        return TaskText(spec["name"], enabled, spec["overlap"], text, checked.pins, trigger)


def hook_mode(trigger: Capability) -> str | None:
    """Who registers the webhook of a trigger: `manual`, `subscribe`, `app`; None where there is none.

    `verified` is `manual` with signatures that are checked by a secret of the connection.
    """
    if trigger.webhook is None:
        return None
    mode = str(trigger.webhook["mode"])
    return "verified" if mode == "manual" and verifies_by_connection(trigger) else mode


def _begin(kind: str, spec: dict[str, Any], now: datetime) -> tuple[datetime | None, datetime | None]:
    """(where an interval counts from, the next instant) of a schedule that is enabled or changed now."""
    schedule = schedule_of(kind, spec, now)
    return (now if kind == "interval" else None), (schedule.next_after(now) if schedule else None)


def _is_same(before: StoredTask, text: TaskText) -> bool:
    was = (before.name, before.enabled, before.spec, before.pins, before.hook_hash)
    return was == (text.name, text.enabled, text.spec, text.pins, text.trigger.hook.hook_hash) and (
        before.hook_sealed == text.trigger.hook.hook_sealed
    )
