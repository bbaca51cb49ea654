"""What goes when its time is over: weeks of runs as whole partitions, everything else in small batches.

Each method is one statement in a transaction of its own, so that nobody waits long for its locks.
"""

from datetime import datetime, timedelta
from uuid import UUID

from taske_ray.db import queries
from taske_ray.db.database import Database
from taske_ray.db.users import forget_runs
from taske_ray.limits import Limits, profiles

weeks_ahead = 3
batch = 2_000
_partitioned = ("attempts", "steps", "runs")  # runs last: they say which weeks there are
_users_at_once = 200


class Retention:
    """The statements of housekeeping: finished runs are kept for so many days, and so many of one user."""

    def __init__(self, database: Database, limits: Limits = profiles["default"]) -> None:
        self._database = database
        self._days, self._runs = limits.history_days, limits.history_runs

    async def begin(self, chore: str, *, every_s: float) -> bool:
        """Whether it is this host's turn: nobody began the chore within `every_s`."""
        rows = await self._database.fetch(queries.begin_chore, {"name": chore, "every_s": every_s})
        return bool(rows)

    async def ensure_weeks(self) -> int:
        """Partitions for this week and the next ones; how many were made."""
        now = (await self._database.fetch("SELECT clock_timestamp() AS now"))[0]["now"]
        weeks = [now + timedelta(weeks=week) for week in range(weeks_ahead + 1)]
        return sum([await self._ensured(parent, week) for week in weeks for parent in _partitioned])

    async def drop_old_weeks(self) -> int:
        """Drop the weeks that are over for long enough and hold no unfinished run; how many."""
        rows = await self._database.fetch(queries.old_weeks, {"kept_days": self._days})
        return sum([await self._dropped(row["week"]) for row in rows])

    async def delete_old_runs(self) -> int:
        """A batch of the finished runs of old weeks that had to stay; how many."""
        return await self._deleted(queries.delete_old_runs, kept_days=self._days, most=batch)

    async def users_with_surplus(self, after: UUID | None) -> tuple[list[UUID], UUID | None]:
        """Those of a page of users who have more runs than are kept, and where the next page begins, if any."""
        values = {"kept": self._runs, "after": after, "most": _users_at_once}
        rows = await self._database.fetch(queries.users_with_surplus, values)
        return [row["id"] for row in rows if row["surplus"]], rows[-1]["id"] if rows else None

    async def delete_surplus_runs(self, user_id: UUID) -> int:
        """A batch of a user's oldest finished runs beyond the newest that are kept; how many."""
        return await self._deleted(queries.delete_surplus_runs, user_id=user_id, kept=self._runs, most=batch)

    async def forgotten_users(self) -> list[UUID]:
        """Some of the accounts that are gone and have left runs behind."""
        rows = await self._database.fetch(queries.forgotten_users, {"most": _users_at_once})
        return [row["id"] for row in rows]

    async def forget_runs(self, user_id: UUID) -> int:
        """A batch of the runs that a removed account has left behind; how many."""
        return await forget_runs(self._database, owner=user_id, most=batch)

    async def prune_events(self) -> int:
        """A batch of fire keys that nothing asks for any more; how many."""
        return await self._deleted(queries.prune_events, most=batch)

    async def prune_ledger(self) -> int:
        """A batch of polled items that were in no list for long; how many."""
        return await self._deleted(queries.prune_ledger, most=batch)

    async def prune_rest(self) -> int:
        """What is little: lapsed idempotency keys, old skips, checks, mails and hosts, tokens and failed logins."""
        await self._database.fetch("SELECT prune_accounts()")
        return await self._deleted(queries.prune_rest, kept_days=self._days)

    async def _ensured(self, parent: str, week: datetime) -> bool:
        values = {"parent": parent, "week": week}
        rows = await self._database.fetch("SELECT ensure_partition(%(parent)s, %(week)s) AS made", values)
        return bool(rows[0]["made"])

    async def _dropped(self, week: str) -> bool:
        statement = "SELECT drop_partition(%(parent)s, %(week)s, make_interval(days => %(days)s)) AS gone"
        for parent in _partitioned:
            values = {"parent": parent, "week": week, "days": self._days}
            if not (await self._database.fetch(statement, values))[0]["gone"]:
                return False
        return True

    async def _deleted(self, statement: str, **values: object) -> int:
        return int((await self._database.fetch(statement, values))[0]["deleted"])
