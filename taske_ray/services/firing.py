"""Turning an event into a run: commit, then nudge. The one way for services to do it."""

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from taske_ray.core.ids import format_id
from taske_ray.crash_points import reach
from taske_ray.db.fire_values import Fire, Fired, Skip, details
from taske_ray.db.fires import FireStore
from taske_ray.errors import Conflict, NotFound, TooManyRequests
from taske_ray.limits import Limits, codes, profiles
from taske_ray.services.ports import RunHosts

_retry_spent_s = 3600  # until the day is over it may be longer; a sender that asks once an hour finds out


class Firing:
    """Fires, and tells the host that should take the run. Runs that fire each other end here, by whatever way."""

    def __init__(self, store: FireStore, hosts: RunHosts, limits: Limits = profiles["default"]) -> None:
        self._store = store
        self._hosts = hosts
        self._deepest = limits.hook_depth

    async def record(self, fire: Fire, *, claimed: bool = False) -> Fired:
        """Commit an event and its run, nudge, and answer what became of it. Raises Conflict (a loop), Unavailable.

        `claimed`: the run has recorded steps already, so a host must claim it and read them.
        """
        await self.end_loops(fire.trigger_id, fire.depth)
        host = None if claimed else self._hosts.pick(fire.run_id.bytes)
        fired = await self._store.fire(replace(fire, host=host))
        reach("C3")
        self._nudge(fired)
        return fired

    async def record_together(self, fires: Sequence[Fire]) -> list[Fired]:
        """Commit the events of one delivery, all of them or none, and nudge; an answer each. Raises as `record` does.

        Where one met a limit of its user nothing is recorded, because the sender repeats the delivery and not a part.
        """
        if len(fires) == 1:
            return [await self.record(fires[0])]
        await self.end_loops(fires[0].trigger_id, fires[0].depth)
        placed = [replace(fire, host=self._hosts.pick(fire.run_id.bytes)) for fire in fires]
        answers = await self._store.fire_together(placed)
        reach("C3")
        for fired in answers:
            self._nudge(fired)
        return answers

    def _nudge(self, fired: Fired) -> None:
        if fired.assigned is not None:
            self._hosts.assigned(fired.assigned)
        elif fired.status == "created":
            self._hosts.queued()

    async def end_loops(self, trigger_id: UUID, depth: int) -> None:
        """Raise Conflict, with a skip, where too many runs in a row have fired each other."""
        if depth > self._deepest:
            await self._store.skip(Skip(trigger_id, "loop", 1, {"depth": depth}))
            raise too_deep(depth)

    async def fire(self, fire: Fire, *, claimed: bool = False) -> str:
        """The wire id of the run that this event became, now or before. Raises Conflict, NotFound, TooManyRequests."""
        fired = await self.record(fire, claimed=claimed)
        if fired.status == "gone":
            raise NotFound
        if fired.status in ("full", "spent"):
            raise refusal_of(fired)
        return format_id("run", fired.run_id)


def too_deep(depth: int) -> Conflict:
    """What whoever would be the next in a row of runs is told (security, 10.10)."""
    return Conflict(f"{depth} runs in a row have called this service, each the next one's", code=codes["hook_depth"])


def refusal_of(fired: Fired, *, note: str = "") -> TooManyRequests:
    """What its sender is told of an event that met a limit of its user (durability, 12)."""
    if fired.status == "full":
        message, retry_after_s = f"Too many of your runs are waiting{note}", 5
    else:
        message, retry_after_s = f"You have had all the runs of this day (UTC){note}", _retry_spent_s
    return TooManyRequests(message, retry_after_s=retry_after_s, code=details[fired.status])
