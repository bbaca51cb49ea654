"""What connections were granted, for run hosts: a run whose third step cannot succeed does not begin its first.

It costs nothing for tasks none of whose capabilities needs a scope. What is remembered can only say yes: before a run
is refused the row is read again, and each call is checked by itself later, as the connection stands then.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from uuid import UUID

from actors.compiled_tasks import CompiledTask, ScopedStep
from taske_ray.core.capability.tokens import missing_scopes
from taske_ray.core.outcome import ErrorClass
from taske_ray.errors import Unavailable
from taske_ray.gather import Gatherer

Scopes = Sequence[str] | None
Use = tuple[UUID, UUID]
"""Who uses which connection."""
_kept, _kept_s, _at_once = 10_000, 60.0, 200


class GrantedScopes:
    """The scopes of the connections that this host's runs use.

    `read` asks the database for many at once; a connection that is not there is absent, and is no matter of scopes.
    """

    def __init__(
        self, read: Callable[[Sequence[Use]], Awaitable[Mapping[Use, Scopes]]], monotonic: Callable[[], float]
    ) -> None:
        self._read = read
        self._monotonic = monotonic
        self._good: OrderedDict[tuple[Use, str, int], float] = OrderedDict()
        self._wishes: Gatherer[tuple[Use, asyncio.Future[Scopes]]] = Gatherer(self._answer, most=_at_once)

    async def refusal(self, task: CompiledTask, user_id: UUID) -> dict[str, str] | None:
        """The error of a run whose task has a step that lacks a scope; None where all have theirs. Raises Unavailable.

        A step that may fail without ending the run is its own affair.
        """
        for step in task.scoped:
            use = (user_id, step.connection_id)
            key = (use, step.capability.id, step.version)
            if self._good.get(key, 0.0) > self._monotonic():
                continue
            missing = missing_scopes(step.capability, await self._scopes(use))
            if missing:
                return _error(step, missing)
            self._good[key] = self._monotonic() + _kept_s
            if len(self._good) > _kept:
                self._good.popitem(last=False)
        return None

    async def _scopes(self, use: Use) -> Scopes:
        found: asyncio.Future[Scopes] = asyncio.get_running_loop().create_future()
        if not self._wishes.offer((use, found)):
            raise Unavailable("Too many connections are asked for at once")
        return await found

    async def _answer(self, wishes: list[tuple[Use, asyncio.Future[Scopes]]]) -> None:
        try:
            granted = await self._read(list(dict.fromkeys(use for use, _ in wishes)))
        except Exception as error:  # noqa: BLE001 - whatever it is, the runs that wait must learn of it
            for _, found in wishes:
                if not found.done():
                    found.set_exception(error)
            return
        for use, found in wishes:
            if not found.done():
                found.set_result(granted.get(use))


def _error(step: ScopedStep, missing: Sequence[str]) -> dict[str, str]:
    scopes = ", ".join(missing)
    message = f"Nothing was done: the connection of {step.key} lacks what {step.capability.id} needs; connect it again"
    return {
        "class": ErrorClass.PERMISSION.value,
        "code": "missing_scopes",
        "message": f"{message} with: {scopes}",
        "step": step.key,
    }
