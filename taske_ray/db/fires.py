"""Firing: an event becomes a run in one transaction, once per fire key, and nothing is acknowledged before its COMMIT.

    webhook, by hand ──► FireStore.fire ───────────┐ group commit
    webhook, split ────► FireStore.fire_together ──┤
    cron, interval ────► FireStore.fire_schedule ──┤──► sql/fire_runs.sql ──► the run, owned by a live host or queued
    poll ──────────────► FireStore.fire_poll ──────┘

A crash before COMMIT: nothing happened. A lost answer to COMMIT: the same ids and keys are sent again, and what is
already there with our own run id is ours.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
import psycopg

from taske_ray.crash_points import reach
from taske_ray.db import queries
from taske_ray.db.database import Database
from taske_ray.db.fire_values import AssignedRun, Fire, Fired, PollFire, PollFired, ScheduleFire, Skip, details
from taske_ray.db.group_commit import GroupCommit
from taske_ray.limits import Limits, profiles

_refusals = ("gone", "full", "spent")
_deliveries_together = 10


class FireStore:
    """The ways an event is recorded."""

    def __init__(self, database: Database, *, limits: Limits = profiles["default"]) -> None:
        self._database = database
        self._limits = limits
        self._fires = GroupCommit(self._commit_fires, turn=lambda fire: fire.user_id)
        self._deliveries = GroupCommit(
            self._commit_deliveries, turn=lambda fires: fires[0].user_id, most=_deliveries_together
        )
        self._schedules = GroupCommit(self._commit_schedules)
        self._skips = GroupCommit(self._commit_skips)

    async def fire(self, fire: Fire) -> Fired:
        """Record one event and its run; returns after COMMIT. Raises Unavailable."""
        return await self._fires.write(fire)

    async def fire_together(self, fires: Sequence[Fire]) -> list[Fired]:
        """Record the events of one delivery, all of them or none; returns after COMMIT. Raises Unavailable.

        When one of them is refused (`gone`, `full`, `spent`) so is every other that was not there before.
        """
        return await self._deliveries.write(tuple(fires))

    async def fire_schedule(self, fire: ScheduleFire) -> tuple[Fired, ...] | None:
        """Move one schedule on and record its runs and skips; None when another watcher had already moved it."""
        return await self._schedules.write(fire)

    async def fire_poll(self, fire: PollFire) -> PollFired:
        """Ledger, events, runs, cursor and the check's row in one transaction (durability, 8.1). Raises Unavailable."""
        try:
            async with self._database.hot_transaction() as connection:
                return await _record_poll(connection, fire, self._limits)
        except _Undone as undone:
            if undone.status == "gone":
                return PollFired(lost=True)  # the trigger was edited or disabled since the page was asked for
            return await self._refused_poll(fire, undone)

    async def _refused_poll(self, fire: PollFire, undone: "_Undone") -> PollFired:
        """There is no room for the page: it stays where it is and is fetched again, and that is on record."""
        detail = details[undone.status]
        check = {**fire.check, "emitted": 0, "error": {"code": detail, "message": "The page waits for room."}}
        async with self._database.hot_transaction() as connection:
            skips = [Skip(fire.trigger_id, "quota", undone.count, {"detail": detail})]
            await connection.execute(queries.record_skips, _skip_columns(skips))
            result = {"id": fire.trigger_id, "result": orjson.dumps(check).decode()}
            await connection.execute(queries.record_check, result)
        return PollFired(full=True)

    async def skip(self, skip: Skip) -> None:
        """Record why something did not become a run."""
        await self._skips.write(skip)

    async def close(self) -> None:
        """Commit what was accepted, then refuse."""
        for group in (self._fires, self._deliveries, self._schedules, self._skips):
            await group.close()

    async def _commit_fires(self, fires: Sequence[Fire]) -> list[Fired]:
        single = [fire.trigger_id for fire in fires if fire.overlap != "allow"]
        reach("C2")
        if single:
            rows = await self._fire_locked(fires, single)
        else:
            rows = await self._database.fetch(queries.fire_runs, _columns(fires, self._limits))
        return await _answers(fires, rows, self._database)

    async def _commit_deliveries(self, deliveries: Sequence[tuple[Fire, ...]]) -> list[list[Fired]]:
        """All of them in one transaction; where one is refused, the others in one and each that was refused alone."""
        fires = [fire for delivery in deliveries for fire in delivery]
        single = [fire.trigger_id for fire in fires if fire.overlap != "allow"]
        reach("C2")
        rows = await self._fire_locked(fires, single, whole=True)
        by_id = {row["asked_id"]: row for row in rows}
        refused = [_refused_whole(delivery, by_id) for delivery in deliveries]
        if not any(refused):
            answers = iter(await _answers(fires, rows, self._database))
            return [[next(answers) for _ in delivery] for delivery in deliveries]
        if len(deliveries) == 1:
            return [each for each in refused if each]
        return await self._commit_apart(deliveries, refused)

    async def _commit_apart(
        self, deliveries: Sequence[tuple[Fire, ...]], refused: Sequence[list[Fired] | None]
    ) -> list[list[Fired]]:
        """Another's excess refuses nobody; whose delivery finds no room alone has none for the next ones either."""
        fit = [delivery for delivery, no in zip(deliveries, refused, strict=True) if no is None]
        recorded = iter(await self._commit_deliveries(fit) if fit else ())
        answers, over = [], set[UUID]()
        for delivery, no in zip(deliveries, refused, strict=True):
            if no is None:
                answers.append(next(recorded))
            elif no[0].status == "gone" or delivery[0].user_id in over:
                answers.append(no)
            else:
                [alone] = await self._commit_deliveries([delivery])
                answers.append(alone)
                if any(one.status in _refusals for one in alone):
                    over.add(delivery[0].user_id)
        return answers

    async def _fire_locked(
        self, fires: Sequence[Fire], trigger_ids: list[UUID], *, whole: bool = False
    ) -> list[dict[str, Any]]:
        """Record events while nobody else records any of these triggers, and what may not run beside another.

        `whole`: nothing is recorded where one of them is refused.
        """
        async with self._database.hot_transaction() as connection:
            if trigger_ids:
                await connection.execute(queries.lock_triggers, {"trigger_ids": trigger_ids})
            cursor = await connection.execute(queries.fire_runs, _columns(fires, self._limits))
            rows = await cursor.fetchall()
            status = {row["asked_id"]: row["status"] for row in rows}
            skips = [_overlapped(fire) for fire in fires if status[fire.run_id] == "overlap"]
            if whole and any(each in _refusals for each in status.values()):
                await connection.rollback()
            elif skips:
                await connection.execute(queries.record_skips, _skip_columns(skips))
        return rows

    async def _commit_schedules(self, due: Sequence[ScheduleFire]) -> list[tuple[Fired, ...] | None]:
        first = {(one.trigger_id, one.version, one.expected): one for one in reversed(due)}
        async with self._database.hot_transaction() as connection:
            cursor = await connection.execute(queries.advance_schedules, _schedule_columns(list(first.values())))
            moved = {(row["id"], row["version"], row["expected"]) for row in await cursor.fetchall()}
            winners = [one for key, one in first.items() if key in moved]
            fired = await _fire_inside(connection, [fire for one in winners for fire in one.fires], self._limits)
            skips = [skip for one in winners for skip in one.skips] + _refused(fired)
            if skips:
                await connection.execute(queries.record_skips, _skip_columns(skips))
            reach("C4")
        mine = {id(one) for one in winners}
        return [tuple(fired[fire.run_id][1] for fire in one.fires) if id(one) in mine else None for one in due]

    async def _commit_skips(self, skips: Sequence[Skip]) -> list[None]:
        await self._database.fetch(queries.record_skips, _skip_columns(skips))
        return [None] * len(skips)


async def instants_with_runs(
    database: Database, *, owner: UUID, task_id: UUID, trigger_id: UUID, first: datetime, last: datetime
) -> set[datetime]:
    """Which instants of a schedule between two have a run in the history of its owner. Raises Unavailable."""
    values = {"user_id": owner, "task_id": task_id, "trigger_id": trigger_id, "first": first, "last": last}
    return {row["scheduled_at"] for row in await database.fetch(queries.instants_with_runs, values, owner=owner)}


async def _answers(fires: Sequence[Fire], rows: list[dict[str, Any]], database: Database) -> list[Fired]:
    """One answer per event; a duplicate whose first row our snapshot could not see yet is read again."""
    by_id = {row["asked_id"]: row for row in rows}
    unseen = [fire for fire in fires if by_id[fire.run_id]["status"] == "duplicate"]
    if unseen:
        keys = {"trigger_ids": [f.trigger_id for f in unseen], "fire_keys": [f.fire_key for f in unseen]}
        found = {(r["trigger_id"], r["fire_key"]): r for r in await database.fetch(queries.find_fired, keys)}
        for fire in unseen:
            row = found.get((fire.trigger_id, fire.fire_key))
            if row is not None:
                status = "created" if row["run_id"] == fire.run_id else "duplicate"
                by_id[fire.run_id] = {**row, "status": status}
    return [_fired(fire, by_id[fire.run_id]) for fire in fires]


def _refused_whole(delivery: Sequence[Fire], rows: Mapping[UUID, dict[str, Any]]) -> list[Fired] | None:
    """The answers of a delivery when one of its events is refused: all are, but for those that were there before."""
    answers = [_fired(fire, rows[fire.run_id]) for fire in delivery]
    why = next((one.status for one in answers if one.status in _refusals), None)
    if why is None:
        return None
    there = [rows[fire.run_id]["status"] == "duplicate" and rows[fire.run_id]["run_id"] for fire in delivery]
    return [one if was else Fired(fire.run_id, why) for fire, one, was in zip(delivery, answers, there, strict=True)]


def _fired(fire: Fire, row: dict[str, Any]) -> Fired:
    assigned = None
    if row["status"] == "created" and row.get("owner") is not None:
        assigned = AssignedRun(
            fire.run_id,
            row["owner"],
            row["fence"],
            fire.user_id,
            fire.task_id,
            fire.task_version,
            fire.trigger_id,
            fire.input,
            fire.depth,
        )
    return Fired(row["run_id"] or fire.run_id, row["status"], assigned)


async def _fire_inside(
    connection: psycopg.AsyncConnection[dict[str, Any]], fires: Sequence[Fire], limits: Limits
) -> dict[UUID, tuple[Fire, Fired]]:
    """What became of these events, by the run id they brought, in a transaction that is open."""
    if not fires:
        return {}
    cursor = await connection.execute(queries.fire_runs, _columns(fires, limits))
    rows = {row["asked_id"]: row for row in await cursor.fetchall()}
    return {fire.run_id: (fire, _fired(fire, rows[fire.run_id])) for fire in fires}


def _refused(fired: Mapping[UUID, tuple[Fire, Fired]]) -> list[Skip]:
    """A skip for each event that met a limit, or a live run beside which it may not run (durability, 3.4, 3.5)."""
    return [
        Skip(fire.trigger_id, "quota", sample={"fire_key": fire.fire_key, "detail": details[answer.status]})
        for fire, answer in fired.values()
        if answer.status in details
    ]


def _overlapped(fire: Fire) -> Skip:
    return Skip(fire.trigger_id, "quota", sample={"fire_key": fire.fire_key, "detail": details["overlap"]})


class _Undone(Exception):
    """The page cannot be recorded as a whole: `status` says why, `count` how many of its items it struck."""

    def __init__(self, status: str, count: int) -> None:
        self.status, self.count = status, count


async def _record_poll(
    connection: psycopg.AsyncConnection[dict[str, Any]], poll: PollFire, limits: Limits
) -> PollFired:
    moved = await connection.execute(
        queries.move_cursor,
        {"id": poll.trigger_id, "read": poll.cursor_version, "cursor": orjson.dumps(poll.cursor).decode()},
    )
    if await moved.fetchone() is None:
        return PollFired(lost=True)
    new = await _new_items(connection, poll)
    fires = [fire for key, version, fire in poll.candidates if (key, version) in new]
    fired = await _fire_inside(connection, fires, limits)
    for status in _refusals:  # neither the ledger nor the cursor may pass what did not become a run
        struck = sum(answer.status == status for _, answer in fired.values())
        if struck:
            raise _Undone(status, struck)
    duplicates = len(poll.candidates) + len(poll.seed) - len(new)  # a batch's known items are in its seed
    skips = [*poll.skips, *_refused(fired)]
    if skips:
        await connection.execute(queries.record_skips, _skip_columns(skips))
    emitted = sum(answer.status == "created" for _, answer in fired.values())
    check = {**poll.check, "duplicate": duplicates, "emitted": emitted}
    await connection.execute(queries.record_check, {"id": poll.trigger_id, "result": orjson.dumps(check).decode()})
    return PollFired(tuple(answer for _, answer in fired.values()), duplicates)


async def _new_items(connection: psycopg.AsyncConnection[dict[str, Any]], poll: PollFire) -> set[tuple[str, str]]:
    """Enter the page's items into the ledger; those that it did not know."""
    pairs = [(key, version) for key, version, _ in poll.candidates] + list(poll.seed)
    if not pairs:
        return set()
    ledger = await connection.execute(
        queries.record_items,
        {"trigger_id": poll.trigger_id, "keys": [k for k, _ in pairs], "version_keys": [v for _, v in pairs]},
    )
    return {(row["key"], row["version_key"]) for row in await ledger.fetchall()}


def _columns(fires: Sequence[Fire], limits: Limits) -> dict[str, Any]:
    return {
        "trigger_ids": [f.trigger_id for f in fires],
        "trigger_versions": [f.trigger_version for f in fires],
        "must_be_enabled": [f.must_be_enabled for f in fires],
        "user_ids": [f.user_id for f in fires],
        "task_ids": [f.task_id for f in fires],
        "task_versions": [f.task_version for f in fires],
        "fire_keys": [f.fire_key for f in fires],
        "run_ids": [f.run_id for f in fires],
        "scheduled_ats": [f.scheduled_at for f in fires],
        "inputs": [orjson.dumps(f.input).decode() for f in fires],
        "hosts": [f.host for f in fires],
        "replays": [f.replay_of for f in fires],
        "depths": [f.depth for f in fires],
        "queue_limit": limits.queued_runs,
        "daily_limit": limits.runs_per_day,
        "share": limits.running_runs,
    }


def _schedule_columns(due: Sequence[ScheduleFire]) -> dict[str, Any]:
    return {
        "trigger_ids": [d.trigger_id for d in due],
        "versions": [d.version for d in due],
        "expected": [d.expected for d in due],
        "next_fire_ats": [d.next_fire_at for d in due],
    }


def _skip_columns(skips: Sequence[Skip]) -> dict[str, Any]:
    return {
        "trigger_ids": [s.trigger_id for s in skips],
        "reasons": [s.reason for s in skips],
        "counts": [s.count for s in skips],
        "samples": [None if s.sample is None else orjson.dumps(s.sample).decode() for s in skips],
    }
