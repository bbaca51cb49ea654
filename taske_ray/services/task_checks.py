"""Checking a task against the catalog and its owner's connections, and what its rows become."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from taske_ray.core.capability import Capability
from taske_ray.core.connection import KnownConnection, default_connection
from taske_ray.core.ids import format_id, parse_id
from taske_ray.core.task import CheckedTask, capabilities_of, check_task, parse_capability
from taske_ray.core.times import format_time
from taske_ray.db.connections import known_connections
from taske_ray.db.database import Database
from taske_ray.errors import FieldError, Invalid, NotFound
from taske_ray.limits import Limits
from taske_ray.services.catalog_cache import CapabilityCache
from taske_ray.services.schedules import schedule_of


@dataclass(frozen=True, slots=True)
class Checked:
    """A task that makes sense, with the version that each of its capabilities was checked in."""

    task: CheckedTask
    pins: dict[str, int]
    kind: str

    @property
    def trigger(self) -> dict[str, Any]:
        """The trigger's part of the text."""
        found: dict[str, Any] = self.task.spec["trigger"]
        return found

    @property
    def connection_id(self) -> UUID | None:
        """The trigger's connection; one of the instance where none is named."""
        connection = self.trigger["connection"]
        return default_connection(self.task.trigger) if connection is None else parse_id("conn", connection)


class TaskChecks:
    """Reads what a check needs, then checks."""

    def __init__(self, database: Database, cache: CapabilityCache, limits: Limits) -> None:
        self._database = database
        self._cache = cache
        self._limits = limits

    async def check(self, document: Mapping[str, Any], *, owner: UUID, now: datetime) -> Checked:
        """The task, checked. Raises Invalid with every error there is."""
        found, versions = await self._capabilities(document)
        connections = await self._connections(document, found.values(), owner)
        task = check_task(document, found.get, connections, self._limits)
        trigger = task.spec["trigger"]
        try:
            trigger["params"] = task.trigger.params.fill(trigger["params"], now=format_time(now))
            schedule_of(kind_of(task.trigger), trigger["params"], now)  # again, with the defaults filled in
        except Invalid as error:
            errors = [FieldError("/trigger/params" + one.pointer, one.code, one.message) for one in error.errors]
            raise Invalid(error.message, errors=errors) from None
        return Checked(task, {one.id: versions[one.id] for one in task.capabilities}, kind_of(task.trigger))

    async def _capabilities(self, document: Any) -> tuple[dict[str, Capability], dict[str, int]]:
        found: dict[str, Capability] = {}
        versions: dict[str, int] = {}
        catalog = await self._cache.catalog()
        for text in capabilities_of(document)[:1000]:
            try:
                name, pin = parse_capability(text)
                capability = catalog.capability(name) if pin is None else await self._cache.pinned(name, pin)
            except (ValueError, NotFound):
                continue
            if capability is not None:
                found[text] = capability
                versions[name] = pin or catalog.capabilities[name].version
        return found, versions

    async def _connections(
        self, document: Any, capabilities: Iterable[Capability], owner: UUID
    ) -> dict[str, KnownConnection]:
        """What a task names, and what of the instance it may use: a foreign one is as unknown as a made-up one."""
        wanted = {shared for one in capabilities if (shared := default_connection(one)) is not None}
        for part in _parts(document):
            try:
                wanted.add(parse_id("conn", part["connection"]))
            except (KeyError, NotFound, AttributeError):
                continue
        known = await known_connections(self._database, owner=owner, ids=wanted)
        return {format_id("conn", one): values for one, values in known.items()}


def kind_of(trigger: Capability) -> str:
    """Which kind of watcher a trigger capability needs."""
    if trigger.execution in ("poll", "webhook"):
        return trigger.execution
    return trigger.executor if trigger.executor in ("cron", "interval", "manual") else "internal"


def _parts(document: Any) -> list[Mapping[str, Any]]:
    if not isinstance(document, Mapping):
        return []
    actions = document.get("actions")
    parts = [document.get("trigger"), *(actions[:1000] if isinstance(actions, list) else [])]
    return [part for part in parts if isinstance(part, Mapping)]
