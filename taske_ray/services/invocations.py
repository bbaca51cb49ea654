"""Running one action now, for somebody who waits: no task, no run, the same client and the same rules."""

from typing import Any
from uuid import UUID

from taske_ray.clock import Clock, new_id
from taske_ray.core.call import Call
from taske_ray.core.capability import Capability
from taske_ray.core.connection import default_connection, misfit
from taske_ray.core.ids import parse_id
from taske_ray.core.outcome import ErrorClass, Failed, Outcome, Succeeded, Unknown
from taske_ray.core.task import parse_capability
from taske_ray.core.times import format_time
from taske_ray.db.connections import known_connections
from taske_ray.db.database import Database
from taske_ray.errors import Conflict, FieldError, Invalid, NotFound, TaskeError, TooManyRequests, Unavailable
from taske_ray.limits import Limits, profiles
from taske_ray.services.catalog_cache import CapabilityCache
from taske_ray.services.firing import too_deep
from taske_ray.services.ports import Calls

_not_by_hand = frozenset({"delay"})


class Invocations:
    """Invokes actions and lookups."""

    def __init__(
        self,
        database: Database,
        *,
        cache: CapabilityCache,
        calls: Calls,
        clock: Clock,
        limits: Limits = profiles["default"],
    ) -> None:
        self._database = database
        self._cache = cache
        self._calls = calls
        self._clock = clock
        self._deepest = limits.hook_depth

    async def invoke(
        self, capability: str, *, owner: UUID, connection: str | None, params: dict[str, Any], depth: int = 0
    ) -> Any:
        """The action's output; `depth` runs stand behind it.

        Raises NotFound, Invalid, Conflict (the service said no, or a loop of runs), Unavailable (no answer).
        """
        if depth > self._deepest:
            raise too_deep(depth)
        name, version = await self._version(capability)
        found = await self._cache.pinned(name, version)
        if found.kind == "trigger" or found.executor in _not_by_hand:
            raise Invalid(f"{name} cannot be invoked by hand", code="not_invocable")
        now = format_time(self._clock.now())
        try:
            filled = found.params.fill(params, now=now)
        except Invalid as error:
            errors = [FieldError("/params" + one.pointer, one.code, one.message) for one in error.errors]
            raise Invalid(error.message, errors=errors) from None
        connection_id = await self._connection(connection, owner, found)
        call_id = new_id().hex
        call = Call(
            id=call_id,
            user_id=owner,
            capability=name,
            version=version,
            params=filled,
            now=now,
            connection_id=connection_id,
            run_id=f"invoke_{call_id}",
            step="invoke",
            idempotency_key=f"invoke_{call_id}",
            depth=depth,
        )
        return _output(await self._calls.perform(call))

    async def _version(self, capability: str) -> tuple[str, int]:
        try:
            name, pin = parse_capability(capability)
        except ValueError:
            raise NotFound from None
        version = pin or await self._cache.latest_version(name)
        if version is None:
            raise NotFound
        return name, version

    async def _connection(self, connection: str | None, owner: UUID, capability: Capability) -> UUID | None:
        """The named one, else one of the instance. Raises Invalid where it does not fit, or one is needed."""
        wanted = default_connection(capability)
        if connection is not None:
            try:
                wanted = parse_id("conn", connection)
            except NotFound:
                wanted = None
        known = await known_connections(self._database, owner=owner, ids=[wanted] if wanted else [])
        found = None if wanted is None else known.get(wanted)
        if connection is None and found is None:
            if capability.needs_connection:
                message = f"{capability.id} needs a connection to {capability.module.id}"
                raise Invalid.at("/connection", "connection_required", message)
            return None
        wrong = misfit(capability, found)
        if wrong is not None:
            raise Invalid.at("/connection", *wrong)
        return wanted


def _output(outcome: Outcome) -> Any:
    if isinstance(outcome, Succeeded):
        return outcome.output
    if isinstance(outcome, Failed):
        raise _refusal(outcome)
    if isinstance(outcome, Unknown):
        raise Unavailable(outcome.message, code=outcome.code)
    return [item.output for item in outcome.items]


def _refusal(failure: Failed) -> TaskeError:
    if failure.error_class is ErrorClass.RATE_LIMITED:
        return TooManyRequests(failure.message, retry_after_s=max(1, round(failure.retry_after_s or 1)))
    if failure.error_class is ErrorClass.TRANSIENT:
        return Unavailable(failure.message, code=failure.code)
    if failure.error_class is ErrorClass.INVALID:
        return Invalid(failure.message, code=failure.code)
    return Conflict(failure.message, code=failure.code)
