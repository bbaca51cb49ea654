"""What webhook triggers may take in (durability, 12): so many a second, and no run that calls itself for ever."""

from collections.abc import Callable
from uuid import UUID

from taske_ray.db.fire_values import Skip
from taske_ray.db.fires import FireStore
from taske_ray.errors import TooManyRequests
from taske_ray.limits import Limits
from taske_ray.services.firing import Firing
from taske_ray.services.rates import RateLimiter, per_second


class HookLimits:
    """The limits of one process; what is over them is recorded with its trigger."""

    def __init__(self, store: FireStore, *, firing: Firing, limits: Limits, monotonic: Callable[[], float]) -> None:
        self._store = store
        self._firing = firing
        self._of_triggers = RateLimiter(per_second(limits.hook_per_s, limits.hook_burst), monotonic)
        self._of_users = RateLimiter(per_second(limits.user_per_s, limits.user_burst), monotonic)

    async def keep(self, trigger_id: UUID, user_id: UUID, *, depth: int) -> None:
        """Raise TooManyRequests when a trigger or its user is over its rate, Conflict for runs that call each other.

        `depth` is how many runs of ours stand behind the delivery.
        """
        await self._firing.end_loops(trigger_id, depth)
        wait_s = self._of_triggers.wait_s(trigger_id) or self._of_users.wait_s(user_id)
        if wait_s:
            await self._store.skip(Skip(trigger_id, "quota", sample={"detail": "rate"}))
            raise TooManyRequests(retry_after_s=wait_s)
