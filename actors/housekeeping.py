"""Housekeeping: once an hour one host makes the partitions of the weeks to come and lets go what is kept no longer.

Every watcher host asks once a minute whether it is its turn. Who dies in the middle leaves the rest to the next hour.
"""

import logging
from collections.abc import Awaitable, Callable
from functools import partial

from taske_ray.clock import Clock
from taske_ray.db.database import Database
from taske_ray.db.retention import Retention, batch
from taske_ray.limits import Limits, profiles

ask_every_s = 60.0
_every_s = 3600.0
_log = logging.getLogger(__name__)


class Housekeeping:
    """What one host at a time does once an hour."""

    def __init__(self, database: Database, *, clock: Clock, limits: Limits = profiles["default"]) -> None:
        self._retention = Retention(database, limits)
        self._clock = clock

    async def ask(self) -> bool:
        """Keep house if it is this host's turn; whether it was. Raises Unavailable."""
        if not await self._retention.begin("housekeeping", every_s=_every_s):
            return False
        await self.keep_house()
        return True

    async def keep_house(self) -> None:
        """Weeks ahead, then what is over: old weeks, surplus runs, fire keys, polled items and the rest."""
        keep = self._retention
        made, dropped = await keep.ensure_weeks(), await keep.drop_old_weeks()
        runs = await self._all_of(keep.delete_old_runs) + await self._surplus()
        runs += await self._left_behind()
        events, items = await self._all_of(keep.prune_events), await self._all_of(keep.prune_ledger)
        rest = await keep.prune_rest()
        message = "housekeeping: %d partitions made, %d weeks dropped, %d runs, %d events, %d items, %d others deleted"
        _log.info(message, made, dropped, runs, events, items, rest)

    async def _surplus(self) -> int:
        deleted, after = 0, None
        while True:
            users, after = await self._retention.users_with_surplus(after)
            for user_id in users:
                deleted += await self._all_of(partial(self._retention.delete_surplus_runs, user_id))
            if after is None:
                return deleted

    async def _left_behind(self) -> int:
        """Runs of accounts that were removed by a process that died before it came to them."""
        users = await self._retention.forgotten_users()
        return sum([await self._all_of(partial(self._retention.forget_runs, user_id)) for user_id in users])

    async def _all_of(self, some: Callable[[], Awaitable[int]]) -> int:
        """Batch after batch, resting after each for as long as it took: others use the database, too."""
        total = 0
        while True:
            begun = self._clock.monotonic()
            deleted = await some()
            total += deleted
            if deleted < batch:
                return total
            await self._clock.sleep(self._clock.monotonic() - begun)
