"""Saved task versions made ready to execute, kept because a version never changes.

Which version of a capability a run uses follows from when it was fired, so that it is the same whoever takes the run
up, and when; runs of one task version that were fired before and after a compatible change are compiled apart.
"""

import contextlib
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID

from taske_ray.core.capability import Capability
from taske_ray.core.connection import default_connection
from taske_ray.core.ids import format_id, made_at_s, parse_id
from taske_ray.core.retry import RetryPolicy
from taske_ray.core.run import Action
from taske_ray.core.task import parse_capability
from taske_ray.core.template import compile_condition, compile_value
from taske_ray.db.fire_values import AssignedRun
from taske_ray.db.runs import RunStore, TaskText
from taske_ray.errors import NotFound
from taske_ray.limits import Limits, profiles
from taske_ray.services.catalog_cache import CapabilityCache

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")
_kept = 2_000


@dataclass(frozen=True, slots=True)
class ScopedStep:
    """A step that ends its run unless its connection was granted what its capability needs."""

    key: str
    capability: Capability
    version: int
    connection_id: UUID


@dataclass(frozen=True, slots=True)
class CompiledTask:
    """A task version: its compiled actions, and the capability that each of them uses, by the action's number.

    `scoped` are the steps that need scopes.
    """

    name: str
    actions: tuple[Action, ...]
    capabilities: Mapping[int, Capability]
    scoped: tuple[ScopedStep, ...] = ()


class CompiledTasks:
    """The task versions that this process has used lately."""

    def __init__(self, capabilities: CapabilityCache, limits: Limits = profiles["default"]) -> None:
        self._capabilities = capabilities
        self._limits = limits
        self._texts: OrderedDict[tuple[UUID, int], TaskText] = OrderedDict()
        self._tasks: OrderedDict[tuple[UUID, int, tuple[int, ...]], CompiledTask] = OrderedDict()

    async def get(self, store: RunStore, run: AssignedRun) -> CompiledTask | None:
        """The task version that a run pins; None when the task was deleted. Raises Unavailable."""
        saved = (run.task_id, run.task_version)
        text = self._texts.get(saved) or await store.task(*saved)
        if text is None:
            return None
        _keep(self._texts, saved, text)
        born_at_s = made_at_s(run.run_id)
        versions = [await self._version(spec["capability"], text, born_at_s) for spec in text.spec["actions"]]
        key = (*saved, tuple(versions))
        compiled = self._tasks.get(key) or await self._compile(text, versions)
        _keep(self._tasks, key, compiled)
        return compiled

    async def _version(self, written: str, text: TaskText, born_at_s: float) -> int:
        """The version of a capability that a run uses; a pin in the task's text holds for good."""
        name, pin = parse_capability(written)
        return pin or await self._capabilities.for_run(name, text.pins[name], born_at_s=born_at_s)

    async def _compile(self, text: TaskText, versions: list[int]) -> CompiledTask:
        actions, capabilities = [], {}
        for number, (spec, version) in enumerate(zip(text.spec["actions"], versions, strict=True), 1):
            name, _ = parse_capability(spec["capability"])
            capability = capabilities[number] = await self._capabilities.pinned(name, version)
            actions.append(_action(number, spec, capability, version, self._limits))
        scoped = tuple(_scoped(actions, capabilities))
        return CompiledTask(text.name, tuple(actions), capabilities, scoped)


def _keep(kept: OrderedDict[_Key, _Value], key: _Key, value: _Value) -> None:
    """The latest ones that were used."""
    kept[key] = value
    kept.move_to_end(key)
    if len(kept) > _kept:
        kept.popitem(last=False)


def _scoped(actions: Sequence[Action], capabilities: Mapping[int, Capability]) -> Iterator[ScopedStep]:
    for action in actions:
        capability = capabilities[action.number]
        if capability.scopes and action.connection is not None and action.on_error == "stop":
            with contextlib.suppress(NotFound):  # an id that is none fails at its step
                connection_id = parse_id("conn", action.connection)
                yield ScopedStep(action.key, capability, action.version, connection_id)


def _action(number: int, spec: Mapping[str, Any], capability: Capability, version: int, limits: Limits) -> Action:
    condition = spec.get("if")
    timeout_s = float(spec.get("timeout_s") or limits.timeout_s)
    retry = spec.get("retry") or {}
    return Action(
        number=number,
        key=spec.get("key") or f"action{number}",
        capability=capability.id,
        version=version,
        params=compile_value(spec.get("params") or {}, strict_value=True),
        fill=lambda params, now: capability.params.fill(params, now=now),
        condition=None if condition is None else compile_condition(condition),
        connection=spec.get("connection") or _shared(capability),
        retry=RetryPolicy(**{name: retry[name] for name in ("max_attempts",) if name in retry}),
        on_error=spec.get("on_error") or "stop",
        timeout_s=min(timeout_s, limits.longest_timeout_s),
        on_unknown=spec.get("on_unknown"),
    )


def _shared(capability: Capability) -> str | None:
    """The connection of the instance that a capability uses where a task names none."""
    shared = default_connection(capability)
    return None if shared is None else format_id("conn", shared)
