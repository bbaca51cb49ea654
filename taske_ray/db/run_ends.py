"""Ends of runs that somebody is told of: written with the end itself, taken by any host, settled once."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

from taske_ray.db import queries
from taske_ray.db.database import Database
from taske_ray.limits import Limits

_add_letter = (
    "INSERT INTO mails (id, user_id, recipients, subject, body_text, purpose)"
    " VALUES (%(id)s, %(user_id)s, ARRAY[%(email)s], %(subject)s, %(text)s, 'task_switched_off')"
)


@dataclass(frozen=True, slots=True)
class Listener:
    """A trigger `system.run.failed`. `looped`: it has a part in what started the run, so it does not hear of it."""

    trigger_id: UUID
    task_id: UUID
    version: int
    overlap: str
    looped: bool


@dataclass(frozen=True, slots=True)
class RunEnd:
    """A run that failed or needs attention, and who is to know. `email` None: nobody to write to.

    `depth`: how many runs stood behind it; those that hear of it have as many, so that they cannot call each other for
    ever.
    """

    run_id: UUID
    fence: int
    status: str
    user_id: UUID
    task_id: UUID
    error: dict[str, Any] | None
    task_name: str | None
    locale: str | None
    email: str | None
    depth: int = 0
    listeners: tuple[Listener, ...] = ()


@dataclass(frozen=True, slots=True)
class Letter:
    """What the owner of an ended run reads, unless its task had a mail in the last hour."""

    id: UUID
    subject: str
    text: str


@dataclass(frozen=True, slots=True)
class SwitchedOff:
    """A task that has done nothing but fail, and whom to tell. `reason` begins with its code, `failing`."""

    task_id: UUID
    user_id: UUID
    task_name: str
    reason: str
    locale: str | None
    email: str | None


class RunEnds:
    """The ends that wait to be told."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def take(self, *, most: int) -> list[RunEnd]:
        """At most `most` ends; those that are not settled within a minute come back. Raises Unavailable."""
        rows = await self._database.fetch(queries.take_run_ends, {"most": most})
        return [RunEnd(**{**row, "listeners": tuple(map(_listener, row["listeners"]))}) for row in rows]

    async def settle(self, ends: Sequence[tuple[RunEnd, Letter]]) -> None:
        """Everybody was told: forget the ends and queue the letters that are due. Raises Unavailable."""
        columns = {
            "run_ids": [end.run_id for end, _ in ends],
            "fences": [end.fence for end, _ in ends],
            "mail_ids": [letter.id for _, letter in ends],
            "task_ids": [end.task_id for end, _ in ends],
            "user_ids": [end.user_id for end, _ in ends],
            "emails": [end.email for end, _ in ends],
            "subjects": [letter.subject for _, letter in ends],
            "texts": [letter.text for _, letter in ends],
        }
        await self._database.fetch(queries.settle_run_ends, columns)

    async def switch_off(
        self, task_ids: Sequence[UUID], *, limits: Limits, letter: Callable[[SwitchedOff], Letter]
    ) -> list[SwitchedOff]:
        """Switch off those of these tasks that only fail, and queue the letters about it. Raises Unavailable."""
        values = {"task_ids": list(task_ids), "most": limits.failed_runs, "hours": limits.failing_hours}
        async with self._database.hot_transaction() as connection:
            rows = await (await connection.execute(queries.stop_failing, values)).fetchall()
            off = [SwitchedOff(**row) for row in rows]
            if off:
                ids = {"ids": [one.task_id for one in off]}
                await connection.execute("SELECT disable_failing(%(ids)s::uuid[])", ids)
            for one in off:
                if one.email is not None:
                    await connection.execute(_add_letter, asdict(letter(one)) | asdict(one))
        return off


def _listener(row: dict[str, Any]) -> Listener:
    ids = {name: UUID(row[name]) for name in ("trigger_id", "task_id")}
    return Listener(**{**row, **ids})
